//! The last hour of each campaign, a point a second, for the live plot.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::adapters::gate::{Gate, Live};
use crate::adapters::views::BoardView;

use super::state::{ApiState, begins_to_end};

/// One hour of seconds.
pub const POINTS_MAX: usize = 3_600;
/// Histograms are folded every so many points.
const UPKEEP_EVERY: u64 = 5;

/// A campaign at one second.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPoint {
    /// When, UTC milliseconds.
    pub t_ms: i64,
    /// Calls in the air: being set up or ringing.
    pub ringing: u32,
    /// Calls in talk.
    pub talking: u32,
    /// Agents who wait for a call.
    pub ready_agents: u32,
    /// Attempts begun since the point before.
    pub launched: u32,
    /// Abandon rate of the window, parts per million.
    pub rate_ppm: u32,
}

#[derive(Debug, Default)]
struct Ring {
    points: VecDeque<HistoryPoint>,
    /// Attempts at the last point.
    attempts: Option<u64>,
}

/// The rings of all campaigns.
#[derive(Debug, Default)]
pub struct History(Mutex<BTreeMap<i64, Ring>>);

impl History {
    /// Adds a point to each campaign that is live.
    pub fn sample(&self, live: &Live, now_ms: i64) {
        let mut rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (campaign, board) in &live.boards {
            let ring = rings.entry(*campaign).or_default();
            let launched = board.attempts.saturating_sub(ring.attempts.unwrap_or(board.attempts));
            ring.attempts = Some(board.attempts);
            if ring.points.len() >= POINTS_MAX {
                ring.points.pop_front();
            }
            ring.points.push_back(point(board, now_ms, launched));
        }
    }

    /// The points of a campaign, oldest first.
    pub fn of(&self, campaign: i64) -> Vec<HistoryPoint> {
        let rings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rings.get(&campaign).map(|ring| ring.points.iter().copied().collect()).unwrap_or_default()
    }
}

fn point(board: &BoardView, t_ms: i64, launched: u64) -> HistoryPoint {
    let ready = board.agents.iter().filter(|agent| agent.state == "ready").count();
    HistoryPoint {
        t_ms,
        ringing: board.ringing,
        talking: board.talking,
        ready_agents: u32::try_from(ready).unwrap_or(u32::MAX),
        launched: u32::try_from(launched).unwrap_or(u32::MAX),
        rate_ppm: board.abandon.rate_ppm,
    }
}

/// Adds a point a second to the history of each campaign, until the program ends. The app spawns it.
pub async fn keep_history(gate: Gate, state: ApiState) {
    let live = gate.live();
    let mut shutdown = state.shutdown();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut count: u64 = 0;
    loop {
        // Both branches are safe to drop half-way: a tick is taken again, the signal stays set.
        tokio::select! {
            _ = second.tick() => {}
            () = begins_to_end(&mut shutdown) => return,
        }
        let views = live.borrow().clone();
        state.history().sample(&views, state.now().as_ms());
        count += 1;
        if count.is_multiple_of(UPKEEP_EVERY) {
            state.metrics().upkeep();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::adapters::views::AgentRowView;

    fn live(attempts: u64) -> Live {
        let ready = AgentRowView { state: "ready".into(), ..AgentRowView::default() };
        let talks = AgentRowView { state: "on_call".into(), ..AgentRowView::default() };
        let agents = vec![ready, talks];
        let board = BoardView { attempts, ringing: 2, agents, ..BoardView::default() };
        Live { boards: BTreeMap::from([(5, Arc::new(board))]), ..Live::default() }
    }

    #[test]
    fn a_point_tells_what_was_launched_since_the_one_before() {
        let history = History::default();
        history.sample(&live(100), 1_000);
        history.sample(&live(107), 2_000);
        let points = history.of(5);
        assert_eq!(
            points.iter().map(|p| (p.t_ms, p.launched)).collect::<Vec<_>>(),
            [(1_000, 0), (2_000, 7)]
        );
        assert_eq!(points[1].ready_agents, 1);
        assert!(history.of(6).is_empty());
    }

    #[test]
    fn an_hour_is_kept_and_no_more() {
        let history = History::default();
        let live = live(1);
        for second in 0..=i64::try_from(POINTS_MAX).unwrap() {
            history.sample(&live, second);
        }
        let points = history.of(5);
        assert_eq!((points.len(), points[0].t_ms), (POINTS_MAX, 1));
    }
}
