//! Coarse time, read once a batch, and the next deadline.

use std::time::Instant;

/// Longest wait: the argument of epoll is an `int`.
const MAX_WAIT_MS: u64 = 60_000;

pub(crate) struct Clock {
    started: Instant,
    /// Milliseconds since the start, as of the last `read`.
    pub(crate) now: u64,
    /// When the timers have to be looked at.
    pub(crate) next_timer: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), now: 0, next_timer: u64::MAX }
    }

    pub(crate) fn read(&mut self) {
        self.now = self.started.elapsed().as_millis() as u64;
    }

    /// Looks at the timers no later than at `deadline`.
    pub(crate) fn arm(&mut self, deadline: u64) {
        self.next_timer = self.next_timer.min(deadline);
    }

    pub(crate) const fn is_due(&self) -> bool {
        self.now >= self.next_timer
    }

    /// How long may be waited, in milliseconds.
    pub(crate) fn wait_ms(&self) -> i32 {
        self.next_timer.saturating_sub(self.now).min(MAX_WAIT_MS) as i32
    }
}
