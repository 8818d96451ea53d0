//! Deadlines of many things, the earliest found at once.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::time::Mono;

/// At most one deadline a key.
#[derive(Debug)]
pub(in crate::lab) struct Schedule<K> {
    of: BTreeMap<K, Mono>,
    order: BTreeSet<(Mono, K)>,
}

impl<K> Default for Schedule<K> {
    fn default() -> Self {
        Self { of: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Copy + Ord> Schedule<K> {
    /// Sets or takes away a deadline.
    pub(in crate::lab) fn set(&mut self, key: K, due: Option<Mono>) {
        let old = match due {
            Some(due) => self.of.insert(key, due),
            None => self.of.remove(&key),
        };
        if let Some(old) = old {
            self.order.remove(&(old, key));
        }
        if let Some(due) = due {
            self.order.insert((due, key));
        }
    }

    /// The earliest deadline.
    pub(in crate::lab) fn next(&self) -> Option<Mono> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Takes out one key whose deadline has come.
    pub(in crate::lab) fn due(&mut self, now: Mono) -> Option<K> {
        let (due, key) = *self.order.first()?;
        if due > now {
            return None;
        }
        self.set(key, None);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_a_changed_one_only_once() {
        let at = Mono::from_micros;
        let mut schedule = Schedule::default();
        schedule.set('a', Some(at(5)));
        schedule.set('b', Some(at(3)));
        schedule.set('c', Some(at(1)));
        schedule.set('c', None);
        schedule.set('a', Some(at(4)));
        assert_eq!(schedule.next(), Some(at(3)));
        assert_eq!(schedule.due(at(2)), None);
        assert_eq!(schedule.due(at(9)), Some('b'));
        assert_eq!(schedule.due(at(9)), Some('a'));
        assert_eq!((schedule.due(at(9)), schedule.next()), (None, None));
    }
}
