// What the event stream last said: the agent's view, the boards, the campaigns.
import { noteServerTime } from './api/client';
import { follow, type Connection } from './api/events';
import type { AgentView, Board, CampaignSummary } from './api/types';
import { addBoard, newer, type Track } from './reducer';
import { load } from './session.svelte';

let connection = $state<Connection>('connecting');
let agent = $state.raw<AgentView | null>(null);
let boards = $state.raw<Record<number, Board>>({});
let campaigns = $state.raw<CampaignSummary[] | null>(null);
let tracks = $state.raw<Record<number, Track>>({});
let stopFollowing: (() => void) | undefined;

export const live = {
  get connection() {
    return connection;
  },
  get agent() {
    return agent;
  },
  get boards() {
    return boards;
  },
  get campaigns() {
    return campaigns;
  },
  /** What the boards said over time, for the plot and the expected end. */
  get tracks() {
    return tracks;
  },

  /** Takes a view that a request brought; an older one than the stream's is dropped. */
  takeAgent(view: AgentView): void {
    agent = newer(agent, view);
  },
  takeCampaigns(list: CampaignSummary[]): void {
    campaigns = list;
  },
  takeBoard(board: Board): void {
    noteServerTime(board.at_ms, 2_000);
    boards = { ...boards, [board.campaign]: board };
    tracks = { ...tracks, [board.campaign]: addBoard(tracks[board.campaign], board) };
  },
  /** Puts the recorded past before what came since. */
  seedTrack(campaign: number, seed: (track: Track | undefined) => Track): void {
    tracks = { ...tracks, [campaign]: seed(tracks[campaign]) };
  },

  start(): void {
    if (stopFollowing) return;
    stopFollowing = follow({
      on: {
        // The snapshot after a reconnect stands, whatever its version: the server may have restarted.
        agent: (data) => (agent = data as AgentView),
        board: (data) => live.takeBoard(data as Board),
        ping: (data) => noteServerTime((data as { at_ms: number }).at_ms, 2_000),
        campaigns: (data) => live.takeCampaigns(data as CampaignSummary[]),
      },
      connection: (state) => (connection = state),
      failed: () => void load().catch(() => undefined),
    });
  },
  stop(): void {
    stopFollowing?.();
    stopFollowing = undefined;
    connection = 'connecting';
    agent = null;
    boards = {};
    campaigns = null;
    tracks = {};
  },
};
