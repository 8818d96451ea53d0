// Who is logged in.
import { api, Problem, setCsrf } from './api/client';
import type { SessionAnswer, User } from './api/types';

let user = $state.raw<User | null>(null);
let known = $state(false);

/** The session as the pages see it. */
export const session = {
  get user() {
    return user;
  },
  /** Whether the server was asked yet. */
  get known() {
    return known;
  },
};

function take(answer: SessionAnswer): User {
  setCsrf(answer.csrf);
  user = answer.user;
  known = true;
  return answer.user;
}

/** Asks the server who we are; throws only if it cannot be reached. */
export async function load(): Promise<void> {
  try {
    take(await api.get<SessionAnswer>('/session'));
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) throw error;
    user = null;
    known = true;
  }
}

/** Logs in by name and password. */
export async function logIn(name: string, password: string): Promise<User> {
  return take(await api.post<SessionAnswer>('/session', { name, password }));
}

/** Logs in by a one-time link. */
export async function logInByLink(link: string): Promise<User> {
  return take(await api.post<SessionAnswer>('/session', { link }));
}

/** Sets the first password (and the name by which it is asked for). */
export async function setPassword(name: string, password: string): Promise<void> {
  await api.post('/session/password', { name, password });
  if (user) user = { ...user, name, must_set_password: false };
}

/** Leaves. */
export async function logOut(): Promise<void> {
  try {
    await api.remove('/session');
  } finally {
    user = null;
    setCsrf('');
  }
}
