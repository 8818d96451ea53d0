// The language of the pages, and texts, numbers and times written in it.
import { messages, type MessageKey } from './messages';

export type Language = 'en' | 'uk' | 'ru';
export const LANGUAGES: readonly Language[] = ['en', 'uk', 'ru'];
export type Values = Record<string, string | number>;

const STORED = 'campanile.language';

function isLanguage(word: string | null | undefined): word is Language {
  return LANGUAGES.includes(word as Language);
}

/** The language to begin with: the one chosen before, else the browser's first that we have. */
export function firstLanguage(stored: string | null, browser: readonly string[]): Language {
  if (isLanguage(stored)) return stored;
  for (const tag of browser) {
    const word = tag.slice(0, 2).toLowerCase();
    if (isLanguage(word)) return word;
  }
  return 'en';
}

/** A text with its values put in. */
export function fill(text: string, values: Values, language: Language): string {
  return text.replace(/\{(\w+)(?::([^}]*))?\}/g, (whole, name: string, forms?: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    if (forms === undefined) {
      return typeof value === 'number' ? value.toLocaleString(language) : value;
    }
    const choices = forms.split('|');
    const rule = new Intl.PluralRules(language).select(Number(value));
    const at =
      language === 'en' ? (rule === 'one' ? 0 : 1) : ({ one: 0, few: 1 }[rule as string] ?? 2);
    return choices[at] ?? choices.at(-1) ?? '';
  });
}

const begin = firstLanguage(localStorage.getItem(STORED), navigator.languages);
let language = $state<Language>(begin);
document.documentElement.lang = begin;

export const i18n = {
  get language(): Language {
    return language;
  },
  set language(chosen: Language) {
    language = chosen;
    localStorage.setItem(STORED, chosen);
    document.documentElement.lang = chosen;
  },
};

/** The text of a key. A code that a newer server put into a key is shown as it is. */
export function t(key: MessageKey, values: Values = {}): string {
  return isKey(key) ? fill(messages[key][language], values, language) : String(key);
}

/** Whether the catalogue has this key. */
export function isKey(key: string): key is MessageKey {
  return Object.hasOwn(messages, key);
}

/** The text of `prefix.code`, or the code itself where the server is newer than this page. */
export function tCode(prefix: string, code: string): string {
  const key = `${prefix}.${code}`;
  return isKey(key) ? t(key) : code;
}

/** A count with the digits grouped. */
export function number(value: number): string {
  return value.toLocaleString(language);
}

/** A share (0–1) in per cent. */
export function percent(share: number, digits = 0): string {
  return share.toLocaleString(language, {
    style: 'percent',
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Parts per million in per cent. */
export function ppm(value: number, digits = 2): string {
  return percent(value / 1_000_000, digits);
}

/** A time of day, in `zone` or the browser's own. */
export function timeOfDay(atMs: number, zone?: string): string {
  return new Intl.DateTimeFormat(language, {
    timeZone: zone,
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(atMs);
}

/** A day and time. */
export function dayAndTime(atMs: number, zone?: string): string {
  return new Intl.DateTimeFormat(language, {
    timeZone: zone,
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).format(atMs);
}

/** A day. */
export function day(atMs: number, zone?: string): string {
  return new Intl.DateTimeFormat(language, {
    timeZone: zone,
    day: 'numeric',
    month: 'short',
    year: 'numeric',
  }).format(atMs);
}

/** A time of day to the second. */
export function clockTime(atMs: number): string {
  return new Intl.DateTimeFormat(language, { timeStyle: 'medium', hourCycle: 'h23' }).format(atMs);
}
