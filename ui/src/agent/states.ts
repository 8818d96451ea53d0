// How the states of an agent look, and what may be asked for in each.
import type { AgentState } from '../api/types';

export const TONE: Record<AgentState, string> = {
  logged_out: 'idle',
  connecting: 'ring',
  paused: 'warn',
  ready: 'go',
  preview: 'look',
  dialling: 'ring',
  on_call: 'talk',
  wrap_up: 'warn',
};

export type Command = 'login' | 'logout' | 'ready' | 'pause';

/** The commands that a state offers, the likeliest first. */
export function commandsOf(state: AgentState, leaving: boolean): Command[] {
  if (state === 'logged_out') return ['login'];
  if (state === 'connecting') return ['logout'];
  if (state === 'paused') return ['ready', 'logout'];
  // Whoever asked to leave may change their mind.
  return leaving ? ['ready', 'logout'] : ['pause', 'logout'];
}
