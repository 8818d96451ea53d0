//! The only reader of the clocks. Everything else takes `now` as an argument.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::domain::time::{Mono, Now, Utc};

/// Both clocks of this process; monotonic time begins when it is made.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts monotonic time.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Monotonic time since the start.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn mono(&self) -> Mono {
        let passed = Instant::now().duration_since(self.start);
        Mono::from_micros(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
    }

    /// Wall-clock time.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clocks")]
    pub fn utc(&self) -> Utc {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Utc::from_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }

    /// Both at one moment.
    pub fn now(&self) -> Now {
        Now { mono: self.mono(), utc: self.utc() }
    }

    /// Monotonic time for those who live on threads of their own.
    pub fn mono_fn(&self) -> Arc<dyn Fn() -> Mono + Send + Sync> {
        let clock = *self;
        Arc::new(move || clock.mono())
    }

    /// Wall-clock time for the shells that stamp what they write.
    pub fn utc_fn(&self) -> Arc<dyn Fn() -> Utc + Send + Sync> {
        let clock = *self;
        Arc::new(move || clock.utc())
    }
}
