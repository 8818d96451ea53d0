// The one event stream of a tab: opens, notices silence, opens again.

export type Connection = 'connecting' | 'open' | 'lost';

export interface Handlers {
  /** By the name of the event; the data is parsed. */
  on: Record<string, (data: unknown) => void>;
  connection: (state: Connection) => void;
  /** The session is over: the server answers 401 (EventSource tells only that it failed). */
  failed: () => void;
}

/** The server pings every 15 s; two missed ones and a little more are a dead connection. */
export const SILENCE_MAX_MS = 40_000;
const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 8_000;

/** How long to wait before the `tries`-th attempt to connect again. */
export function retryDelayMs(tries: number): number {
  return Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(tries, 10));
}

/** Follows `/api/v1/events` until the returned function is called. */
export function follow(handlers: Handlers): () => void {
  let source: EventSource | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;
  let tries = 0;
  let over = false;

  function heard(): void {
    clearTimeout(silence);
    silence = setTimeout(lost, SILENCE_MAX_MS);
  }

  // We close and open ourselves: a browser gives up for good after some answers (a proxy's 502),
  // and never notices a connection that died without a word.
  function lost(): void {
    source?.close();
    clearTimeout(silence);
    clearTimeout(retry);
    if (over) return;
    handlers.connection('lost');
    handlers.failed();
    retry = setTimeout(open, retryDelayMs(tries++));
  }

  function open(): void {
    if (over) return;
    source = new EventSource('/api/v1/events');
    source.onopen = () => {
      tries = 0;
      handlers.connection('open');
      heard();
    };
    source.onerror = lost;
    for (const [name, handle] of Object.entries(handlers.on)) {
      source.addEventListener(name, (event) => {
        heard();
        try {
          handle(JSON.parse((event as MessageEvent<string>).data));
        } catch (error) {
          console.error(name, error);
        }
      });
    }
  }

  const back = (): void => {
    if (retry !== undefined && source?.readyState === EventSource.CLOSED) {
      clearTimeout(retry);
      tries = 0;
      open();
    }
  };
  window.addEventListener('online', back);
  handlers.connection('connecting');
  open();
  return () => {
    over = true;
    window.removeEventListener('online', back);
    clearTimeout(retry);
    clearTimeout(silence);
    source?.close();
  };
}
