import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { follow, retryDelayMs, SILENCE_MAX_MS } from './events';

class FakeSource {
  static made: FakeSource[] = [];
  static readonly CLOSED = 2;
  readyState = 1;
  onopen?: () => void;
  onerror?: () => void;
  handlers: Record<string, (event: { data: string }) => void> = {};
  constructor(readonly url: string) {
    FakeSource.made.push(this);
  }
  addEventListener(name: string, handle: (event: { data: string }) => void): void {
    this.handlers[name] = handle;
  }
  close(): void {
    this.readyState = FakeSource.CLOSED;
  }
}
const last = (): FakeSource => FakeSource.made.at(-1) as FakeSource;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.made = [];
  vi.stubGlobal('EventSource', FakeSource);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function begin() {
  const states: string[] = [];
  const seen: unknown[] = [];
  const stop = follow({
    on: { agent: (data) => seen.push(data), ping: () => undefined },
    connection: (state) => states.push(state),
    failed: () => undefined,
  });
  return { states, seen, stop };
}

test('a lost stream is opened again, later each time', () => {
  const { states, stop } = begin();
  last().onopen?.();
  last().onerror?.();
  expect(states).toEqual(['connecting', 'open', 'lost']);
  vi.advanceTimersByTime(retryDelayMs(0));
  expect(FakeSource.made.length).toBe(2);
  last().onerror?.();
  vi.advanceTimersByTime(retryDelayMs(0));
  expect(FakeSource.made.length).toBe(2);
  vi.advanceTimersByTime(retryDelayMs(1));
  expect(FakeSource.made.length).toBe(3);
  stop();
});

test('a stream that has fallen silent counts as lost, and a ping keeps it', () => {
  const { states, stop } = begin();
  last().onopen?.();
  vi.advanceTimersByTime(SILENCE_MAX_MS - 1);
  last().handlers.ping?.({ data: '{}' });
  vi.advanceTimersByTime(SILENCE_MAX_MS - 1);
  expect(states.at(-1)).toBe('open');
  vi.advanceTimersByTime(2);
  expect(states.at(-1)).toBe('lost');
  stop();
});

test('a broken event does not end the stream', () => {
  const errors = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  const { seen, stop } = begin();
  last().handlers.agent?.({ data: '{' });
  last().handlers.agent?.({ data: '{"version":2}' });
  expect(seen).toEqual([{ version: 2 }]);
  expect(errors).toHaveBeenCalledOnce();
  stop();
});

test('after the end nothing is opened any more', () => {
  const { stop } = begin();
  last().onerror?.();
  stop();
  vi.advanceTimersByTime(60_000);
  expect(FakeSource.made.length).toBe(1);
});
