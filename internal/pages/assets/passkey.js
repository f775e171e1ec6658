
// Passkeys. A form with data-passkey asks the server for the options of a ceremony, the authenticator for a response,
// and sends that. Without a script, or without passkeys in the browser, it stays hidden.
for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (window.PublicKeyCredential) offerPasskey(form);
}

function offerPasskey(form) {
  const creates = form.dataset.passkey === "create";
  const failed = form.querySelector("[data-failed]");
  const renewAfter = 240000; // before the challenge expires
  let began = 0;
  let asked = null;

  form.hidden = false;
  for (const el of document.querySelectorAll("[data-no-passkey]")) el.hidden = true;

  form.addEventListener("submit", (e) => {
    e.preventDefault();
    ask();
  });

  // In the autofill of the name field, until a button is pressed or a password is sent.
  if (form.dataset.passkey === "autofill" && PublicKeyCredential.isConditionalMediationAvailable) {
    PublicKeyCredential.isConditionalMediationAvailable().then((can) => {
      if (!can || asked) return;
      ask("conditional");
      setInterval(() => {
        if (began && !document.hidden && Date.now() - began > renewAfter) ask("conditional");
      }, 10000);
    });
  }

  async function ask(mediation) {
    if (asked) asked.abort();
    const mine = (asked = new AbortController());
    failed.hidden = true;
    began = mediation ? Date.now() : 0;

    try {
      const answer = await fetch(form.dataset.options, { method: "POST", signal: mine.signal });
      if (!answer.ok) {
        if (!mediation) form.submit(); // the page that follows says why
        return;
      }

      const publicKey = decodeOptions(await answer.json());
      const options = { publicKey, signal: mine.signal };
      if (mediation) options.mediation = mediation;

      const made = creates
        ? await navigator.credentials.create(options)
        : await navigator.credentials.get(options);
      form.elements.response.value = JSON.stringify(encodeResponse(made));
      form.submit();
    } catch (e) {
      if (mine !== asked || mediation) return;
      const known = creates && e.name === "InvalidStateError";
      failed.textContent = known ? failed.dataset.known : failed.dataset.failed;
      failed.hidden = false;
    }
  }
}

// Browsers without parseCreationOptionsFromJSON and toJSON have the members as bytes.
function decodeOptions(options) {
  options.challenge = fromText(options.challenge);
  if (options.user) options.user.id = fromText(options.user.id);
  for (const key of [...(options.excludeCredentials || []), ...(options.allowCredentials || [])]) {
    key.id = fromText(key.id);
  }
  return options;
}

function encodeResponse(made) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (made.response[name]) response[name] = toText(made.response[name]);
  }
  if (made.response.getTransports) response.transports = made.response.getTransports();

  return { id: made.id, rawId: toText(made.rawId), type: made.type, clientExtensionResults: {}, response };
}

function fromText(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
}

function toText(buffer) {
  const bytes = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// Authenticators learn which passkeys are left and what the user is called, and stop offering the others.
for (const el of document.querySelectorAll("[data-signal]")) signalPasskeys(el);

async function signalPasskeys(el) {
  for (const [name, values] of Object.entries(JSON.parse(el.dataset.signal))) {
    const signal = window.PublicKeyCredential && PublicKeyCredential[name];
    for (const value of values || []) {
      if (signal) await signal.call(PublicKeyCredential, value).catch(() => {});
    }
  }
  el.removeAttribute("data-signal");
}
