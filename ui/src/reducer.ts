// Pure reducers of the event stream: which view stands, and what a board adds to the record.
import type { AgentView, Board, HistoryPoint } from './api/types';

/** One second of a campaign, as the plot draws it. */
export interface Point {
  t_ms: number;
  ringing: number;
  talking: number;
  ready: number;
  rate_ppm: number;
}

/** A campaign over time. */
export interface Track {
  points: Point[];
  /** Contacts done with, by time; for the expected end. */
  done: { t_ms: number; closed: number }[];
}

/** An hour of seconds, as the server's own history. */
export const POINTS_MAX = 3_600;
/** The expected end looks back this far. */
const DONE_SPAN_MS = 5 * 60_000;
const DONE_STEP_MS = 2_000;
/** Below this span an estimate would jump about. */
const ESTIMATE_AFTER_MS = 10_000;

/** Of two views the one that stands: the newer, where they are of the same agent. */
export function newer(old: AgentView | null, view: AgentView): AgentView {
  return old && old.agent === view.agent && old.version > view.version ? old : view;
}

/** The track with one more board: one point a second. */
export function addBoard(track: Track | undefined, board: Board): Track {
  const points = track?.points ?? [];
  const second = Math.floor(board.at_ms / 1_000) * 1_000;
  const point: Point = {
    t_ms: second,
    ringing: board.ringing,
    talking: board.talking,
    ready: board.agents.filter((agent) => agent.state === 'ready').length,
    rate_ppm: board.abandon.rate_ppm,
  };
  const last = points.at(-1);
  let next = points;
  if (!last || last.t_ms < second) next = [...points.slice(-(POINTS_MAX - 1)), point];
  else if (last.t_ms === second) next = [...points.slice(0, -1), point];
  const done = track?.done ?? [];
  const lastDone = done.at(-1);
  const fresh = !lastDone || board.at_ms - lastDone.t_ms >= DONE_STEP_MS;
  return {
    points: next,
    done: fresh
      ? [
          ...done.filter((sample) => board.at_ms - sample.t_ms <= DONE_SPAN_MS),
          { t_ms: board.at_ms, closed: board.contacts.closed },
        ]
      : done,
  };
}

/** The track with the server's history before it. */
export function seed(track: Track | undefined, history: HistoryPoint[]): Track {
  const points = track?.points ?? [];
  const first = points[0]?.t_ms ?? Number.POSITIVE_INFINITY;
  const past = history
    .map((row) => ({
      t_ms: Math.floor(row.t_ms / 1_000) * 1_000,
      ringing: row.ringing,
      talking: row.talking,
      ready: row.ready_agents,
      rate_ppm: row.rate_ppm,
    }))
    .filter((point) => point.t_ms < first);
  return { points: [...past, ...points].slice(-POINTS_MAX), done: track?.done ?? [] };
}

/** When the list will be done at the present speed, UTC ms; `null` while that cannot be said. */
export function expectedEnd(track: Track | undefined, board: Board): number | null {
  const first = track?.done[0];
  if (!first || board.state !== 'running') return null;
  const span = board.at_ms - first.t_ms;
  const closed = board.contacts.closed - first.closed;
  if (span < ESTIMATE_AFTER_MS || closed <= 0) return null;
  const left = board.contacts.total - board.contacts.closed;
  return board.at_ms + (left * span) / closed;
}
