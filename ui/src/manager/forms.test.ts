import { expect, test } from 'vitest';
import type { CampaignDetail } from '../api/types';
import { emptyForm, formOf, settingsOf } from './campaignForm';
import { daysOf, guessColumns, headerOf, mapOf, spanOf, words } from './forms';

test('the header of a CSV is read with its quotes, its mark and its separator', () => {
  expect(headerOf('\uFEFFPhone,"Name, full","a ""b"""\r\n1,2,3')).toEqual([
    'Phone',
    'Name, full',
    'a "b"',
  ]);
  expect(headerOf('Телефон;ПІБ\n')).toEqual(['Телефон', 'ПІБ']);
});

test('columns are guessed by their names, each meaning once', () => {
  const header = ['id', 'Телефон', 'Phone 2', 'ПІБ', 'tz', 'score', 'city'];
  const columns = guessColumns(header);
  expect(columns).toEqual(['external_ref', 'phone', 'field', 'name', 'zone', 'priority', 'field']);
  expect(mapOf(header, columns)).toBe(
    'external_ref=id,phone=Телефон,name=ПІБ,zone=tz,priority=score',
  );
});

test('a span of the week comes back as it went', () => {
  const days = [true, true, true, true, true, false, false];
  const span = spanOf(days, '09:30', '20:00');
  expect(span).toEqual({ days: 31, from_minute: 570, to_minute: 1200 });
  expect(daysOf(span)).toEqual(days);
  expect(spanOf(days, '00:00', '23:59').to_minute).toBe(1440);
});

test('words stand between commas, spaces or line ends', () => {
  expect(words(' +1202555, 44;\n7 ')).toEqual(['+1202555', '44', '7']);
});

test('hours that the form cannot show stay as they were unless they are changed', () => {
  const spans = [
    { days: 31, from_minute: 540, to_minute: 720 },
    { days: 31, from_minute: 780, to_minute: 1440 },
  ];
  const settings = {
    name: 'C',
    mode: { kind: 'power', ratio_percent: 175 },
    trunk: 1,
    legal_zone: 'Europe/Kyiv',
    calling_hours: { spans },
    lines_max: 10,
    attempts_max: 2,
    ring_timeout_ms: 25_000,
    wrap_up_ms: 0,
    script: 's',
  } as CampaignDetail['settings'];
  const form = formOf({ id: 1, version: 1, state: 'created', settings, lists: [1], agents: [2] });
  expect(settingsOf(form)).toMatchObject({
    mode: { kind: 'power', ratio_percent: 175 },
    calling_hours: { spans },
    lists: [1],
    agents: [2],
  });
  expect(settingsOf({ ...form, to: '18:00' }).calling_hours).toEqual({
    spans: [{ days: 31, from_minute: 540, to_minute: 1080 }],
  });
});

test('a new campaign calls every day from nine to eight', () => {
  expect(settingsOf({ ...emptyForm('UTC'), name: ' New ' })).toMatchObject({
    name: 'New',
    mode: { kind: 'predictive' },
    calling_hours: { spans: [{ days: 127, from_minute: 540, to_minute: 1200 }] },
  });
});
