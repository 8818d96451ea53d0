// The same walk against the mock, and what only the mock can do: a connection that is cut.
//   npm run build && npm run e2e [-- OUT_DIR]
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startMock } from '../dev/mock.mjs';
import { checkAccess, checkConsole, launch, open } from './browser.mjs';
import { walk } from './pages.mjs';

const out = process.argv[2] ?? join(tmpdir(), 'campanile-pages');
const mock = await startMock();
try {
  await walk({
    base: mock.url,
    adminLink: '/link/admin',
    agentLink: '/link/agent',
    out,
    onStep: (step) => console.log(step),
  });
  await cut();
  await previewing();
  console.log(`screenshots: ${out}`);
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  mock.stop();
}

/** A page whose connection is lost says so, and catches up by itself. */
async function cut() {
  const browser = await launch();
  const page = await open(browser);
  await page.goto(`${mock.url}/link/agent`);
  await page.waitForSelector('.bar');
  await page.waitForTimeout(500);
  mock.cut();
  await page.waitForSelector('.banner');
  mock.world.desk(1).set({ state: 'paused', call: null, preview: null, until_ms: null });
  await page.waitForSelector('.banner', { state: 'detached' });
  await page.waitForSelector('.bar.tone-warn');
  await browser.close();
  console.log('a lost connection came back');
}

/** The preview card: accepted by keyboard. */
async function previewing() {
  const browser = await launch();
  const page = await open(browser, { language: 'uk', scheme: 'dark', width: 1280, height: 860 });
  await page.goto(`${mock.url}/link/preview`);
  await page.waitForSelector('.bar');
  mock.world.desk(2).ready();
  await page.waitForSelector('.preview .call');
  await page.screenshot({ path: join(out, 'preview-uk.png') });
  await checkAccess(page, 'the preview');
  for (let presses = 0; presses < 40; presses++) {
    await page.keyboard.press('Tab');
    if (await page.evaluate(() => document.activeElement?.matches('.preview .call'))) break;
  }
  await page.keyboard.press('Enter');
  await page.waitForSelector('.call.tone-talk');
  checkConsole(page, 'the preview');
  await browser.close();
  console.log('a preview was accepted by keyboard');
}
