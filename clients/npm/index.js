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

  const shown = () => ({ Authorization: "[secret]" });
  return Object.defineProperty({ Authorization: `Bearer ${text}` }, inspect.custom, { value: shown });
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
