// How near the abandon rate is to its limit.
import type { Abandon } from '../api/types';

export interface Gauge {
  /** Where the rate stands on the scale, 0–1. */
  at: number;
  /** Where the limit stands on it. */
  limitAt: number;
  tone: 'idle' | 'go' | 'warn' | 'stop';
  word: 'abandon.empty' | 'abandon.safe' | 'abandon.near' | 'abandon.over';
}

/** The limit stands at two thirds of the scale, until the rate needs more room. */
const LIMIT_AT = 2 / 3;
/** From this share of the limit on it is close. */
const NEAR = 0.8;

/** The gauge of an abandon rate. */
export function gaugeOf(abandon: Abandon): Gauge {
  const { rate_ppm: rate, limit_ppm: limit } = abandon;
  const scale = Math.max(limit / LIMIT_AT, rate * 1.05, 1);
  const place = { at: rate / scale, limitAt: limit / scale };
  if (abandon.answered === 0) return { ...place, tone: 'idle', word: 'abandon.empty' };
  if (isOver(abandon)) return { ...place, tone: 'stop', word: 'abandon.over' };
  if (rate >= limit * NEAR && rate > 0) return { ...place, tone: 'warn', word: 'abandon.near' };
  return { ...place, tone: 'go', word: 'abandon.safe' };
}

// The rate is rounded down to a millionth; the fraction is what the law looks at.
function isOver({ abandoned, answered, limit_ppm: limit }: Abandon): boolean {
  return abandoned * 1_000_000 > limit * answered;
}
