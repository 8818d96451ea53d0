// The address bar as state.
import { screenOf } from './routes';

let path = $state(location.pathname);

window.addEventListener('popstate', () => (path = location.pathname));

/** The present screen. */
export function screen() {
  return screenOf(path);
}

/** Goes to a path; `replace` leaves no way back (after log-in, so that a link's secret is forgotten). */
export function go(to: string, replace = false): void {
  if (to === path) return;
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  path = to;
}
