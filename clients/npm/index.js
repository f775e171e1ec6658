// Calls services with an identity of Jeton.
//
// In a command of `jeton run` the token is that of the job. Elsewhere, or where an identity is named, the program
// `jeton` gives the token of an identity of the wallet. A token is sent only to the service that it is for: redirects
// are not followed. Errors and what console.log prints have no token.

import { execFile } from "node:child_process";
import { closeSync, readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { Readable } from "node:stream";
import { inspect } from "node:util";

// How long the wallet may take. It waits up to 30 seconds for a token that is not valid yet.
const walletTimeout = 60_000;

/** There is no token for a request. The text names the place and the fix. */
export class JetonError extends Error {
  name = "JetonError";
}

/** Sends a request with the token, and returns the Response, whatever its status. */
export async function request(url, options = {}) {
  const { identity, method = "GET", body, timeout = 30_000 } = options;
  const target = parse(url);
  const sent = new Headers(options.headers);
  for (const [name, value] of Object.entries(await authorization(target, identity))) sent.set(name, value);

  const cafile = options.cafile ?? (identity === undefined && process.env.JETON_CACERT);
  const ca = cafile ? readFileSync(cafile) : undefined;
  return send(target, { method, body, sent, ca, timeout });
}

// Sends a request that has its credential, and returns the Response.
async function send(target, { method, body, sent, ca, timeout }) {
  const signal = AbortSignal.timeout(timeout);
  const answer = await new Promise((resolve, reject) => {
    const { request } = target.protocol === "http:" ? http : https;
    request(target, { method, headers: Object.fromEntries(sent), ca, signal }, resolve).on("error", reject).end(body);
  });

  const headers = new Headers();
  for (const [name, values] of Object.entries(answer.headersDistinct)) {
    for (const value of values) headers.append(name, value);
  }

  const bare = method === "HEAD" || [204, 205, 304].includes(answer.statusCode);
  if (bare) answer.resume();

  return new Response(bare ? null : Readable.toWeb(answer), {
    status: answer.statusCode,
    statusText: answer.statusMessage,
    headers,
  });
}

/**
 * Exchanges the token of a caller for one of the next service (RFC 8693). The client proves itself with its secret, and
 * acts for the owner of the token. The new token is never more than the token and the rule of the client allow.
 */
export async function exchange(token, service, options) {
  const { issuer, client, secret, scope, maxUses, sharedUses, lifetime } = options;
  const place = `exchange for ${service} at ${issuer}`;
  const form = new URLSearchParams({
    grant_type: "urn:ietf:params:oauth:grant-type:token-exchange",
    subject_token: token,
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    audience: service,
    client_id: client,
    client_secret: secret,
  });
  if (scope !== undefined) form.set("scope", Array.isArray(scope) ? scope.join(" ") : scope);
  if (maxUses !== undefined) form.set("max_uses", maxUses);
  if (sharedUses) form.set("shared_uses", "true");
  if (lifetime !== undefined) form.set("expires_in", lifetime);

  const found = await ask(place, await tokenEndpoint(place, options), form, options);
  if (String(found.token_type).toLowerCase() !== "bearer" || !/^[!-~]+$/.test(found.access_token)) {
    throw new JetonError(`${place}: the issuer returned no Bearer token`);
  }

  const terms = { expiresIn: found.expires_in, scope: (found.scope ?? "").split(" ").filter(Boolean) };
  if (found.max_uses !== undefined) terms.maxUses = found.max_uses;

  const made = { token: found.access_token, headers: bearer(found.access_token), ...terms };
  return Object.defineProperty(made, inspect.custom, { value: () => ({ token: "[secret]", ...terms }) });
}

const endpoints = new Map(); // of issuers

// Returns the token endpoint of an issuer, which is at its own origin (RFC 8414).
async function tokenEndpoint(place, options) {
  const key = JSON.stringify([options.issuer, options.cafile]);
  if (endpoints.has(key)) return endpoints.get(key);

  const { protocol, hostname, origin, pathname } = parse(options.issuer);
  if (protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(hostname)) {
    throw new JetonError(`${place}: plain http: the secret and the token can be read on the network; want https`);
  }

  const path = pathname.replace(/\/+$/, "");
  const found = await ask(place, `${origin}/.well-known/oauth-authorization-server${path}`, undefined, options);
  if (found.issuer !== options.issuer || parse(found.token_endpoint).origin !== origin) {
    throw new JetonError(`${place}: the metadata name another issuer, or an endpoint at another origin`);
  }

  endpoints.set(key, found.token_endpoint);
  return found.token_endpoint;
}

// What a code of the issuer means.
const hints = {
  invalid_request: "the token that is exchanged, or a parameter, is refused",
  invalid_target:
    "no rule of the client allows it, or the owner of the token may not use the service; " +
    "the audit log of the issuer says which (jeton audit --action token.exchange)",
  invalid_scope: "the rule of the client or the token lacks a scope",
  invalid_client: "the secret of the client is refused",
  unsupported_grant_type: "the issuer exchanges no tokens",
};

// Sends a request to the issuer, and returns the document of the answer.
async function ask(place, url, form, { cafile, timeout = 30_000 }) {
  const ca = cafile ? readFileSync(cafile) : undefined;
  const sent = new Headers({ Accept: "application/json" });
  if (form) sent.set("Content-Type", "application/x-www-form-urlencoded");

  const options = { method: form ? "POST" : "GET", body: form?.toString(), sent, ca, timeout };
  let answer;
  let text;
  try {
    answer = await send(parse(url), options);
    text = await answer.text();
  } catch (err) {
    throw new JetonError(`${place}: no answer: ${err.code ?? err.message}`);
  }

  let found;
  try {
    found = JSON.parse(text);
  } catch {
    // Not a document of an issuer.
  }
  if (answer.status === 200 && found !== null && typeof found === "object") return found;

  const code = Object.hasOwn(hints, found?.error) ? found.error : undefined;
  const why = code ? `${code}: ${hints[code]}${description(found.error_description, form)}` : `status ${answer.status}`;
  throw Object.assign(new JetonError(`${place}: ${why}`), code && { code });
}

// Returns what the issuer says about a refusal, but not if it echoes a secret.
function description(text, form) {
  if (typeof text !== "string" || text === "" || text.length > 500) return "";
  if (["subject_token", "client_secret"].some((name) => form?.get(name) && text.includes(form.get(name)))) return "";

  return ": " + text.replace(/\s+/g, " ");
}

/**
 * Returns the headers that authorize a request, for other HTTP libraries. Under `jeton run --proxy` there are none: the
 * listener adds them. Send them to this origin alone: let the library follow no redirects.
 */
export async function headers(url, { identity } = {}) {
  return authorization(parse(url), identity);
}

// Returns a URL. One that begins with a slash is a path of the job's service.
function parse(url) {
  let text = String(url);
  if (text.startsWith("/")) {
    if (!process.env.JETON_URL) {
      throw new JetonError("JETON_URL is not set: run the program with 'jeton run', or give the whole URL");
    }
    text = process.env.JETON_URL.replace(/\/+$/, "") + text;
  }

  // The error of URL has the text.
  const parsed = URL.canParse(text) ? new URL(text) : {};
  if (!["http:", "https:"].includes(parsed.protocol) || parsed.username || parsed.password) {
    throw new JetonError("invalid URL: want https://host/path without a user name");
  }

  return parsed;
}

async function authorization({ origin }, identity) {
  const [token, place] =
    identity === undefined && process.env.JETON_URL ? ofJob(origin) : await ofWallet(origin, identity);
  if (token === undefined) return {};

  const text = token.trim();
  if (!/^[!-~]+$/.test(text)) throw new JetonError(`${place}: no valid token: want one line of visible ASCII`);

  return bearer(text);
}

// Returns the header of a token, which console.log does not print.
function bearer(token) {
  const shown = () => ({ Authorization: "[secret]" });
  return Object.defineProperty({ Authorization: `Bearer ${token}` }, inspect.custom, { value: shown });
}

// Returns the token of the job, none under --proxy, and the variable that has it.
function ofJob(origin) {
  const env = process.env;
  if (origin !== parse(env.JETON_URL).origin) {
    throw new JetonError(`the token of this job (JETON_URL) is not for ${origin}: name an identity of the wallet`);
  }
  if (env.JETON_RUN_VARS === "JETON_URL") return [undefined, "JETON_URL"];
  if (env.JETON_TOKEN) return [env.JETON_TOKEN, "JETON_TOKEN"];

  const name = ["JETON_TOKEN_FILE", "JETON_TOKEN_FD"].find((name) => env[name]);
  if (!name) {
    throw new JetonError(
      "the job has no JETON_TOKEN, JETON_TOKEN_FILE or JETON_TOKEN_FD: leave out --env, --netrc and --git",
    );
  }

  try {
    return [name === "JETON_TOKEN_FD" ? readPipe(env[name]) : readFileSync(env[name], "ascii"), name];
  } catch {
    throw new JetonError(`${name}: cannot read the token: start the program with 'jeton run' again`);
  }
}

const pipes = new Map(); // tokens by descriptor, each of which can be read once

function readPipe(number) {
  if (!pipes.has(number)) {
    pipes.set(number, readFileSync(Number(number), "ascii"));
    closeSync(Number(number));
  }

  return pipes.get(number);
}

function ofWallet(origin, identity) {
  const args = ["token", "print", origin, ...(identity === undefined ? [] : [`--as=${identity}`])];

  return new Promise((resolve, reject) => {
    // The error has the output of the program: only its kind is reported.
    const child = execFile("jeton", args, { timeout: walletTimeout }, (err, stdout, stderr) => {
      if (!err) return resolve([stdout, "jeton token print"]);

      let problem = stderr.replace(/\s+/g, " ").trim().slice(0, 500);
      if (typeof err.code === "string") problem = `cannot start it (${err.code}): install jeton in a folder of PATH`;
      if (err.killed) problem = `no answer in ${walletTimeout / 1000} seconds: run it in a terminal to see why`;
      reject(new JetonError(`jeton ${args.join(" ")}: ${problem}`));
    });
    child.stdin?.end();
  });
}
