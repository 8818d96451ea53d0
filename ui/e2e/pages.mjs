// Both pages against a running daemon: walks through them, checks them, takes the screenshots.
//   node e2e/pages.mjs BASE_URL ADMIN_LINK OUT_DIR [AGENT_LINK]
// With AGENT_LINK the agent works by keyboard only; without it the page of an agent who works
// already (a bot of the demo) is watched. Leaves manager-en.png, manager-uk.png, agent-en.png,
// agent-uk.png and the panels in OUT_DIR. Exit code 1 with the reason if anything is wrong.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAccess, checkConsole, launch, open } from './browser.mjs';

const ADMIN = { name: 'anna', password: 'correct horse battery' };
const LOOKS = [
  { language: 'en', theme: 'light' },
  { language: 'uk', theme: 'dark' },
];
const PANELS = ['lists', 'agents', 'trunks', 'dnc'];
/** A call of the demo comes well within this. */
const POP_MS = 90_000;

/** Runs it all; throws at the first fault. */
export async function walk({ base, adminLink, out, agentLink, onStep = () => {} }) {
  mkdirSync(out, { recursive: true });
  const browser = await launch();
  try {
    const manager = await open(browser);
    await signInByLink(manager, new URL(adminLink, base).href);
    onStep('signed in as administrator');
    await board(manager, out);
    onStep('the board was looked at');
    await panels(manager, out);
    onStep('the panels were looked at');
    const link = agentLink ?? (await linkOfBusyAgent(manager));
    const agent = await open(browser, { width: 1280, height: 860 });
    await agent.goto(new URL(link, base).href);
    await agent.waitForSelector('.bar');
    if (agentLink) await goOnLine(agent);
    await pop(agent, out, onStep);
    if (agentLink) await finishByKeyboard(agent, onStep);
    checkConsole(agent, 'the agent’s page');
    await again(manager, base);
    onStep('signed out and in again by password');
    checkConsole(manager, 'the manager’s page');
  } finally {
    await browser.close();
  }
}

async function signInByLink(page, link) {
  await page.goto(link);
  await page.waitForSelector('[name=password], .page');
  if (!(await page.$('[name=password]'))) return;
  await checkAccess(page, 'the page of the first administrator');
  await page.fill('[name=username]', ADMIN.name);
  await page.fill('[name=password]', ADMIN.password);
  await page.fill('[name=again]', ADMIN.password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.page');
}

async function look(page, { language, theme }) {
  await page.locator('#app > header select').nth(0).selectOption(language);
  await page.locator('#app > header select').nth(1).selectOption(theme);
  await page.waitForTimeout(300);
}

async function board(page, out) {
  await page.waitForSelector('canvas');
  // Numbers that move, for as long as an expected end needs.
  await page.waitForTimeout(13_000);
  for (const how of LOOKS) {
    await look(page, how);
    await checkAccess(page, `the manager’s page, ${how.language}`);
    await page.screenshot({ path: join(out, `manager-${how.language}.png`), fullPage: true });
  }
  await look(page, LOOKS[0]);
}

async function panels(page, out) {
  const buttons = page.locator('.tools button');
  for (const [at, name] of PANELS.entries()) {
    await buttons.nth(at).click();
    await drawer(page, out, name);
  }
  await page.locator('nav header button').click();
  await page.waitForSelector('dialog form');
  await drawer(page, out, 'campaign');
}

async function drawer(page, out, name) {
  await page.waitForSelector('dialog[open]');
  await page.waitForTimeout(400);
  await checkAccess(page, `the panel ${name}`);
  await page.screenshot({ path: join(out, `panel-${name}.png`) });
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
}

/** A new link of an agent who talks, else of the first one. */
function linkOfBusyAgent(page) {
  return page.evaluate(async () => {
    const api = async (path, method = 'GET', csrf = '') => {
      const answer = await fetch(`/api/v1${path}`, { method, headers: { 'x-csrf-token': csrf } });
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}`);
      return answer.json();
    };
    const { csrf } = await api('/session');
    const boards = await Promise.all(
      (await api('/campaigns')).map((one) => api(`/campaigns/${one.id}/board`)),
    );
    const rows = boards.flatMap((one) => one.agents);
    const busy = rows.find((row) => row.state === 'on_call') ?? rows[0];
    if (!busy) throw new Error('no agent works in any campaign');
    return (await api(`/agents/${busy.agent}/link`, 'POST', csrf)).link;
  });
}

/** Tab until the focus is on what `selector` names. */
async function tabTo(page, selector) {
  for (let presses = 0; presses < 60; presses++) {
    if (await page.evaluate((css) => document.activeElement?.matches(css), selector)) return;
    await page.keyboard.press('Tab');
  }
  throw new Error(`the keyboard does not reach ${selector}`);
}

async function goOnLine(page) {
  await tabTo(page, '.bar button.primary');
  await page.keyboard.press('Enter');
  // A log-in ends in a break or in readiness, as the dialer has it.
  const state = page.locator('.bar.tone-warn, .bar.tone-go, .bar.tone-talk, .bar.tone-look');
  await state.waitFor({ timeout: 30_000 });
  if (await page.$('.bar.tone-warn button.primary')) {
    await tabTo(page, '.bar button.primary');
    await page.keyboard.press('Enter');
  }
}

async function pop(page, out, onStep) {
  await page.waitForSelector('#person', { timeout: POP_MS });
  const name = (await page.textContent('#person')).trim();
  if (!name) throw new Error('the screen pop has no name');
  onStep('a screen pop came');
  for (const how of LOOKS) {
    // A bot's calls are short: the next person is awaited where the last one has gone.
    await page.waitForSelector('#person', { timeout: POP_MS });
    await look(page, how);
    await page.waitForSelector('#person', { timeout: POP_MS });
    await page.screenshot({ path: join(out, `agent-${how.language}.png`) });
    await checkAccess(page, `the agent’s page, ${how.language}`);
  }
  await look(page, LOOKS[0]);
}

async function finishByKeyboard(page, onStep) {
  const attempt = () => page.evaluate(() => document.getElementById('person')?.textContent);
  const person = await attempt();
  await page.focus('#person');
  await page.keyboard.press('2');
  if (await page.$('.call button.danger')) {
    await tabTo(page, '.call button.danger');
    await page.keyboard.press('Enter');
  }
  // The call's end puts the focus on the button that saves.
  await page.waitForFunction(() => document.activeElement?.matches('.save:not(:disabled)'), null, {
    timeout: 60_000,
  });
  await page.keyboard.press('Enter');
  await page.waitForFunction(
    (before) => document.getElementById('person')?.textContent !== before,
    person,
    { timeout: 10_000 },
  );
  onStep('a call was finished by keyboard only');
}

async function again(page, base) {
  await page.locator('#app > header > button').click();
  await page.waitForSelector('[name=password]');
  await checkAccess(page, 'the log-in page');
  await page.fill('[name=username]', ADMIN.name);
  await page.fill('[name=password]', 'wrong');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.notice.bad');
  await page.fill('[name=password]', ADMIN.password);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.page');
  if (!page.url().startsWith(new URL('/manager', base).href)) throw new Error(`at ${page.url()}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [base, adminLink, out, agentLink] = process.argv.slice(2);
  if (!out) {
    console.error('usage: node e2e/pages.mjs BASE_URL ADMIN_LINK OUT_DIR [AGENT_LINK]');
    process.exit(2);
  }
  try {
    await walk({ base, adminLink, out, agentLink, onStep: (step) => console.log(step) });
  } catch (error) {
    console.error(error);
    process.exit(1);
  }
}
