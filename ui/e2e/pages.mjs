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
const CAMPAIGN = 'Autumn walk';
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

/** Each panel is looked at, and does what it is for. */
async function panels(page, out) {
  const work = { lists: importList, agents: addAgent, trunks: checkTrunk, dnc: forbid };
  for (const [at, name] of PANELS.entries()) {
    await page.locator('.tools button').nth(at).click();
    await page.waitForSelector('dialog[open]');
    await work[name](page);
    await shut(page, out, name);
  }
  await page.locator('nav header button').click();
  await page.waitForSelector('dialog form');
  await page.locator('dialog input').first().fill(CAMPAIGN);
  await page.locator('dialog .picks input').first().check();
  await shut(page, out, 'campaign', () => page.locator('dialog form > .wide > button').click());
  await page.waitForSelector('.main .notice.good');
  await page.locator('h1', { hasText: CAMPAIGN }).waitFor();
  // Its settings come back as they went.
  await page.locator('.head button.quiet').click();
  await page.waitForSelector('dialog form');
  const name = await page.locator('dialog input').first().inputValue();
  if (name !== CAMPAIGN) throw new Error(`the settings hold the name ${name}`);
  await page.locator('dialog form > .wide > button').click();
  await page.waitForSelector('dialog', { state: 'detached' });
}

async function shut(page, out, name, close = () => page.keyboard.press('Escape')) {
  await page.waitForTimeout(300);
  await checkAccess(page, `the panel ${name}`);
  await page.screenshot({ path: join(out, `panel-${name}.png`) });
  await close();
  await page.waitForSelector('dialog', { state: 'detached' });
}

async function importList(page) {
  const buffer = Buffer.from('Телефон,ПІБ,city\n+442079460901,Ганна Кузьмук,Leeds\nnone,X,Y\n');
  await page.setInputFiles('dialog [type=file]', {
    name: 'walk.csv',
    mimeType: 'text/csv',
    buffer,
  });
  await page.locator('dialog form button.primary').first().click();
  await page.waitForSelector('dialog .report');
}

async function addAgent(page) {
  await page.locator('dialog summary').click();
  const fields = page.locator('dialog form.grid input');
  await fields.nth(0).fill('Walk');
  await fields.nth(1).fill('sip:999@127.0.0.1:5999');
  await page.locator('dialog form button.primary').click();
  const link = page.locator('dialog .secret input');
  await link.waitFor();
  if (!(await link.inputValue()).includes('/link/')) throw new Error('a new agent has no link');
}

async function checkTrunk(page) {
  await page.locator('dialog .rows button').first().click();
  await page.locator('dialog .said.tone-go').waitFor();
}

async function forbid(page) {
  await page.fill('dialog [type=tel]', '+44 20 7946 0999');
  await page.locator('dialog form button.primary').click();
  const row = page.locator('dialog .rows li', { hasText: '+442079460999' });
  await row.waitFor();
  await row.locator('button').click();
  await row.waitFor({ state: 'detached' });
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
    await look(page, how);
    // A bot's calls are short: the next one is awaited, so that the picture is of a talk.
    await page.waitForSelector('.call.tone-talk', { timeout: POP_MS });
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
