import { expect, test } from 'vitest';
import type { Abandon } from '../api/types';
import { gaugeOf } from './gauge';

function abandon(abandoned: number, answered: number): Abandon {
  return {
    abandoned,
    answered,
    rate_ppm: answered ? Math.floor((abandoned * 1e6) / answered) : 0,
    limit_ppm: 30_000,
  } as Abandon;
}

test('the gauge says how near the limit the rate is', () => {
  const words = [
    [0, 0],
    [0, 50],
    [1, 100],
    [24, 1000],
    [3, 100],
    [31, 1000],
  ].map(([above = 0, below = 0]) => gaugeOf(abandon(above, below)).word);
  expect(words).toEqual([
    'abandon.empty',
    'abandon.safe',
    'abandon.safe',
    'abandon.near',
    'abandon.near',
    'abandon.over',
  ]);
});

test('one abandon too many is over, even where the rate in millionths looks like the limit', () => {
  // 30 000.03 millionths, cut to 30 000.
  const barely = abandon(30_001, 1_000_032);
  expect(barely.rate_ppm).toBe(30_000);
  expect(gaugeOf(barely).word).toBe('abandon.over');
});

test('the limit stands at two thirds of the scale until the rate needs more room', () => {
  expect(gaugeOf(abandon(3, 100))).toMatchObject({ at: 2 / 3, limitAt: 2 / 3 });
  const far = gaugeOf(abandon(50, 100));
  expect(far.at).toBeLessThan(1);
  expect(far.limitAt).toBeLessThan(0.1);
});
