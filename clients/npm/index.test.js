// Run by a Go test, which also runs README.md against a server.

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import test, { after } from "node:test";
import { inspect } from "node:util";

import { JetonError, exchange, headers, request } from "./index.js";

const token = "jtn_canary";
const job = { JETON_URL: "https://reports.example", JETON_TOKEN: token, JETON_RUN_VARS: "JETON_URL,JETON_TOKEN" };
const folder = mkdtempSync(join(tmpdir(), "jeton-npm-"));
const path = process.env.PATH;
after(() => rmSync(folder, { recursive: true }));

function environment(variables) {
  for (const name of Object.keys(process.env)) {
    if (name.startsWith("JETON_")) delete process.env[name];
  }
  Object.assign(process.env, { PATH: path, ...variables });
}

// Returns the error of a call.
async function refusal(promise) {
  try {
    await promise;
  } catch (err) {
    assert.ok(err instanceof JetonError, String(err));
    assert.ok(!inspect(err).includes(token), "the error has the token");
    return err.message;
  }
  assert.fail("no error");
}

test("each way to pass the token of a job", async () => {
  const file = join(folder, "token");
  writeFileSync(file, token + "\n");
  const fd = openSync(file);

  for (const way of [{ JETON_TOKEN: token }, { JETON_TOKEN_FILE: file }, { JETON_TOKEN_FD: String(fd) }]) {
    environment({ JETON_URL: "https://reports.example:443/", ...way });
    // Twice: a pipe can be read once.
    for (const url of ["https://reports.example/1", "/2"]) {
      assert.equal((await headers(url)).Authorization, `Bearer ${token}`);
    }
  }

  environment({ JETON_URL: "http://127.0.0.1:1/random", JETON_RUN_VARS: "JETON_URL" });
  assert.deepEqual(await headers("/1"), {});
});

test("another origin gets no token", async () => {
  environment(job);
  for (const url of [
    "https://other.example/",
    "http://reports.example/",
    "https://reports.example:8443/",
    "https://reports.example.other.example/",
    "https://reports.example@other.example/",
    "https://user:password@reports.example/",
    "https://other.example\\@reports.example/",
    "https://other.example#@reports.example/",
    "reports.example",
  ]) {
    await refusal(headers(url));
  }
});

test("no token in errors and in what is printed", async () => {
  environment(job);
  assert.ok(!inspect(await headers("/")).includes(token));

  const twoLines = { JETON_TOKEN: token + "\nHost: x" };
  for (const way of [twoLines, { JETON_TOKEN_FD: token }, { JETON_TOKEN_FILE: token }, {}]) {
    environment({ JETON_URL: "https://reports.example", ...way });
    await refusal(headers("/"));
  }
});

test("a redirect is not followed", async (t) => {
  const paths = [];
  const server = http.createServer((req, res) => {
    paths.push(req.url);
    const status = req.url === "/away" ? 302 : 200;
    res.writeHead(status, { Location: "http://localhost/elsewhere", Connection: "close" });
    res.end(`${req.method} ${req.headers.authorization}`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());

  environment({ JETON_URL: `http://127.0.0.1:${server.address().port}`, JETON_TOKEN: token });
  const post = { method: "POST", body: "x", headers: { authorization: "other" }, timeout: 60_000 };
  const answer = await request("/1", post);
  assert.equal(await answer.text(), `POST Bearer ${token}`);
  assert.equal((await request("/away", { timeout: 60_000 })).status, 302);
  assert.deepEqual(paths, ["/1", "/away"]);
});

test("the wallet is asked for the origin and the identity", async () => {
  const program = join(folder, "jeton");
  // Asks for an identity's headers, where the program jeton is a script. The job's token is not that of the identity.
  const ask = (script) => {
    writeFileSync(program, "#!/bin/sh\n" + script);
    chmodSync(program, 0o700);
    environment({ ...job, PATH: folder + delimiter + path });
    return headers("https://other.example/x?y", { identity: "ci" });
  };

  const found = await ask('IFS=_; echo "$*"; echo valid >&2');
  assert.equal(found.Authorization, "Bearer token_print_https://other.example_--as=ci");
  assert.match(await refusal(ask("echo jtn_canary; echo 'log in again' >&2; exit 4")), /log in again/);
  assert.match(await refusal(ask("echo jtn_canary two")), /no valid token/);

  rmSync(program);
  environment({ PATH: folder });
  assert.match(await refusal(headers("https://other.example")), /install jeton/);
});

// Starts an issuer that refuses the service "closed" with what was sent, and exchanges for others.
async function issuer(t) {
  const forms = [];
  const server = http.createServer(async (req, res) => {
    const base = `http://127.0.0.1:${server.address().port}`;
    let text = "";
    for await (const part of req) text += part;
    const form = Object.fromEntries(new URLSearchParams(text));
    if (req.method === "POST") forms.push(form);

    const refusals = {
      closed: { error: "invalid_target", error_description: `no: ${form.client_secret}` },
      odd: { error: "invalid_request", error_description: "invalid max_uses" },
    };
    const refused = refusals[form.audience];
    const metadata = { issuer: base, token_endpoint: `${base}/token` };
    const answer = { access_token: "jtn_canary_2", token_type: "Bearer", scope: "a b", max_uses: 2 };
    res.writeHead(refused ? 400 : 200, { Connection: "close" });
    res.end(JSON.stringify(refused ?? (req.method === "POST" ? answer : metadata)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());

  const port = server.address().port;
  const given = { issuer: `http://127.0.0.1:${port}`, client: "reports", secret: token + "s", timeout: 60_000 };
  return { forms, port, swap: (service, terms) => exchange(token, service, { ...given, ...terms }) };
}

test("the terms of an exchange are sent and returned", async (t) => {
  const { forms, swap } = await issuer(t);
  const got = await swap("archive", { scope: ["a", "b"], maxUses: 2, sharedUses: true, lifetime: 20 });
  const { token: made, scope, maxUses } = got;
  assert.deepEqual({ made, scope, maxUses }, { made: "jtn_canary_2", scope: ["a", "b"], maxUses: 2 });
  assert.equal(got.headers.Authorization, "Bearer jtn_canary_2");
  assert.ok(!inspect(got).includes(token) && !inspect(got.headers).includes(token));

  const [sent] = forms;
  assert.deepEqual([sent.subject_token, sent.client_id, sent.client_secret], [token, "reports", token + "s"]);
  assert.deepEqual([sent.scope, sent.max_uses, sent.shared_uses, sent.expires_in], ["a b", "2", "true", "20"]);

  await swap("archive");
  assert.ok(!["scope", "max_uses", "shared_uses", "expires_in"].some((name) => name in forms[1]));
});

test("a refused exchange says why and echoes no secret", async (t) => {
  const { swap } = await issuer(t);
  assert.match(await refusal(swap("closed")), /invalid_target: no rule of the client/);
  assert.match(await refusal(swap("odd")), /invalid_request: .*: invalid max_uses/);
  await assert.rejects(swap("odd"), { code: "invalid_request" });
});

test("nothing is sent to another issuer or in plain text", async (t) => {
  const { forms, port, swap } = await issuer(t);
  assert.match(await refusal(swap("archive", { issuer: "http://auth.example" })), /want https/);
  assert.match(await refusal(swap("archive", { issuer: `http://localhost:${port}` })), /another issuer|no answer/);
  assert.equal(forms.length, 0);
});
