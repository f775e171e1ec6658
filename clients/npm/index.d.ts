/** There is no token for a request. The text names the place and the fix, and has no secret. */
export class JetonError extends Error {
  /** After a refused exchange, the code of the issuer, such as "invalid_target". */
  code?: string;
}

export interface Options {
  /** An identity of the wallet. Without it, the token is that of the job, else of the only identity at the origin. */
  identity?: string;
}

export interface RequestOptions extends Options {
  /** Default: GET. */
  method?: string;
  headers?: HeadersInit;
  body?: string | Uint8Array;
  /** A file of certificates (PEM). Default: that of the job, else those of the system. */
  cafile?: string;
  /** Milliseconds, with the body of the response. Default: 30000. */
  timeout?: number;
}

/**
 * Sends a request with the token, and returns the Response, whatever its status. It follows no redirect. A url that
 * begins with a slash is a path of the job's service.
 */
export function request(url: string | URL, options?: RequestOptions): Promise<Response>;

/**
 * Returns the headers that authorize a request, for other HTTP libraries. Under `jeton run --proxy` there are none: the
 * listener adds them. Send them to this origin alone: let the library follow no redirects.
 */
export function headers(url: string | URL, options?: Options): Promise<{ Authorization?: string }>;

export interface ExchangeOptions {
  /** The issuer of the tokens, as https://auth.example. */
  issuer: string;
  /** The client that the service is, and its secret. */
  client: string;
  secret: string;
  /** Default: all that the token and the rule of the client have. */
  scope?: string | string[];
  /** Number of uses at most. */
  maxUses?: number;
  /** Each use is one of the exchanged token, too, if that is counted. */
  sharedUses?: boolean;
  /** Seconds at most. */
  lifetime?: number;
  /** A file of certificates (PEM) for the issuer. Default: those of the system. */
  cafile?: string;
  /** Milliseconds, of each request to the issuer. Default: 30000. */
  timeout?: number;
}

export interface Exchanged {
  token: string;
  headers: { Authorization: string };
  /** Seconds. */
  expiresIn?: number;
  scope: string[];
  /** Absent: not counted. */
  maxUses?: number;
}

/** Exchanges the token of a caller for one of the next service (RFC 8693), by a rule of the client. */
export function exchange(token: string, service: string, options: ExchangeOptions): Promise<Exchanged>;
