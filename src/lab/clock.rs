//! The lab's clock: given by whoever starts it, because one place only reads the machine's.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::time::{Mono, Now};

/// Reads both clocks at once.
pub type Clock = Arc<dyn Fn() -> Now + Send + Sync>;

/// Sleeps until this reading of the clock; for ever where there is none.
pub async fn sleep_until(clock: &Clock, due: Option<Mono>) {
    match due {
        Some(due) => tokio::time::sleep(due.since(clock().mono)).await,
        None => std::future::pending().await,
    }
}

/// A clock for tests: real durations from `beginning`, which may be any time of history.
pub fn starting_at(beginning: Now) -> Clock {
    let began = tokio::time::Instant::now();
    Arc::new(move || beginning.after(Duration::from_micros(micros(began.elapsed()))))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
