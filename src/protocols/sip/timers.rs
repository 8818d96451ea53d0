//! When which machine wants to be woken: one deadline a machine, the earliest first.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::time::Mono;

/// Deadlines by key. Setting one replaces the old; the order of equal deadlines is the keys'.
#[derive(Debug)]
pub(super) struct Timers<K> {
    at: BTreeMap<K, Mono>,
    queue: BTreeSet<(Mono, K)>,
}

impl<K: Ord + Clone> Timers<K> {
    pub(super) fn new() -> Self {
        Self { at: BTreeMap::new(), queue: BTreeSet::new() }
    }

    /// Sets or clears a machine's deadline.
    pub(super) fn set(&mut self, key: &K, deadline: Option<Mono>) {
        if let Some(old) = self.at.remove(key) {
            self.queue.remove(&(old, key.clone()));
        }
        if let Some(deadline) = deadline {
            self.at.insert(key.clone(), deadline);
            self.queue.insert((deadline, key.clone()));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Mono> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Takes one machine that is due.
    pub(super) fn pop_due(&mut self, now: Mono) -> Option<K> {
        let (at, _) = self.queue.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.queue.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Duration;

    #[test]
    fn the_earliest_comes_first_and_a_new_deadline_replaces_the_old() {
        let at = |s| Some(Mono::ZERO + Duration::from_secs(s));
        let mut timers = Timers::new();
        timers.set(&'a', at(1));
        timers.set(&'b', at(2));
        timers.set(&'a', at(3));
        timers.set(&'c', at(2));
        timers.set(&'c', None);
        assert_eq!(timers.next(), at(2));
        assert_eq!(timers.pop_due(Mono::ZERO), None);
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(at(9).unwrap())).collect();
        assert_eq!(due, ['b', 'a']);
        assert_eq!(timers.next(), None);
    }
}
