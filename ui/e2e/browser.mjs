// Chromium for the tests of the pages: launch, languages, errors of the console, axe-core.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Debian's Chromium, without what it would do on its own. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}

/** A page in `language` and `scheme` whose console errors are collected in `page.errors`. */
export async function open(
  browser,
  { language = 'en', scheme = 'light', width = 1440, height = 900 } = {},
) {
  const context = await browser.newContext({
    locale: language,
    colorScheme: scheme,
    viewport: { width, height },
    reducedMotion: 'reduce',
    timezoneId: 'Europe/London',
  });
  const page = await context.newPage();
  page.errors = [];
  page.on('console', (message) => {
    // Before the log-in the page asks who we are, and 401 is the right answer to that.
    const asked = message.location().url.endsWith('/api/v1/session');
    if (message.type() === 'error' && !asked) page.errors.push(message.text());
  });
  page.on('pageerror', (error) => page.errors.push(String(error)));
  return page;
}

/** Fails on any serious or critical finding of axe-core. */
export async function checkAccess(page, what) {
  // Evaluated by the debugger, not by the page: the content security policy lets no script in.
  await page.evaluate(AXE);
  const found = await page.evaluate(() =>
    globalThis.axe.run(document, { resultTypes: ['violations'] }),
  );
  const serious = found.violations.filter((one) => ['serious', 'critical'].includes(one.impact));
  if (serious.length === 0) return;
  const words = serious.map(
    (one) =>
      `${one.id}: ${one.help}\n${one.nodes.map((node) => `    ${node.target} ${node.failureSummary}`).join('\n')}`,
  );
  throw new Error(`axe-core on ${what}:\n  ${words.join('\n  ')}`);
}

/** Fails if the page wrote an error to its console. */
export function checkConsole(page, what) {
  if (page.errors.length > 0) throw new Error(`console of ${what}: ${page.errors.join('\n')}`);
}
