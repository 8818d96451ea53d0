import { expect, test } from 'vitest';
import { fill, firstLanguage } from './i18n.svelte';

test('the chosen language stands before the browser’s, and English is the last resort', () => {
  expect(firstLanguage('uk', ['ru'])).toBe('uk');
  expect(firstLanguage(null, ['de-DE', 'ru-UA', 'uk'])).toBe('ru');
  expect(firstLanguage('xx', ['de'])).toBe('en');
});

test('a number takes the plural form of its language', () => {
  const text = '{n} {n:дзвінок|дзвінки|дзвінків}';
  const forms = [1, 3, 5, 21, 112].map((n) => fill(text, { n }, 'uk'));
  expect(forms).toEqual(['1 дзвінок', '3 дзвінки', '5 дзвінків', '21 дзвінок', '112 дзвінків']);
  const calls = [1, 2].map((n) => fill('{n} {n:call|calls}', { n }, 'en'));
  expect(calls).toEqual(['1 call', '2 calls']);
});

test('a value that is missing stays visible', () => {
  expect(fill('Hello {name}', {}, 'en')).toBe('Hello {name}');
});
