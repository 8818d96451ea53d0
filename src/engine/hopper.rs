//! Records read ahead of dialling, in dial order. The store is asked for more before they run out.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::domain::contact::ReadyRecord;
use crate::domain::ids::ContactId;
use crate::domain::time::{Duration, Mono};

use super::input::Rest;

/// Records asked for at once. At 50 calls a second it is four seconds of dialling, far more than a
/// read takes.
const REFILL: u32 = 200;
/// More are asked for when fewer are left.
const LOW_MARK: usize = 100;
/// How soon an empty queue is asked again: new lists, due retries and callbacks show up by then.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// The records of one campaign that were read ahead.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Hopper {
    records: VecDeque<ReadyRecord>,
    cursor: Option<(i32, i64)>,
    asked: bool,
    ask_at: Mono,
    rest: Option<Rest>,
    /// Something came back to the store while an answer was on its way: what it says of the rest
    /// may be older than that.
    doubted: bool,
}

impl Hopper {
    /// What to ask the store for at `now`, if anything: the place to read on from, and how many.
    pub(super) fn refill(&mut self, now: Mono) -> Option<(Option<(i32, i64)>, u32)> {
        if self.asked || self.records.len() >= LOW_MARK || now < self.ask_at {
            return None;
        }
        self.asked = true;
        Some((self.cursor, REFILL))
    }

    /// Takes in what the store gave. `held` are contacts that are in the air or being previewed:
    /// the store still shows those whose intent is on its way.
    pub(super) fn fill(
        &mut self,
        now: Mono,
        records: Vec<ReadyRecord>,
        rest: Rest,
        held: &BTreeSet<ContactId>,
    ) {
        self.asked = false;
        self.rest = (!std::mem::take(&mut self.doubted)).then_some(rest);
        if let Some(last) = records.last() {
            self.cursor = Some((last.priority, last.seq));
        }
        let known: BTreeSet<ContactId> = self.records.iter().map(|r| r.contact).collect();
        self.records.extend(
            records
                .into_iter()
                .filter(|r| !held.contains(&r.contact) && !known.contains(&r.contact)),
        );
        match rest {
            Rest::More => self.ask_at = now,
            // From the start again: what became ready meanwhile may stand before the cursor.
            Rest::Later(_) | Rest::Nothing => {
                self.cursor = None;
                self.ask_at = now + ASK_AGAIN;
            }
        }
    }

    /// The next record in dial order.
    pub(super) fn take(&mut self) -> Option<ReadyRecord> {
        self.records.pop_front()
    }

    /// Puts a record back to the front: it could not be dialled after all.
    pub(super) fn put_back(&mut self, record: ReadyRecord) {
        self.records.push_front(record);
    }

    /// The store's lists changed: ask at once, from the start.
    pub(super) fn reset(&mut self, now: Mono) {
        self.records.clear();
        self.cursor = None;
        self.ask_at = now;
        self.doubt();
    }

    /// A record may go back to the store (put off, tried again, promised a call): that nothing waits
    /// there has to be asked anew.
    pub(super) fn doubt(&mut self) {
        self.rest = None;
        self.doubted = self.asked;
    }

    /// Nothing is at hand at this moment.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The store said that nothing is ready and nothing waits, and all it gave is used.
    pub(super) fn is_used_up(&self) -> bool {
        self.records.is_empty() && !self.asked && self.rest == Some(Rest::Nothing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::contact::NumberType;
    use crate::domain::ids::{NumberId, PersonId};

    fn record(seq: i64) -> ReadyRecord {
        ReadyRecord {
            contact: ContactId::new(seq),
            person: PersonId::new(seq),
            number: NumberId::new(seq),
            zone: chrono_tz::Tz::UTC,
            number_type: NumberType::Unknown,
            prefix_class: 1,
            priority: 0,
            seq,
            attempts: 0,
        }
    }

    #[test]
    fn it_asks_once_reads_on_and_starts_over_at_the_end() {
        let mut hopper = Hopper::default();
        let held = BTreeSet::from([ContactId::new(2)]);
        assert_eq!(hopper.refill(Mono::ZERO), Some((None, REFILL)));
        assert_eq!(hopper.refill(Mono::ZERO), None, "an answer is on its way");
        hopper.fill(Mono::ZERO, (1..=3).map(record).collect(), Rest::More, &held);
        assert_eq!(hopper.records.len(), 2, "the held contact is left out");
        assert_eq!(hopper.refill(Mono::ZERO), Some((Some((0, 3)), REFILL)));
        hopper.fill(Mono::ZERO, vec![record(4)], Rest::Later(None), &held);
        assert_eq!(hopper.refill(Mono::ZERO), None, "not before a second has passed");
        let later = Mono::ZERO + ASK_AGAIN;
        assert_eq!(hopper.refill(later), Some((None, REFILL)));
        hopper.fill(later, (1..=4).map(record).collect(), Rest::Nothing, &held);
        assert_eq!(hopper.records.len(), 3, "nothing twice");
        while hopper.take().is_some() {}
        assert!(hopper.is_used_up());
    }

    #[test]
    fn a_record_that_goes_back_is_not_overtaken_by_an_older_answer() {
        let mut hopper = Hopper::default();
        let none = BTreeSet::new();
        hopper.refill(Mono::ZERO).unwrap();
        hopper.fill(Mono::ZERO, vec![record(1)], Rest::Nothing, &none);
        hopper.take().unwrap();
        hopper.doubt();
        assert!(!hopper.is_used_up(), "it may wait in the store now");
        let later = Mono::ZERO + ASK_AGAIN;
        hopper.refill(later).unwrap();
        hopper.doubt();
        hopper.fill(later, vec![], Rest::Nothing, &none);
        assert!(!hopper.is_used_up(), "the answer may be older than what went back");
        let later = later + ASK_AGAIN;
        hopper.refill(later).unwrap();
        hopper.fill(later, vec![], Rest::Nothing, &none);
        assert!(hopper.is_used_up());
    }
}
