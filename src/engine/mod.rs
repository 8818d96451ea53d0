//! The dialer itself: one deterministic machine. Inputs and `now` in, outputs out.
//!
//! `engine.rs` is the facade. A record comes in through `hopper.rs`, is launched by `launch.rs` under
//! `pacing.rs` and `abandon_guard.rs`, lives in `attempt_run.rs`, hears of the network through
//! `legs.rs`, meets an agent in `matching.rs` and ends in `finish.rs`. Agents act in
//! `agent_desk.rs`; their phones are kept up in `agent_phones.rs`, previews shown in `previews.rs`.

mod abandon_guard;
mod agent_desk;
mod agent_phones;
mod agent_run;
mod attempt_run;
pub mod board;
mod campaign_run;
mod dice;
#[expect(clippy::module_inception, reason = "the facade carries the floor's name")]
pub mod engine;
mod finish;
mod hopper;
pub mod input;
mod launch;
mod legs;
mod line_budget;
mod matching;
pub mod output;
mod pacing;
mod previews;
mod rule_clock;
mod statistics;
#[cfg(test)]
mod tests;
pub mod trace;

pub use abandon_guard::Counted;
pub use campaign_run::Pacing;
pub use engine::Engine;
