/** There is no token for a request. The text names the place and the fix, and has no secret. */
export class JetonError extends Error {}

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
