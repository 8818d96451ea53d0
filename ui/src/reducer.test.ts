import { expect, test } from 'vitest';
import type { AgentView, Board } from './api/types';
import { addBoard, expectedEnd, newer, POINTS_MAX, seed, type Track } from './reducer';

const START = 1_795_000_000_000;

function view(version: number, agent = 1): AgentView {
  return {
    agent,
    name: 'A',
    state: 'ready',
    since_ms: 0,
    leaving: false,
    until_ms: null,
    preview: null,
    call: null,
    refused: null,
    version,
  };
}
function board(afterMs: number, closed = 0, ringing = 1): Board {
  return {
    campaign: 1,
    name: 'C',
    state: 'running',
    mode: 'predictive',
    at_ms: START + afterMs,
    contacts: { total: 100, ready: 0, waits: 0, live: 0, closed },
    ringing,
    waiting: 0,
    talking: 2,
    attempts: 0,
    results: [],
    refused: [],
    abandon: { rate_ppm: 5 } as Board['abandon'],
    answer_to_agent_ms: null,
    utilisation: 0,
    pacing: 'dialling',
    calls: [],
    agents: [{ agent: 1, name: 'A', state: 'ready', since_ms: 0, calls: 0, leaving: false }],
  };
}
const run = (boards: Board[]): Track =>
  boards.reduce((track: Track | undefined, one) => addBoard(track, one), undefined) as Track;

test('a view that was overtaken does not replace the newer one', () => {
  expect(newer(view(5), view(4)).version).toBe(5);
  expect(newer(view(5), view(6)).version).toBe(6);
  expect(newer(view(5), view(1, 2)).agent).toBe(2);
  expect(newer(null, view(1)).version).toBe(1);
});

test('boards of one second make one point, the last one', () => {
  const { points } = run([board(0, 0, 1), board(250, 0, 2), board(1_000, 0, 3)]);
  expect(points.map((point) => point.ringing)).toEqual([2, 3]);
  expect(points[0]).toMatchObject({ ready: 1, talking: 2, rate_ppm: 5 });
});

test('the record keeps an hour and no more', () => {
  const boards = Array.from({ length: POINTS_MAX + 10 }, (_, n) => board(n * 1_000));
  const { points } = run(boards);
  expect(points.length).toBe(POINTS_MAX);
  expect(points[0]?.t_ms).toBe(START + 10_000);
});

test('the history goes before what came live and does not repeat it', () => {
  const row = (afterMs: number) => ({
    t_ms: START + afterMs,
    ringing: 9,
    talking: 0,
    ready_agents: 0,
    launched: 0,
    rate_ppm: 0,
  });
  const track = seed(run([board(2_000)]), [row(0), row(1_000), row(2_000), row(3_000)]);
  expect(track.points.map((point) => [point.t_ms - START, point.ringing])).toEqual([
    [0, 9],
    [1_000, 9],
    [2_000, 1],
  ]);
});

test('the expected end follows the speed, and is unknown before there is one', () => {
  expect(expectedEnd(undefined, board(0))).toBe(null);
  const track = run([board(0, 0), board(5_000, 5)]);
  expect(expectedEnd(track, board(5_000, 5))).toBe(null);
  const later = board(20_000, 20);
  // Twenty in twenty seconds: eighty more take eighty.
  expect(expectedEnd(addBoard(track, later), later)).toBe(START + 100_000);
  expect(expectedEnd(track, { ...later, state: 'paused' })).toBe(null);
});
