// The campaign form: its fields, from the API's settings and back.
import type { CampaignDetail, DaySpan, ModeWord } from '../api/types';
import { daysOf, spanOf, timeOfMinute } from './forms';

export const MODES: ModeWord[] = ['predictive', 'progressive', 'power', 'preview'];

export interface CampaignFields {
  name: string;
  mode: ModeWord;
  /** Lines per ready agent. */
  ratio: number;
  trunk: number | null;
  lists: number[];
  agents: number[];
  days: boolean[];
  from: string;
  to: string;
  zone: string;
  lines: number;
  attempts: number;
  ring: number;
  wrap: number;
  script: string;
  /** Spans as they came; more than one is not shown in the form and stays unless the hours change. */
  spans: DaySpan[];
}

/** What a new campaign begins with. */
export function emptyForm(zone: string): CampaignFields {
  return {
    name: '',
    mode: 'predictive',
    ratio: 1.5,
    trunk: null,
    lists: [],
    agents: [],
    days: Array<boolean>(7).fill(true),
    from: '09:00',
    to: '20:00',
    zone,
    lines: 100,
    attempts: 3,
    ring: 25,
    wrap: 30,
    script: '',
    spans: [],
  };
}

/** The fields of a campaign that exists. */
export function formOf({ settings, lists, agents }: CampaignDetail): CampaignFields {
  const spans = settings.calling_hours.spans;
  const span = spans[0] ?? { days: 0, from_minute: 540, to_minute: 1200 };
  return {
    name: settings.name,
    mode: settings.mode.kind,
    ratio: settings.mode.kind === 'power' ? settings.mode.ratio_percent / 100 : 1.5,
    trunk: settings.trunk,
    lists: [...lists],
    agents: [...agents],
    days: daysOf(span),
    from: timeOfMinute(span.from_minute),
    to: timeOfMinute(span.to_minute),
    zone: settings.legal_zone,
    lines: settings.lines_max,
    attempts: settings.attempts_max,
    ring: settings.ring_timeout_ms / 1000,
    wrap: settings.wrap_up_ms / 1000,
    script: settings.script,
    spans,
  };
}

/** The settings that the API takes. */
export function settingsOf(form: CampaignFields): Record<string, unknown> {
  const span = spanOf(form.days, form.from, form.to);
  const first = form.spans[0];
  const untouched =
    first !== undefined &&
    first.days === span.days &&
    timeOfMinute(first.from_minute) === form.from &&
    timeOfMinute(first.to_minute) === form.to;
  return {
    name: form.name.trim(),
    mode:
      form.mode === 'power'
        ? { kind: 'power', ratio_percent: Math.round(form.ratio * 100) }
        : { kind: form.mode },
    trunk: form.trunk,
    lists: form.lists,
    agents: form.agents,
    legal_zone: form.zone,
    calling_hours: { spans: untouched ? form.spans : [span] },
    lines_max: form.lines,
    attempts_max: form.attempts,
    ring_timeout_ms: Math.round(form.ring * 1000),
    wrap_up_ms: Math.round(form.wrap * 1000),
    script: form.script,
  };
}
