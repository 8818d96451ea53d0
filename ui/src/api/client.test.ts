import { afterEach, expect, test, vi } from 'vitest';
import { Once, Problem, setCsrf } from './client';

afterEach(() => vi.unstubAllGlobals());

function answers(...list: (Response | Error)[]) {
  const headers: Record<string, string>[] = [];
  vi.stubGlobal('fetch', (_: string, init: { headers: Record<string, string> }) => {
    headers.push(init.headers);
    const next = list.shift();
    return next instanceof Response ? Promise.resolve(next) : Promise.reject(next);
  });
  return headers;
}
const keysOf = (headers: Record<string, string>[]) => headers.map((one) => one['idempotency-key']);

test('a request whose answer was lost is repeated under the same key', async () => {
  const headers = answers(new TypeError('network'), new Response('{}'), new Response('{}'));
  const once = new Once();
  await expect(once.post('/x')).rejects.toThrow(Problem);
  await once.post('/x');
  await once.post('/x');
  const [first, second, third] = keysOf(headers);
  expect(first).toBe(second);
  expect(third).not.toBe(second);
});

test('after a refusal the next try has a key of its own', async () => {
  const refused = new Response('{"key":"error.invalid","detail":"name: empty"}', { status: 422 });
  const headers = answers(refused, new Response('{}'));
  const once = new Once();
  const problem = await once.post('/x').catch((error: unknown) => error as Problem);
  expect(problem).toMatchObject({ status: 422, key: 'error.invalid', message: 'name: empty' });
  await once.post('/x');
  const [first, second] = keysOf(headers);
  expect(second).not.toBe(first);
});

test('a change carries the CSRF token', async () => {
  setCsrf('t0ken');
  const headers = answers(new Response(null, { status: 204 }));
  await new Once().post('/x');
  expect(headers[0]?.['x-csrf-token']).toBe('t0ken');
});
