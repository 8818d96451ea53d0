// How campaigns and live calls look, and what may be done with a campaign.
import type { CampaignState, CampaignSummary, ModeWord } from '../api/types';

export const CAMPAIGN_TONE: Record<CampaignState, string> = {
  created: 'look',
  running: 'go',
  paused: 'warn',
  stopped: 'idle',
  finished: 'talk',
};

const CALL_TONE: Record<string, string> = {
  ringing: 'ring',
  dialling: 'ring',
  listening: 'ring',
  waiting: 'stop',
  talking: 'talk',
  message: 'warn',
};

/** The colour of a live call's state. */
export function callTone(state: string): string {
  return CALL_TONE[state] ?? 'idle';
}

const PACING_TONE: Record<string, string> = {
  dialling: 'go',
  bound: 'warn',
  clock: 'warn',
  draining: 'warn',
  closed_hours: 'warn',
};

/** The colour of the reason why no more calls are launched. */
export function pacingTone(key: string): string {
  return PACING_TONE[key] ?? 'idle';
}

/** The word of a mode, whether the API writes the word or the whole mode. */
export function modeWord(mode: CampaignSummary['mode']): ModeWord {
  return typeof mode === 'string' ? mode : mode.kind;
}

export type CampaignCommand = 'start' | 'pause' | 'stop';

/** What may be done with a campaign in this state. */
export function commandsOf(state: CampaignState): CampaignCommand[] {
  switch (state) {
    case 'running':
      return ['pause', 'stop'];
    case 'paused':
      return ['start', 'stop'];
    case 'created':
    case 'stopped':
    case 'finished':
      return ['start'];
  }
}
