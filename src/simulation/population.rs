//! The people (and machines, and networks) behind the numbers that a campaign dials.
//!
//! Pure and seeded: who answers follows from the seed, the number dialled and which try it is, so
//! a run can be repeated. What belongs to a person or a number (how long they talk, whether the
//! number exists) is the same at each try; what belongs to the moment is drawn for each.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::dice::{Dice, seconds};

/// Purposes of [`Dice`] streams.
const OF_NUMBER: u64 = 1;
const OF_TRY: u64 = 2;
const OF_PERSON: u64 = 3;
const OF_AGENT: u64 = 4;

/// What a population is like. Times are seconds before `speed` divides them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PopulationParams {
    /// Divides every human time: ringing, talk, patience, greeting, wrap-up. Never the network's
    /// set-up time, the law's two seconds or a timer of SIP.
    pub speed: f64,
    /// Share of tries that a person answers.
    pub humans: f64,
    /// Share that a machine answers.
    pub machines: f64,
    /// Share that rings until somebody gives up.
    pub no_answer: f64,
    /// Share that is busy. What is left to one are failures of all kinds.
    pub busy: f64,
    /// Share of numbers that do not exist (or exist no more), whoever tries how often.
    pub dead_numbers: f64,
    /// Share of tries that get no reply at all: 32 s until timer B of SIP.
    pub silent: f64,
    /// Median time from INVITE to ringing or refusal, as the network has it.
    pub setup_median_s: f64,
    /// Median ringing of people who answer.
    pub ring_median_s: f64,
    /// Mean talk; nobody talks for less than five seconds.
    pub talk_mean_s: f64,
    /// Mean time that an answered person waits in silence before they hang up.
    pub patience_mean_s: f64,
    /// Share of talks that the person ends, not the agent.
    pub person_ends: f64,
    /// Mean work of an agent after a call.
    pub wrap_up_mean_s: f64,
}

impl Default for PopulationParams {
    fn default() -> Self {
        Self {
            speed: 1.0,
            humans: 0.30,
            machines: 0.20,
            no_answer: 0.25,
            busy: 0.10,
            dead_numbers: 0.06,
            silent: 0.002,
            setup_median_s: 1.5,
            ring_median_s: 9.5,
            talk_mean_s: 90.0,
            patience_mean_s: 8.0,
            person_ends: 0.65,
            wrap_up_mean_s: 15.0,
        }
    }
}

/// What happens to one call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callee {
    /// From INVITE to ringing, or to the refusal where nothing rings.
    pub ring_after: Duration,
    /// What follows.
    pub outcome: Outcome,
}

/// Who or what is at the other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// A person answers.
    Human {
        /// Ringing before the answer.
        rings: Duration,
        /// Length of the talk once somebody speaks to them.
        talk_time: Duration,
        /// How long they wait in silence before they hang up.
        patience: Duration,
        /// They end the talk; otherwise they wait for the agent to.
        hangs_up: bool,
    },
    /// A machine answers.
    Machine {
        /// Ringing before the answer.
        rings: Duration,
        /// Length of its greeting.
        greeting: Duration,
        /// How long it records afterwards before it hangs up.
        records: Duration,
    },
    /// Nobody answers.
    NoAnswer {
        /// Ringing until the network gives up.
        rings: Duration,
    },
    /// The line is in use.
    Busy,
    /// The call fails.
    Refused(Refusal),
    /// The carrier does not reply at all.
    NoReplyAtAll,
}

/// How a call fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// 404 and nothing more.
    NotFound,
    /// 404 with Q.850 cause 1, unallocated number.
    Unallocated,
    /// 410 with Q.850 cause 22, number changed.
    NumberChanged,
    /// 480 with Q.850 cause 20, the phone is switched off.
    SwitchedOff,
    /// 503 of a carrier that has no line free.
    Congested {
        /// Its Retry-After, seconds of real time.
        retry_after_s: u32,
    },
    /// 603 of a person who presses the red key.
    Declined {
        /// Ringing before that.
        rings: Duration,
    },
    /// 603 "Network Blocked" (603+ of ATIS-1000099).
    NetworkBlocked,
    /// 607 (RFC 8197): the person marked the caller as unwanted.
    Unwanted,
    /// 608 (RFC 8688): analytics rejected the call.
    Rejected,
    /// 500 of a broken switch.
    ServerError,
}

/// A refusal as a carrier writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefusalWords {
    /// SIP status.
    pub status: u16,
    /// Its phrase.
    pub phrase: &'static str,
    /// A Reason header's value.
    pub reason: Option<&'static str>,
}

impl Refusal {
    /// Status, phrase and Reason.
    pub const fn words(&self) -> RefusalWords {
        let (status, phrase, reason) = match self {
            Self::NotFound => (404, "Not Found", None),
            Self::Unallocated => {
                (404, "Not Found", Some("Q.850;cause=1;text=\"Unallocated number\""))
            }
            Self::NumberChanged => (410, "Gone", Some("Q.850;cause=22;text=\"Number changed\"")),
            Self::SwitchedOff => {
                (480, "Temporarily Unavailable", Some("Q.850;cause=20;text=\"Subscriber absent\""))
            }
            Self::Congested { .. } => (503, "Service Unavailable", Some("Q.850;cause=34")),
            Self::Declined { .. } => (603, "Decline", None),
            // ATIS-1000099 §4: the text tells who blocked, and where to ask for redress.
            Self::NetworkBlocked => (
                603,
                "Network Blocked",
                Some(
                    "Q.850;cause=21;text=\"v=analytics1;url=https://redress.example\";location=RN",
                ),
            ),
            Self::Unwanted => (607, "Unwanted", None),
            Self::Rejected => (608, "Rejected", None),
            Self::ServerError => (500, "Server Internal Error", None),
        };
        RefusalWords { status, phrase, reason }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Unallocated => "unallocated",
            Self::NumberChanged => "number_changed",
            Self::SwitchedOff => "switched_off",
            Self::Congested { .. } => "congested",
            Self::Declined { .. } => "declined",
            Self::NetworkBlocked => "network_blocked",
            Self::Unwanted => "unwanted",
            Self::Rejected => "rejected",
            Self::ServerError => "server_error",
        }
    }
}

impl Outcome {
    /// A stable name, for ledgers.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Human { .. } => "human",
            Self::Machine { .. } => "machine",
            Self::NoAnswer { .. } => "no_answer",
            Self::Busy => "busy",
            Self::Refused(refusal) => refusal.name(),
            Self::NoReplyAtAll => "no_reply",
        }
    }
}

/// Everybody who can be called.
#[derive(Debug, Clone)]
pub struct Population {
    seed: u64,
    params: PopulationParams,
}

impl Population {
    /// A population; the same seed and parameters make the same people.
    pub fn new(seed: u64, params: PopulationParams) -> Self {
        Self { seed, params }
    }

    /// What it is like.
    pub fn params(&self) -> &PopulationParams {
        &self.params
    }

    /// What happens at try number `attempt` (from 1) to the number with these digits.
    pub fn callee(&self, number: u64, attempt: u32) -> Callee {
        let p = &self.params;
        let mut dice = Dice::of(self.seed, &[OF_TRY, number, u64::from(attempt)]);
        let setup = dice.lognormal(p.setup_median_s, 0.45).clamp(0.0, 5.0 * p.setup_median_s);
        let outcome = match self.dead_number(number) {
            Some(refusal) => Outcome::Refused(refusal),
            None => self.outcome(&mut dice, number),
        };
        Callee { ring_after: seconds(setup), outcome }
    }

    /// Length of a talk with this number's owner, and whether they end it themselves.
    pub fn talk(&self, number: u64) -> (Duration, bool) {
        const SHORTEST_S: f64 = 5.0;
        let mut dice = Dice::of(self.seed, &[OF_PERSON, number]);
        let beyond = (self.params.talk_mean_s - SHORTEST_S).max(0.0);
        let talk = SHORTEST_S + dice.exponential(beyond);
        (self.human_time(talk), dice.chance(self.params.person_ends))
    }

    /// An agent's work after their call number `call`.
    pub fn wrap_up(&self, agent: u32, call: u32) -> Duration {
        let mut dice = Dice::of(self.seed, &[OF_AGENT, u64::from(agent), u64::from(call)]);
        let shortest = self.params.wrap_up_mean_s / 5.0;
        self.human_time(shortest + dice.exponential(self.params.wrap_up_mean_s - shortest))
    }

    /// Seconds of a human's life, divided by the speed.
    pub fn human_time(&self, real_s: f64) -> Duration {
        seconds(real_s / self.params.speed.max(0.001))
    }

    fn dead_number(&self, number: u64) -> Option<Refusal> {
        let mut dice = Dice::of(self.seed, &[OF_NUMBER, number]);
        if !dice.chance(self.params.dead_numbers) {
            return None;
        }
        let kinds = [
            Refusal::NotFound,
            Refusal::NotFound,
            Refusal::Unallocated,
            Refusal::Unallocated,
            Refusal::NumberChanged,
        ];
        kinds.get(dice.below(kinds.len())).cloned()
    }

    /// The mix among numbers that exist.
    fn outcome(&self, dice: &mut Dice, number: u64) -> Outcome {
        let p = &self.params;
        // Dead numbers were taken from the failures, so the other shares grow to make up for them.
        let mut point = dice.uniform() * (1.0 - p.dead_numbers);
        let mut falls_in = |share: f64| {
            point -= share;
            point < 0.0
        };
        if falls_in(p.humans) {
            let (talk_time, hangs_up) = self.talk(number);
            let ring = dice.lognormal(p.ring_median_s, 0.5).clamp(1.0, 55.0);
            let patience =
                p.patience_mean_s / 8.0 + dice.exponential(p.patience_mean_s * 7.0 / 8.0);
            let (rings, patience) = (self.human_time(ring), self.human_time(patience));
            return Outcome::Human { rings, talk_time, patience, hangs_up };
        }
        if falls_in(p.machines) {
            // A phone that is switched off or busy forwards at once; the others ring four times.
            let at_once = dice.chance(0.25);
            let ring = if at_once { 0.0 } else { dice.lognormal(18.0, 0.25).clamp(5.0, 30.0) };
            return Outcome::Machine {
                rings: self.human_time(ring),
                greeting: self.human_time(dice.lognormal(8.0, 0.4).clamp(2.0, 25.0)),
                records: self.human_time(dice.between(20.0, 60.0)),
            };
        }
        if falls_in(p.no_answer) {
            return Outcome::NoAnswer { rings: self.human_time(dice.between(40.0, 90.0)) };
        }
        if falls_in(p.busy) {
            return Outcome::Busy;
        }
        if falls_in(p.silent) {
            return Outcome::NoReplyAtAll;
        }
        Outcome::Refused(self.refusal(dice))
    }

    fn refusal(&self, dice: &mut Dice) -> Refusal {
        match dice.below(18) {
            0..=4 => Refusal::SwitchedOff,
            5..=8 => Refusal::Congested { retry_after_s: 1 + u32::from(dice.chance(0.5)) },
            9..=12 => Refusal::Declined { rings: self.human_time(dice.between(2.0, 8.0)) },
            13..=14 => Refusal::NetworkBlocked,
            15 => Refusal::Unwanted,
            16 => Refusal::Rejected,
            _ => Refusal::ServerError,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PEOPLE: u64 = 20_000;

    fn population(seed: u64) -> Population {
        Population::new(seed, PopulationParams::default())
    }

    fn all(seed: u64) -> impl Iterator<Item = Callee> {
        (0..PEOPLE).map(move |n| population(seed).callee(12_025_550_100 + n, 1))
    }

    fn mean(values: &[Duration]) -> f64 {
        values.iter().map(Duration::as_secs_f64).sum::<f64>() / values.len() as f64
    }

    fn median(mut values: Vec<Duration>) -> f64 {
        values.sort();
        values[values.len() / 2].as_secs_f64()
    }

    #[test]
    fn the_shares_are_those_asked_for_whatever_the_seed() {
        for seed in [1, 2, 99] {
            let mut names = BTreeMap::<_, u64>::new();
            for callee in all(seed) {
                *names.entry(callee.outcome.name()).or_default() += 1;
            }
            let share = |name| names.get(name).copied().unwrap_or(0) as f64 / PEOPLE as f64;
            let wanted = [("human", 0.30), ("machine", 0.20), ("no_answer", 0.25), ("busy", 0.10)];
            for (name, want) in wanted {
                assert!((share(name) - want).abs() < 0.012, "seed {seed}: {names:?}");
            }
            let failures = 1.0 - wanted.iter().map(|(name, _)| share(name)).sum::<f64>();
            assert!((failures - 0.15).abs() < 0.012, "seed {seed}: {names:?}");
            assert!(share("no_reply") < 0.005 && share("no_reply") > 0.0, "{names:?}");
            assert_eq!(names.len(), 15, "every kind occurs: {names:?}");
        }
    }

    #[test]
    fn times_have_the_medians_and_means_asked_for() {
        let (mut setup, mut rings, mut talks, mut waits) = (vec![], vec![], vec![], vec![]);
        for callee in all(3) {
            setup.push(callee.ring_after);
            if let Outcome::Human { rings: ring, talk_time, patience, .. } = callee.outcome {
                rings.push(ring);
                talks.push(talk_time);
                waits.push(patience);
            }
        }
        assert!(talks.iter().all(|t| t.as_secs_f64() >= 5.0));
        assert!((median(setup) - 1.5).abs() < 0.05);
        assert!((median(rings) - 9.5).abs() < 0.4);
        assert!((mean(&talks) - 90.0).abs() < 4.0);
        assert!((mean(&waits) - 8.0).abs() < 0.4);
        let wraps: Vec<_> = (0..5_000).map(|n| population(3).wrap_up(n % 20, n)).collect();
        assert!((mean(&wraps) - 15.0).abs() < 0.8);
    }

    #[test]
    fn speed_divides_human_times_and_not_the_networks() {
        let fast = Population::new(5, PopulationParams { speed: 10.0, ..Default::default() });
        let mut humans = 0;
        for number in 0..2_000 {
            let (slow, fast) = (population(5).callee(number, 1), fast.callee(number, 1));
            assert_eq!(slow.ring_after, fast.ring_after);
            if let (
                Outcome::Human { talk_time: long, rings: r1, .. },
                Outcome::Human { talk_time: short, rings: r2, .. },
            ) = (slow.outcome, fast.outcome)
            {
                humans += 1;
                assert!((long.as_secs_f64() / short.as_secs_f64() - 10.0).abs() < 1e-3);
                assert!((r1.as_secs_f64() / r2.as_secs_f64() - 10.0).abs() < 1e-3);
            }
        }
        assert!(humans > 500);
    }

    #[test]
    fn a_try_can_be_repeated_and_another_try_may_differ() {
        let tries = |attempt| (0..500).map(move |n| population(8).callee(n, attempt));
        assert!(tries(1).eq(tries(1)));
        let differing =
            tries(1).zip(tries(2)).filter(|(a, b)| a.outcome.name() != b.outcome.name());
        assert!((250..450).contains(&differing.count()));
    }

    #[test]
    fn a_dead_number_is_dead_at_every_try() {
        let is_dead = |callee: &Callee| {
            matches!(
                callee.outcome,
                Outcome::Refused(Refusal::NotFound | Refusal::Unallocated | Refusal::NumberChanged)
            )
        };
        let people = population(4);
        let dead: Vec<u64> = (0..2_000).filter(|n| is_dead(&people.callee(*n, 1))).collect();
        assert!((80..160).contains(&dead.len()), "{}", dead.len());
        for number in dead {
            assert_eq!(people.callee(number, 1).outcome, people.callee(number, 7).outcome);
        }
    }
}
