// The JSON shapes of the API, as src/adapters/views.rs and the domain write them.

export type Role = 'admin' | 'manager' | 'agent' | 'integration';

export interface User {
  id: number;
  name: string;
  role: Role;
  agent: number | null;
  must_set_password: boolean;
}

export interface SessionAnswer {
  user: User;
  csrf: string;
}

export type AgentState =
  'logged_out' | 'connecting' | 'paused' | 'ready' | 'preview' | 'dialling' | 'on_call' | 'wrap_up';

export type NextKind = 'close' | 'retry' | 'callback' | 'do_not_call';

export interface Choice {
  code: string;
  label: string;
  next: NextKind;
}

export interface Card {
  contact: number;
  campaign: number;
  campaign_name: string;
  name: string;
  number: string;
  external_ref: string;
  zone: string;
  fields: [string, string][];
  script: string;
  dispositions: Choice[];
  crm_url: string | null;
  until_ms: number | null;
}

export interface Call {
  attempt: string;
  state: 'talking' | 'ended';
  answered_ms: number;
  connected_ms: number;
  card: Card;
}

export interface AgentView {
  agent: number;
  name: string;
  state: AgentState;
  since_ms: number;
  leaving: boolean;
  until_ms: number | null;
  preview: Card | null;
  call: Call | null;
  refused: string | null;
  version: number;
}

export type CampaignState = 'created' | 'running' | 'paused' | 'stopped' | 'finished';
export type ModeWord = 'predictive' | 'progressive' | 'power' | 'preview';
export type Mode =
  { kind: 'predictive' | 'progressive' | 'preview' } | { kind: 'power'; ratio_percent: number };

export interface ContactCounts {
  total: number;
  ready: number;
  waits: number;
  live: number;
  closed: number;
}

export interface CampaignSummary {
  id: number;
  name: string;
  state: CampaignState;
  mode: Mode | ModeWord;
  version: number;
  lists: number[];
  agents: number[];
  contacts: ContactCounts;
}

export interface Abandon {
  abandoned: number;
  answered: number;
  rate_ppm: number;
  limit_ppm: number;
  /** Empty until the campaign has run. */
  formula: 'live_answers' | 'abandoned_plus_connected' | '';
  clock_start: 'answer';
  wait_ms: number;
  window_start_ms: number;
  window_end_ms: number;
  zone: string;
  outside: number;
}

export interface LiveCall {
  attempt: string;
  state: string;
  since_ms: number;
  number: string;
  agent: number | null;
}

export interface AgentRow {
  agent: number;
  name: string;
  state: AgentState;
  since_ms: number;
  calls: number;
  leaving: boolean;
}

export interface Board {
  campaign: number;
  name: string;
  state: CampaignState;
  mode: ModeWord;
  at_ms: number;
  contacts: ContactCounts;
  ringing: number;
  waiting: number;
  talking: number;
  attempts: number;
  results: [string, number][];
  refused: [string, number][];
  abandon: Abandon;
  answer_to_agent_ms: [number, number] | null;
  utilisation: number;
  pacing: string;
  calls: LiveCall[];
  agents: AgentRow[];
}

export interface HistoryPoint {
  t_ms: number;
  ringing: number;
  talking: number;
  ready_agents: number;
  launched: number;
  rate_ppm: number;
}

export interface DaySpan {
  /** A bit for each weekday, Monday the lowest. */
  days: number;
  from_minute: number;
  to_minute: number;
}

export interface CampaignSettings {
  name: string;
  mode: Mode;
  trunk: number;
  legal_zone: string;
  calling_hours: { spans: DaySpan[] };
  lines_max: number;
  attempts_max: number;
  ring_timeout_ms: number;
  wrap_up_ms: number;
  preview_timeout_ms: number;
  script: string;
  dispositions: { code: string; label: string; next: { kind: NextKind } }[];
}

export interface CampaignDetail {
  id: number;
  version: number;
  state: CampaignState;
  settings: CampaignSettings;
  lists: number[];
  agents: number[];
}

export interface ListRow {
  id: number;
  name: string;
  source: string;
  state: 'loading' | 'ready' | 'dropped';
  contacts: number;
}

export interface ImportReport {
  list: number;
  rows: number;
  accepted: number;
  duplicates: number;
  rejected: number;
  rejects_url: string | null;
}

export interface Job {
  state: 'running' | 'done' | 'failed';
  done: number;
  total: number | null;
  report?: ImportReport;
  error?: string;
}

export interface AgentRecord {
  id: number;
  name: string;
  phone: string;
  campaigns: number[];
}

export interface TrunkSettings {
  name: string;
  profile: string;
  address: string;
  domain: string;
  caller_ids: string[];
  calls_per_second: number;
  lines: number;
  allowed_prefixes: string[];
  networks: string[];
  username: string | null;
  password: string | null;
}

export type TrunkRecord = TrunkSettings & { id: number };

export interface TrunkCheck {
  alive: boolean;
  status: number | null;
  took_ms: number;
  note: string;
}

export interface DncRow {
  number: string;
  reason: string | null;
  campaign: number | null;
}
