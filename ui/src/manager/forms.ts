// What forms hold as text and the API takes as values.
import type { DaySpan } from '../api/types';

/** Words between commas, spaces or line ends. */
export function words(text: string): string[] {
  return text.split(/[\s,;]+/).filter(Boolean);
}

/** `HH:MM` as a minute of the day; 24:00 is the end of the day. */
export function minuteOf(time: string): number {
  const [hour = 0, minute = 0] = time.split(':').map(Number);
  return hour * 60 + minute;
}

/** A minute of the day as a time field holds it; the end of the day is written as its last minute. */
export function timeOfMinute(minute: number): string {
  const shown = Math.min(minute, 1439);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(Math.floor(shown / 60))}:${two(shown % 60)}`;
}

/** One span of the week from the fields of a form: 23:59 means the whole last minute too. */
export function spanOf(days: boolean[], from: string, to: string): DaySpan {
  const bits = days.reduce((sum, on, at) => sum + (on ? 1 << at : 0), 0);
  const end = minuteOf(to);
  return { days: bits, from_minute: minuteOf(from), to_minute: end === 1439 ? 1440 : end };
}

/** The days of a span, Monday first. */
export function daysOf(span: DaySpan): boolean[] {
  return Array.from({ length: 7 }, (_, at) => (span.days & (1 << at)) !== 0);
}

/** What a column of a CSV file becomes. */
export type Column = 'phone' | 'name' | 'external_ref' | 'zone' | 'priority' | 'field';

const NAMES: [Column, RegExp][] = [
  ['phone', /phone|tel|mobile|msisdn|number|телефон|номер/i],
  ['external_ref', /^(id|ref|.*external.*|.*crm.*)$/i],
  ['zone', /zone|^tz$|пояс/i],
  ['priority', /priorit|score|пріоритет|приоритет/i],
  ['name', /name|имя|ім['’]?я|фио|піб|клієнт|клиент/i],
];

/** A guess at what the columns mean, each meaning used once. */
export function guessColumns(header: string[]): Column[] {
  const used = new Set<Column>();
  return header.map((title) => {
    const found = NAMES.find(([column, name]) => !used.has(column) && name.test(title.trim()));
    if (!found) return 'field';
    used.add(found[0]);
    return found[0];
  });
}

/** The first row of a CSV text (RFC 4180 quoting, comma or semicolon). */
export function headerOf(text: string): string[] {
  const line = text.replace(/^\uFEFF/, '');
  const cells: string[] = [];
  let cell = '';
  let quoted = false;
  const separator = separatorOf(line);
  for (let at = 0; at < line.length; at++) {
    const char = line[at];
    if (quoted) {
      if (char === '"' && line[at + 1] === '"') {
        cell += '"';
        at++;
      } else if (char === '"') quoted = false;
      else cell += char;
    } else if (char === '"') quoted = true;
    else if (char === separator) {
      cells.push(cell);
      cell = '';
    } else if (char === '\n' || char === '\r') break;
    else cell += char;
  }
  cells.push(cell);
  return cells.map((one) => one.trim());
}

function separatorOf(text: string): string {
  const first = text.split(/\r?\n/, 1)[0] ?? '';
  return first.split(';').length > first.split(',').length ? ';' : ',';
}

/** The `map` of an import: `phone=Tel,name=Full name`; plain fields keep their own names. */
export function mapOf(header: string[], columns: Column[]): string {
  return columns
    .map((column, at) => (column === 'field' ? '' : `${column}=${header[at] ?? ''}`))
    .filter(Boolean)
    .join(',');
}
