import { parse } from 'svelte/compiler';
import { expect, test } from 'vitest';
import { messages, type Text } from './messages';

const sources = import.meta.glob<string>(['./**/*.svelte', './**/*.ts', '!./**/*.test.ts'], {
  query: '?raw',
  import: 'default',
  eager: true,
});
const rust = import.meta.glob<string>(
  ['../../src/domain/*.rs', '../../src/adapters/views.rs', '../../src/adapters/api/error.rs'],
  { query: '?raw', import: 'default', eager: true },
);
const catalogue: Record<string, Text> = messages;
const keys = Object.keys(catalogue);
const LANGUAGES = ['en', 'uk', 'ru'] as const;

/** The Rust source at this path under `src/`. */
function rustAt(path: string): string {
  const text = rust[`../../src/${path}`];
  if (!text) throw new Error(`no ${path}`);
  return text;
}
/** Everything that a pattern finds, by its first group. */
function found(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}
const snake = (name: string): string =>
  name.replace(/(?<!^)[A-Z]/g, (letter) => `_${letter}`).toLowerCase();
/** The variants of an enum without data, as serde writes them. */
function variants(path: string, name: string): string[] {
  const body = new RegExp(`pub enum ${name} \\{([\\s\\S]*?)\\n\\}`).exec(rustAt(path))?.[1] ?? '';
  return found(body, /^ {4}([A-Z]\w*)[,({ ]/gm).map(snake);
}
/** The words in backticks of the comment above a field. */
function documented(path: string, after: string, field: string): string[] {
  const text = rustAt(path);
  const from = text.slice(text.indexOf(after));
  const above =
    from
      .slice(0, from.indexOf(`pub ${field}:`))
      .split('pub ')
      .at(-1) ?? '';
  return found(above, /`([a-z_]+)`/g);
}
function expectAll(prefix: string, codes: string[], least: number): void {
  expect(codes.length, `codes for ${prefix}`).toBeGreaterThanOrEqual(least);
  const missing = codes.filter((code) => !(`${prefix}.${code}` in catalogue));
  expect(missing, `of ${prefix}`).toEqual([]);
}

test('every text is there in every language', () => {
  const gaps = keys.flatMap((key) =>
    LANGUAGES.filter((language) => !catalogue[key]?.[language].trim()).map((l) => `${key} ${l}`),
  );
  expect(gaps).toEqual([]);
});

test('a translated text is not the English one', () => {
  const same = keys.filter((key) => {
    const { en, uk, ru } = catalogue[key] as Text;
    // Without values and signs there must be Cyrillic letters, unless the English has no words.
    const words = en.replace(/\{[^}]*\}/g, '').replace(/[^A-Za-z]/g, '');
    return (
      words.length > 0 && (!/\p{Script=Cyrillic}/u.test(uk) || !/\p{Script=Cyrillic}/u.test(ru))
    );
  });
  const names = ['app.name', 'lang.en', 'lang.uk', 'lang.ru'];
  expect(same.filter((key) => !names.includes(key))).toEqual([]);
});

test('every language puts in the same values, with as many plural forms as it has', () => {
  const wrong = keys.filter((key) => {
    const text = catalogue[key] as Text;
    const names = (language: (typeof LANGUAGES)[number]): string =>
      [...new Set(found(text[language], /\{(\w+)/g))].sort().join();
    const forms = LANGUAGES.every((language) =>
      found(text[language], /\{\w+:([^}]*)\}/g).every(
        (of) => of.split('|').length === (language === 'en' ? 2 : 3),
      ),
    );
    return names('en') !== names('uk') || names('en') !== names('ru') || !forms;
  });
  expect(wrong).toEqual([]);
});

test('every code of the program has a text', () => {
  expectAll('result', found(rustAt('domain/call_result.rs'), / = "([a-z_]+)", \d+/g), 40);
  expectAll('agent.state', variants('domain/agent.rs', 'AgentState'), 8);
  expectAll('agent.refused', variants('domain/agent.rs', 'AgentRefusal'), 4);
  expectAll('held', variants('domain/attempt.rs', 'IntentRefusal'), 6);
  expectAll('campaign.state', variants('domain/campaign.rs', 'CampaignState'), 5);
  expectAll('mode', variants('domain/campaign.rs', 'Mode'), 4);
  expectAll('next', variants('domain/disposition.rs', 'NextAction'), 4);
  expectAll('disp.code', found(rustAt('domain/disposition.rs'), /choice\("([a-z_]+)"/g), 5);
  expectAll('abandon.formula', variants('domain/abandon.rs', 'Formula'), 2);
  expectAll('abandon.denominator', variants('domain/abandon.rs', 'Formula'), 2);
  expectAll('abandon.clock', variants('domain/abandon.rs', 'ClockStart'), 1);
  const pacing = documented('adapters/views.rs', 'struct BoardView', 'pacing');
  expectAll('pacing', pacing, 10);
  expectAll('pacing.why', pacing, 10);
  expectAll('live', documented('adapters/views.rs', 'struct LiveCallView', 'state'), 8);
});

test('every refusal of the API has a text', () => {
  const named = found(rustAt('adapters/api/error.rs'), /"((?:error|agent\.refused)\.[a-z_]+)"/g);
  expect(named.length).toBeGreaterThan(15);
  expect(named.filter((key) => !(key in catalogue))).toEqual([]);
});

test('the English labels of the first dispositions are those of the program', () => {
  const choices = rustAt('domain/disposition.rs').matchAll(/choice\("([a-z_]+)", "([^"]+)"/g);
  for (const [, code, label] of choices) expect(catalogue[`disp.code.${code}`]?.en).toBe(label);
});

test('no key is unknown and none is left over', () => {
  const all = Object.entries(sources).filter(([path]) => path !== './messages.ts');
  const text = all.map(([, source]) => source).join('\n');
  const literal = found(text, /['"`]([a-z_]+(?:\.[a-z0-9_]+)+)['"`]/g);
  const unknown = found(text, /\bt\(\s*['"]([^'"]+)['"]/g).filter((key) => !(key in catalogue));
  expect(unknown).toEqual([]);
  // Keys that are put together: `prefix.${code}`, `${panel}.title`, tCode('prefix', …).
  const prefixes = [
    ...found(text, /`([a-z_.]+\.)\$\{/g),
    ...found(text, /tCode\('([a-z_.]+)'/g).map((prefix) => `${prefix}.`),
  ];
  const suffixes = found(text, /`\$\{\w+\}(\.[a-z_.]+)`/g);
  // Named by the server.
  const served = ['error.', 'agent.refused.'];
  const over = keys.filter(
    (key) =>
      !literal.includes(key) &&
      ![...prefixes, ...served].some((prefix) => key.startsWith(prefix)) &&
      !suffixes.some((suffix) => key.endsWith(suffix)),
  );
  expect(over).toEqual([]);
});

interface Node {
  type: string;
  name?: string;
  data?: string;
  value?: unknown;
  [key: string]: unknown;
}
const SPOKEN = ['aria-label', 'aria-description', 'title', 'alt', 'label'];

/** Texts with letters that stand in the markup itself. */
function hardCoded(source: string): string[] {
  const texts: string[] = [];
  const walk = (node: unknown, inAttribute: boolean): void => {
    if (Array.isArray(node)) return node.forEach((one) => walk(one, inAttribute));
    if (typeof node !== 'object' || node === null) return;
    const one = node as Node;
    if (one.type === 'Attribute') {
      // A component's properties may hold codes; what is spoken or read may not.
      if (SPOKEN.includes(one.name ?? '')) walk(one.value, false);
      else walk(one.value, true);
      return;
    }
    if (one.type === 'Text' && !inAttribute && /\p{L}/u.test(one.data ?? '')) {
      texts.push((one.data ?? '').trim());
    }
    for (const [key, child] of Object.entries(one)) {
      if (key !== 'parent') walk(child, inAttribute);
    }
  };
  walk(parse(source, { modern: true }).fragment, false);
  return texts;
}

test('no page has a text of its own', () => {
  const pages = Object.entries(sources).filter(([path]) => path.endsWith('.svelte'));
  expect(pages.length).toBeGreaterThan(20);
  const texts = pages.flatMap(([path, source]) =>
    hardCoded(source).map((text) => `${path}: ${text}`),
  );
  expect(texts).toEqual([]);
});

test('a text in the markup or in what is spoken would be found', () => {
  expect(hardCoded('<p class="muted">Hello {1}</p>')).toEqual(['Hello']);
  expect(hardCoded('{#if true}<button aria-label="Stop">{x}</button>{/if}')).toEqual(['Stop']);
  expect(hardCoded('<p class="muted">{x} · 7</p>')).toEqual([]);
});
