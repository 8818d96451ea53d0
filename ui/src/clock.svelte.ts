// One ticking clock for every countdown and time in state.
import { clockSkewMs } from './api/client';

const read = (): number => Date.now() + clockSkewMs();

let now = $state(read());
setInterval(() => (now = read()), 250);

/** The server's time in milliseconds, renewed four times a second. */
export function nowMs(): number {
  return now;
}
