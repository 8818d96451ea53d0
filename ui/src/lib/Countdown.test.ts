import { render, screen } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterAll, expect, test, vi } from 'vitest';

// Before the imports below: the clock begins to tick when it is loaded.
vi.hoisted(() => vi.useFakeTimers({ now: 1_000_000 }));
import Countdown from './Countdown.svelte';

afterAll(() => vi.useRealTimers());

test('a countdown runs down to zero and stays there', async () => {
  render(Countdown, { label: 'Left', sinceMs: 1_000_000, untilMs: 1_010_000 });
  const text = (): string => screen.getByRole('timer').textContent ?? '';
  const bar = (): number => (screen.getByRole('progressbar') as HTMLProgressElement).value;
  expect(text()).toBe('0:10');
  expect(bar()).toBe(1);
  vi.advanceTimersByTime(4_000);
  await tick();
  expect(text()).toBe('0:06');
  expect(bar()).toBeCloseTo(0.6);
  vi.advanceTimersByTime(60_000);
  await tick();
  expect(text()).toBe('0:00');
  expect(bar()).toBe(0);
});
