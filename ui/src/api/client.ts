// Requests to the API: session cookie, CSRF token, idempotency keys, problems as errors.

const BASE = '/api/v1';

/** A refusal of the API (RFC 9457), or a server that could not be reached (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    /** A key of the catalogue, where the API names one. */
    readonly key: string | undefined,
    detail: string,
  ) {
    super(detail);
  }
}

let csrf = '';
let skewMs = 0;

/** Sets the token that every change must carry. */
export function setCsrf(token: string): void {
  csrf = token;
}

/** How far the server's clock is ahead of the browser's, milliseconds. */
export function clockSkewMs(): number {
  return skewMs;
}

/** Judges the clock by a server time in milliseconds that was true just now, to within `slackMs`. */
export function noteServerTime(serverMs: number, slackMs: number): void {
  const skew = serverMs - Date.now();
  // A difference below the precision of the measurement is none.
  if (Math.abs(skew - skewMs) > slackMs) skewMs = Math.abs(skew) > slackMs ? skew : 0;
}

/** A key that makes a repeated request have its effect once. */
export function idempotencyKey(): string {
  // `crypto.randomUUID` exists only on HTTPS and localhost; the daemon may stand on a plain LAN address.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

interface Options {
  /** Sent as JSON. */
  body?: unknown;
  /** Sent as it is, with its type. */
  raw?: { text: string; type: string };
  idempotency?: string;
}

async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET' && csrf) headers['x-csrf-token'] = csrf;
  if (options.idempotency) headers['idempotency-key'] = options.idempotency;
  let body: string | undefined;
  if (options.raw) {
    headers['content-type'] = options.raw.type;
    body = options.raw.text;
  } else if (options.body !== undefined) {
    headers['content-type'] = 'application/json';
    body = JSON.stringify(options.body);
  }
  let answer: Response;
  try {
    answer = await fetch(BASE + path, { method, headers, body, credentials: 'same-origin' });
  } catch {
    throw new Problem(0, 'error.unreachable', '');
  }
  const date = Date.parse(answer.headers.get('date') ?? '');
  if (!Number.isNaN(date)) noteServerTime(date + 500, 2_000);
  const text = await answer.text();
  if (!answer.ok) throw problemOf(answer.status, text);
  return (text ? parse(text) : undefined) as T;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemOf(status: number, text: string): Problem {
  const parsed = parse(text);
  const body = (typeof parsed === 'object' && parsed !== null ? parsed : {}) as {
    key?: string;
    detail?: string;
    title?: string;
  };
  return new Problem(status, body.key, body.detail ?? body.title ?? text.slice(0, 200));
}

export const api = {
  get: <T>(path: string) => request<T>('GET', path),
  post: <T>(path: string, body?: unknown, idempotency?: string) =>
    request<T>('POST', path, { body, idempotency }),
  put: <T>(path: string, body: unknown) => request<T>('PUT', path, { body }),
  patch: <T>(path: string, body: unknown) => request<T>('PATCH', path, { body }),
  remove: (path: string) => request<void>('DELETE', path),
  csv: <T>(path: string, text: string) =>
    request<T>('POST', path, {
      raw: { text, type: 'text/csv; charset=utf-8' },
      idempotency: idempotencyKey(),
    }),
};

/**
 * One request that must have its effect once: repeated after a lost answer it carries the same key.
 * A known answer, also a refusal, is kept by the server under its key, so the next try has a new one.
 */
export class Once {
  #key = idempotencyKey();

  async post<T>(path: string, body?: unknown): Promise<T> {
    try {
      const answer = await api.post<T>(path, body, this.#key);
      this.#key = idempotencyKey();
      return answer;
    } catch (error) {
      if (error instanceof Problem && error.status > 0) this.#key = idempotencyKey();
      throw error;
    }
  }
}
