// Spans and instants: how they are counted and written.

/** `m:ss`, or `h:mm:ss` from an hour on; never negative. */
export function clockText(spanMs: number): string {
  const all = Math.max(0, Math.floor(spanMs / 1000));
  const seconds = String(all % 60).padStart(2, '0');
  const minutes = Math.floor(all / 60) % 60;
  const hours = Math.floor(all / 3600);
  return hours > 0
    ? `${hours}:${String(minutes).padStart(2, '0')}:${seconds}`
    : `${minutes}:${seconds}`;
}

/** What is left until `untilMs`, in whole seconds rounded up, so that it shows 0 only when it is over. */
export function secondsLeft(untilMs: number, nowMs: number): number {
  return Math.max(0, Math.ceil((untilMs - nowMs) / 1000));
}

/** The share of a countdown that is left, 0 to 1. */
export function shareLeft(sinceMs: number, untilMs: number, nowMs: number): number {
  const whole = untilMs - sinceMs;
  if (whole <= 0) return 0;
  return Math.min(1, Math.max(0, (untilMs - nowMs) / whole));
}

/** Whether the browser knows this IANA zone. */
export function isZone(zone: string): boolean {
  if (!zone) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}

/** The wall clock of `zone` at `atMs`, as `YYYY-MM-DDTHH:MM` (what a datetime field holds). */
export function wallClock(atMs: number, zone: string): string {
  const parts = new Intl.DateTimeFormat('en-CA', {
    timeZone: zone,
    year: 'numeric',
    month: '2-digit',
    day: '2-digit',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(atMs);
  const get = (type: string): string => parts.find((part) => part.type === type)?.value ?? '00';
  return `${get('year')}-${get('month')}-${get('day')}T${get('hour')}:${get('minute')}`;
}

/** The instant at which the wall clock of `zone` shows `wall`; `null` if it is no time. */
export function instantOf(wall: string, zone: string): number | null {
  const asUtc = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(wall) ? Date.parse(`${wall}:00Z`) : Number.NaN;
  if (Number.isNaN(asUtc)) return null;
  // The zone's offset is taken at the guess, and once more where that crossed a change of clocks.
  let guess = asUtc;
  for (let round = 0; round < 3; round++) {
    const shown = Date.parse(`${wallClock(guess, zone)}:00Z`);
    if (shown === asUtc) return guess;
    guess += asUtc - shown;
  }
  return guess;
}
