// A stand-in for the daemon, to work on the pages without one: `npm run build && npm run mock`.
// Serves the built pages under the daemon's content security policy and an API whose numbers move.
// Links: /link/admin (first administrator), /link/agent, /link/preview (agents).
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { World } from './world.mjs';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const CSP = "default-src 'self'; base-uri 'none'; frame-ancestors 'none'";
const TYPES = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

class Refused extends Error {
  constructor(status, key, detail = '') {
    super(detail);
    this.status = status;
    this.key = key;
  }
}

/** Starts the mock; answers its address and how to end it. */
export async function startMock({ port = 0, seed = 7 } = {}) {
  const world = new World(seed);
  const sessions = new Map();
  const streams = new Set();
  let eventId = 0;

  function send(stream, event, data) {
    stream.write(`id: ${++eventId}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }
  world.onAgent = (view) => {
    for (const { response, user } of streams) {
      if (user.agent === view.agent) send(response, 'agent', view);
    }
  };
  world.onCampaigns = () => {
    for (const { response, user } of streams) {
      if (user.role !== 'agent') send(response, 'campaigns', world.summaries());
    }
  };
  const boards = setInterval(() => {
    for (const { response, user } of streams) {
      if (user.role === 'agent') continue;
      for (const id of world.campaigns.keys()) send(response, 'board', world.board(id));
    }
  }, 500);
  const pings = setInterval(() => {
    for (const { response } of streams) send(response, 'ping', { at_ms: Date.now() });
  }, 15_000);

  function sessionOf(request) {
    const cookie = /campanile_session=(\w[\w-]*)/.exec(request.headers.cookie ?? '');
    return cookie ? sessions.get(cookie[1]) : undefined;
  }

  function signIn(response, user) {
    const id = randomUUID();
    const session = { user, csrf: randomUUID() };
    sessions.set(id, session);
    response.setHeader('set-cookie', `campanile_session=${id}; HttpOnly; SameSite=Strict; Path=/`);
    return session;
  }

  async function body(request) {
    const parts = [];
    for await (const part of request) parts.push(part);
    return Buffer.concat(parts).toString('utf8');
  }

  function openStream(request, response, user) {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    const stream = { response, user };
    streams.add(stream);
    request.on('close', () => streams.delete(stream));
    if (user.agent !== null) send(response, 'agent', world.desk(user.agent).view);
    else {
      send(response, 'campaigns', world.summaries());
      for (const id of world.campaigns.keys()) send(response, 'board', world.board(id));
    }
  }

  async function api(request, response, url) {
    const path = url.pathname.slice('/api/v1'.length);
    const text = await body(request);
    const json = () => (text ? JSON.parse(text) : {});
    const call = `${request.method} ${path}`;
    if (call === 'POST /session') {
      const user = world.signIn(json());
      if (!user) throw new Refused(401, 'error.wrong_credentials');
      return [200, signIn(response, user)];
    }
    const session = sessionOf(request);
    if (!session) throw new Refused(401, 'error.not_signed_in');
    if (request.method !== 'GET' && request.headers['x-csrf-token'] !== session.csrf) {
      throw new Refused(403, 'error.csrf');
    }
    if (call === 'GET /session') return [200, session];
    if (call === 'DELETE /session') {
      sessions.forEach((one, id) => one === session && sessions.delete(id));
      return [204];
    }
    if (call === 'POST /session/password') {
      Object.assign(session.user, { name: json().name, must_set_password: false });
      session.user.password = json().password;
      return [204];
    }
    if (call === 'GET /events') return openStream(request, response, session.user);
    const found = world.route(call, { url, json, text, user: session.user });
    if (!found) throw new Refused(404, 'error.not_found', path);
    if (found.refused) throw new Refused(found.status ?? 409, found.refused, found.detail);
    return [found.status ?? 200, found.body, found.type];
  }

  async function page(response, url) {
    let path = normalize(url.pathname).replace(/^\/+/, '');
    let bytes = await readFile(join(DIST, path)).catch(() => null);
    if (!bytes) {
      if (path.startsWith('assets/')) return response.writeHead(404).end();
      path = 'index.html';
      bytes = await readFile(join(DIST, path));
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(path)] ?? 'application/octet-stream',
      'content-security-policy': CSP,
      'referrer-policy': 'no-referrer',
    });
    return response.end(bytes);
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://mock');
    try {
      if (!url.pathname.startsWith('/api/')) return await page(response, url);
      const answer = await api(request, response, url);
      if (!answer) return undefined;
      const [status, value, type = 'application/json'] = answer;
      response.writeHead(status, { 'content-type': type });
      return response.end(
        value === undefined || typeof value === 'string' ? value : JSON.stringify(value),
      );
    } catch (error) {
      const status = error instanceof Refused ? error.status : 500;
      response.writeHead(status, { 'content-type': 'application/problem+json' });
      return response.end(
        JSON.stringify({
          type: 'about:blank',
          title: 'refused',
          status,
          key: error.key,
          detail: error.message,
        }),
      );
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    world,
    /** Breaks every event stream, as a lost connection does. */
    cut: () => streams.forEach(({ response }) => response.destroy()),
    stop: () => {
      clearInterval(boards);
      clearInterval(pings);
      world.stop();
      server.closeAllConnections();
      server.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { url } = await startMock({ port: Number(process.env.PORT ?? 8080) });
  console.log(`Pages and mock API:
  administrator     ${url}/link/admin
  agent             ${url}/link/agent
  agent, preview    ${url}/link/preview`);
}
