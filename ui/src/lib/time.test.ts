import { expect, test } from 'vitest';
import { clockText, instantOf, isZone, secondsLeft, shareLeft, wallClock } from './time';

test('spans are written as a clock', () => {
  expect([-5, 0, 9_999, 61_000, 3_600_000 + 61_000].map(clockText)).toEqual([
    '0:00',
    '0:00',
    '0:09',
    '1:01',
    '1:01:01',
  ]);
});

test('a countdown shows zero only when it is over', () => {
  expect(secondsLeft(1_000, 1)).toBe(1);
  expect(secondsLeft(1_000, 999)).toBe(1);
  expect(secondsLeft(1_000, 1_000)).toBe(0);
  expect(secondsLeft(1_000, 5_000)).toBe(0);
});

test('the share that is left runs from one to zero and no further', () => {
  expect([0, 1_000, 2_500, 9_000].map((now) => shareLeft(1_000, 4_000, now))).toEqual([
    1, 1, 0.5, 0,
  ]);
  expect(shareLeft(5, 5, 5)).toBe(0);
});

test('a wall clock in another zone comes back as the same instant, also beside a change of clocks', () => {
  for (const zone of ['Europe/Kyiv', 'America/New_York', 'Asia/Kolkata', 'Australia/Lord_Howe']) {
    for (const hour of [0, 1, 2, 3, 5, 11]) {
      const at = Date.UTC(2026, 2, 29, hour, 35);
      expect(instantOf(wallClock(at, zone), zone), `${zone} ${hour}`).toBe(at);
    }
  }
  expect(instantOf('2026-11-25T10:00', 'Europe/Kyiv')).toBe(Date.UTC(2026, 10, 25, 8));
  expect(instantOf('', 'Europe/Kyiv')).toBe(null);
});

test('only a zone that the browser knows is one', () => {
  expect(['Europe/Kyiv', 'UTC', '', 'Nowhere/City'].map(isZone)).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
