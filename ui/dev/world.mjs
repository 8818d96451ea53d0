// What the mock shows: campaigns that dial a made-up population, and desks of two agents.
import { randomUUID } from 'node:crypto';
import { CARDS, NAMES, RESULTS } from './people.mjs';

const TICK_MS = 250;
const ABANDON_LIMIT_PPM = 30_000;

/** A small generator of random numbers, so that a run can be repeated (mulberry32). */
function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The abandon rate of a campaign that never ran. */
const NOTHING = {
  abandoned: 0,
  answered: 0,
  rate_ppm: 0,
  limit_ppm: 0,
  formula: '',
  clock_start: '',
  wait_ms: 0,
  window_start_ms: 0,
  window_end_ms: 0,
  zone: '',
  outside: 0,
};

export class World {
  campaigns = new Map();
  desks = new Map();
  agents = [];
  trunks = [];
  lists = [];
  dnc = [];
  jobs = new Map();
  onAgent = () => {};
  onCampaigns = () => {};

  constructor(seed) {
    this.dice = dice(seed);
    this.users = [
      { id: 1, name: 'admin', role: 'admin', agent: null, must_set_password: true, link: 'admin' },
      { id: 2, name: NAMES[0], role: 'agent', agent: 1, must_set_password: false, link: 'agent' },
      { id: 3, name: NAMES[1], role: 'agent', agent: 2, must_set_password: false, link: 'preview' },
    ];
    this.agents = NAMES.map((name, at) => ({
      id: at + 1,
      name,
      phone: `sip:${101 + at}@127.0.0.1:${5100 + at}`,
      campaigns: [1],
    }));
    this.trunks.push({
      id: 1,
      version: 1,
      name: 'Lab',
      profile: 'lab',
      address: '127.0.0.1:5070',
      domain: '',
      caller_ids: ['+12025550100'],
      calls_per_second: 20,
      lines: 60,
      allowed_prefixes: ['1202555', '442079460'],
      networks: [],
      username: null,
      password: null,
    });
    this.lists.push({
      id: 1,
      name: 'Spring offer',
      source: 'upload',
      state: 'ready',
      contacts: 1000,
    });
    this.addCampaign('Spring offer', { kind: 'predictive' }, 1000, 20);
    this.addCampaign('Renewals, second round', { kind: 'progressive' }, 240, 4, 'paused');
    this.addCampaign('Key accounts', { kind: 'preview' }, 60, 2, 'created');
    this.desks.set(1, new Desk(this, 1, NAMES[0], false));
    this.desks.set(2, new Desk(this, 2, NAMES[1], true));
    // As if it had run for some minutes.
    for (let step = 900; step > 0; step--) this.#tick(Date.now() - step * TICK_MS);
    this.timer = setInterval(() => this.#tick(Date.now()), TICK_MS);
  }

  stop() {
    clearInterval(this.timer);
    for (const desk of this.desks.values()) desk.stop();
  }

  addCampaign(name, mode, total, agents, state = 'running') {
    const id = this.campaigns.size + 1;
    const now = Date.now() - 900 * TICK_MS;
    this.campaigns.set(id, {
      id,
      name,
      mode,
      state,
      version: 1,
      contacts: { total, ready: total, waits: 0, live: 0, closed: 0 },
      lists: [1],
      agents: this.agents.slice(0, agents).map((agent) => ({
        agent: agent.id,
        name: agent.name,
        state: agent.id % 9 === 8 ? 'paused' : 'ready',
        since_ms: now - agent.id * 1000,
        calls: 0,
        leaving: false,
      })),
      calls: [],
      results: new Map(),
      history: [],
      answered: 0,
      abandoned: 0,
      attempts: 0,
      pacing: 'dialling',
      busyMs: 0,
      allMs: 0,
      settings: {
        name,
        mode,
        trunk: 1,
        legal_zone: 'Europe/London',
        calling_hours: { spans: [{ days: 127, from_minute: 540, to_minute: 1200 }] },
        lines_max: 60,
        attempts_max: 3,
        ring_timeout_ms: 25_000,
        wrap_up_ms: 30_000,
        preview_timeout_ms: 30_000,
        script: CARDS[0].script,
        dispositions: [],
      },
    });
    return this.campaigns.get(id);
  }

  #tick(now) {
    for (const campaign of this.campaigns.values()) {
      this.#agents(campaign, now);
      this.#calls(campaign, now);
      this.#launch(campaign, now);
      const last = campaign.history.at(-1);
      if (!last || now - last.t_ms >= 1000) {
        campaign.history.push({
          t_ms: now,
          ringing: campaign.calls.filter((call) => call.state === 'ringing').length,
          talking: campaign.calls.filter((call) => call.state === 'talking').length,
          ready_agents: campaign.agents.filter((agent) => agent.state === 'ready').length,
          launched: 0,
          rate_ppm: ratePpm(campaign),
        });
      }
    }
  }

  #agents(campaign, now) {
    for (const agent of campaign.agents) {
      if (['on_call', 'wrap_up'].includes(agent.state)) campaign.busyMs += TICK_MS;
      if (!['paused', 'logged_out'].includes(agent.state)) campaign.allMs += TICK_MS;
      if (agent.state === 'wrap_up' && now >= agent.until) set(agent, 'ready', now);
    }
  }

  #calls(campaign, now) {
    for (const call of campaign.calls) {
      if (now < call.until) continue;
      if (call.state === 'ringing') this.#rung(campaign, call, now);
      else {
        const agent = campaign.agents.find((one) => one.agent === call.agent);
        if (agent && call.state === 'talking') {
          set(agent, 'wrap_up', now);
          agent.until = now + 3000 + this.dice() * 5000;
        }
        this.#end(campaign, call, call.result);
      }
    }
    campaign.calls = campaign.calls.filter((call) => !call.over);
    campaign.contacts.live = campaign.calls.length;
  }

  #rung(campaign, call, now) {
    const roll = this.dice();
    if (roll > 0.42) return this.#end(campaign, call, pick(RESULTS, this.dice()));
    campaign.answered++;
    const agent = campaign.agents.find((one) => one.state === 'ready');
    call.since_ms = now;
    if (!agent) {
      campaign.abandoned++;
      return Object.assign(call, {
        state: 'message',
        until: now + 4000,
        result: 'abandoned_to_message',
      });
    }
    set(agent, 'on_call', now);
    agent.calls++;
    const until = now + 9000 + this.dice() * 16_000;
    return Object.assign(call, {
      state: 'talking',
      agent: agent.agent,
      until,
      result: 'connected',
    });
  }

  #end(campaign, call, result) {
    call.over = true;
    campaign.attempts++;
    campaign.results.set(result, (campaign.results.get(result) ?? 0) + 1);
    const { contacts } = campaign;
    if (['busy', 'no_answer'].includes(result) && this.dice() < 0.5) contacts.waits++;
    else contacts.closed++;
  }

  #launch(campaign, now) {
    const { contacts } = campaign;
    const ready = campaign.agents.filter((agent) => agent.state === 'ready').length;
    const ringing = campaign.calls.filter((call) => call.state === 'ringing').length;
    campaign.pacing = 'dialling';
    if (campaign.state !== 'running') campaign.pacing = 'paused';
    else if (contacts.ready === 0) campaign.pacing = 'list_empty';
    else if (ready === 0) campaign.pacing = 'no_agents';
    else if (ringing + 1 > covered(campaign, ready)) campaign.pacing = 'bound';
    if (campaign.pacing !== 'dialling') return;
    contacts.ready--;
    const number = `+4420…${String(Math.floor(this.dice() * 100)).padStart(2, '0')}`;
    campaign.calls.push({
      attempt: randomUUID(),
      state: 'ringing',
      since_ms: now,
      until: now + 1500 + this.dice() * 6000,
      number,
      agent: null,
    });
  }

  board(id) {
    const campaign = this.campaigns.get(id);
    const count = (state) => campaign.calls.filter((call) => call.state === state).length;
    const start = Date.UTC(2026, 10, 24);
    return {
      campaign: id,
      name: campaign.name,
      state: campaign.state,
      mode: campaign.mode.kind,
      at_ms: Date.now(),
      contacts: campaign.contacts,
      ringing: count('ringing'),
      waiting: 0,
      talking: count('talking'),
      attempts: campaign.attempts,
      results: [...campaign.results].sort((a, b) => b[1] - a[1]),
      refused: campaign.attempts
        ? [
            ['number_gap', 4],
            ['do_not_call', 2],
          ]
        : [],
      abandon:
        campaign.state === 'created'
          ? NOTHING
          : {
              abandoned: campaign.abandoned,
              answered: campaign.answered,
              rate_ppm: ratePpm(campaign),
              limit_ppm: ABANDON_LIMIT_PPM,
              formula: 'abandoned_plus_connected',
              clock_start: 'answer',
              wait_ms: 2000,
              window_start_ms: start,
              window_end_ms: start + 86_400_000,
              zone: 'Europe/London',
              outside: 0,
            },
      answer_to_agent_ms: campaign.answered ? [38, 412] : null,
      utilisation: campaign.allMs ? campaign.busyMs / campaign.allMs : 0,
      pacing: campaign.state === 'created' ? '' : campaign.pacing,
      calls: campaign.calls.map(({ attempt, state, since_ms, number, agent }) => ({
        attempt,
        state,
        since_ms,
        number,
        agent,
      })),
      agents: campaign.agents.map(({ agent, name, state, since_ms, calls, leaving }) => ({
        agent,
        name,
        state,
        since_ms,
        calls,
        leaving,
      })),
    };
  }

  summaries() {
    return [...this.campaigns.values()].map(({ id, name, state, mode, version, contacts }) => ({
      id,
      name,
      state,
      mode,
      version,
      lists: [1],
      agents: [1, 2],
      contacts,
    }));
  }

  desk(agent) {
    return this.desks.get(agent);
  }

  signIn({ link, name, password }) {
    if (link) return this.users.find((user) => user.link === link);
    return this.users.find(
      (user) => user.name === name && user.password && user.password === password,
    );
  }

  /** What is behind `METHOD /path`; `undefined` if nothing. */
  route(call, { url, json, text, user }) {
    const desk = this.desk(user.agent);
    if (call.includes(' /agent') && !call.includes(' /agents')) return desk?.route(call, json);
    const part = /^(\w+) \/campaigns\/(\d+)(?:\/(\w+))?$/.exec(call);
    if (part) return this.#campaign(part[1], Number(part[2]), part[3], json);
    const renew = /^POST \/agents\/(\d+)\/link$/.exec(call);
    if (renew) return { body: { link: `${url.origin}/link/${randomUUID()}` } };
    if (/^POST \/trunks\/\d+\/check$/.test(call)) {
      return { body: { alive: true, status: 200, took_ms: 3, note: 'answers' } };
    }
    if (/^POST \/calls\/.+\/hangup$/.test(call)) return { status: 202, body: {} };
    const job = /^GET \/jobs\/(.+)$/.exec(call);
    if (job) return { body: this.#job(job[1]) };
    const gone = /^DELETE \/dnc\/(.+)$/.exec(call);
    if (gone) {
      this.dnc = this.dnc.filter((row) => row.number !== decodeURIComponent(gone[1]));
      return { status: 204 };
    }
    switch (call) {
      case 'GET /campaigns':
        return { body: this.summaries() };
      case 'POST /campaigns': {
        const { name, mode } = json();
        const made = this.addCampaign(name, mode, 0, 0, 'created');
        this.onCampaigns();
        return { status: 201, body: { id: made.id, version: 1 } };
      }
      case 'GET /agents':
        return { body: this.agents };
      case 'POST /agents': {
        const id = this.agents.length + 1;
        this.agents.push({ id, ...json() });
        return { status: 201, body: { id, link: `/link/${randomUUID()}` } };
      }
      case 'GET /trunks':
        return { body: this.trunks };
      case 'POST /trunks':
        this.trunks.push({ id: this.trunks.length + 1, version: 1, ...json() });
        return { status: 201, body: { id: this.trunks.length, version: 1 } };
      case 'GET /lists':
        return { body: this.lists };
      case 'POST /lists/import':
        return { status: 201, body: this.#import(url.searchParams.get('name'), text) };
      case 'POST /lists/pull': {
        const id = randomUUID();
        this.jobs.set(id, { name: json().name, done: 0 });
        return { status: 202, body: { job: id } };
      }
      case 'GET /lists/1/rejects':
        return { body: 'row,column,reason,raw\n3,phone,not a number,abc\n', type: 'text/csv' };
      case 'GET /dnc':
        return { body: this.dnc };
      case 'POST /dnc':
        this.dnc.unshift({ reason: null, campaign: null, ...json() });
        return { status: 201, body: {} };
      default:
        return undefined;
    }
  }

  #campaign(method, id, what, json) {
    const campaign = this.campaigns.get(id);
    if (!campaign) return undefined;
    const state = { start: 'running', pause: 'paused', stop: 'stopped' }[what];
    if (method === 'POST' && state) {
      campaign.state = state;
      this.onCampaigns();
      return { body: { state } };
    }
    if (method === 'PATCH') {
      const { lists, agents, ...settings } = json();
      void [lists, agents];
      Object.assign(campaign.settings, settings);
      Object.assign(campaign, { name: settings.name, mode: settings.mode });
      return { body: { version: ++campaign.version } };
    }
    if (what === 'board') return { body: this.board(id) };
    if (what === 'history') return { body: campaign.history.slice(-3600) };
    const { version, settings, lists } = campaign;
    const agents = campaign.agents.map((agent) => agent.agent);
    return { body: { id, version, state: campaign.state, settings, lists, agents } };
  }

  #import(name, text) {
    const rows = Math.max(0, text.trim().split('\n').length - 1);
    const id = this.lists.length + 1;
    const rejected = Math.min(1, rows);
    this.lists.push({ id, name, source: 'upload', state: 'ready', contacts: rows - rejected });
    return {
      list: id,
      rows,
      accepted: rows - rejected,
      duplicates: 0,
      rejected,
      rejects_url: rejected ? '/api/v1/lists/1/rejects' : null,
    };
  }

  #job(id) {
    const job = this.jobs.get(id);
    job.done = Math.min(1000, job.done + 400);
    if (job.done < 1000) return { state: 'running', done: job.done, total: 1000 };
    const list = this.lists.length + 1;
    this.lists.push({ id: list, name: job.name, source: 'upload', state: 'ready', contacts: 1000 });
    const report = {
      list,
      rows: 1000,
      accepted: 1000,
      duplicates: 0,
      rejected: 0,
      rejects_url: null,
    };
    return { state: 'done', done: 1000, total: 1000, report };
  }
}

/** The page of one agent: the way of a working day, shortened. */
class Desk {
  constructor(world, agent, name, previews) {
    this.world = world;
    this.previews = previews;
    this.at = 0;
    this.view = {
      agent,
      name,
      state: 'logged_out',
      since_ms: Date.now(),
      leaving: false,
      until_ms: null,
      preview: null,
      call: null,
      refused: null,
      version: 1,
    };
  }

  stop() {
    clearTimeout(this.timer);
  }

  set(change, afterMs, then) {
    clearTimeout(this.timer);
    if (change.state && change.state !== this.view.state) change.since_ms = Date.now();
    this.view = { ...this.view, refused: null, ...change, version: this.view.version + 1 };
    this.world.onAgent(this.view);
    if (then) this.timer = setTimeout(then, afterMs);
  }

  ready() {
    const rest = { until_ms: null, preview: null, call: null, leaving: false };
    this.set({ state: 'ready', ...rest }, 1800, () =>
      this.previews ? this.preview() : this.talk(),
    );
  }
  card() {
    return { ...CARDS[this.at++ % CARDS.length], until_ms: null };
  }
  preview() {
    const until_ms = Date.now() + 30_000;
    const preview = { ...this.card(), until_ms };
    this.set({ state: 'preview', preview }, 30_000, () => this.ready());
  }
  talk(card = this.card()) {
    const now = Date.now();
    const call = {
      attempt: randomUUID(),
      state: 'talking',
      answered_ms: now - 400,
      connected_ms: now,
      card,
    };
    this.set({ state: 'on_call', preview: null, call }, 60_000, () => this.wrapUp());
  }
  wrapUp() {
    const call = { ...this.view.call, state: 'ended' };
    const until_ms = Date.now() + 30_000;
    this.set({ state: 'wrap_up', call, until_ms }, 30_000, () => this.after());
  }
  after() {
    if (this.view.leaving)
      this.set({ state: 'paused', call: null, until_ms: null, leaving: false });
    else this.ready();
  }

  route(call, json) {
    const { state } = this.view;
    const refused = { refused: 'agent.refused.wrong_state' };
    const done = { status: 202, body: {} };
    switch (call) {
      case 'GET /agent':
        return { body: this.view };
      case 'POST /agent/login':
        this.set({ state: 'connecting' }, 1200, () => this.set({ state: 'paused' }));
        return done;
      case 'POST /agent/logout':
        this.set({ state: 'logged_out', call: null, preview: null, until_ms: null });
        return done;
      case 'POST /agent/ready':
        if (state === 'paused') this.ready();
        else this.set({ leaving: false });
        return done;
      case 'POST /agent/pause':
        if (state === 'ready') this.set({ state: 'paused' });
        else this.view = { ...this.view, leaving: true };
        this.world.onAgent(this.view);
        return done;
      case 'POST /agent/hangup':
        if (state !== 'on_call') return refused;
        this.wrapUp();
        return done;
      case 'POST /agent/preview/accept': {
        if (state !== 'preview') return refused;
        const card = { ...this.view.preview, until_ms: null };
        this.set({ state: 'dialling' }, 1500, () => this.talk(card));
        return done;
      }
      case 'POST /agent/preview/skip':
        if (state !== 'preview') return refused;
        this.ready();
        return done;
      case 'POST /agent/disposition':
        if (state !== 'wrap_up' || json().attempt !== this.view.call.attempt) return refused;
        this.after();
        return done;
      default:
        return undefined;
    }
  }
}

/** Calls that may ring: those that agents cover, and as many more as the limit forgives. */
function covered({ abandoned, answered }, ready) {
  return ready + Math.max(0, Math.floor(answered * 0.022 - abandoned) * 2);
}

function set(agent, state, now) {
  agent.state = state;
  agent.since_ms = now;
}

function ratePpm({ abandoned, answered }) {
  return answered ? Math.floor((abandoned * 1_000_000) / answered) : 0;
}

function pick(weighted, roll) {
  let left = roll * weighted.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [value, weight] of weighted) {
    left -= weight;
    if (left <= 0) return value;
  }
  return weighted[0][0];
}
