//! Coarse time, read once a batch.

use std::time::Instant;

/// Longest wait: the argument of epoll is an `int`.
const MAX_WAIT_MS: u64 = 60_000;

pub(crate) struct Clock {
    started: Instant,
    /// Milliseconds since the start, as of the last `read`.
    pub(crate) now: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), now: 0 }
    }

    pub(crate) fn read(&mut self) {
        self.now = self.started.elapsed().as_millis() as u64;
    }

    /// How long may be waited for a deadline, in milliseconds.
    pub(crate) fn wait_ms(&self, deadline: u64) -> i32 {
        deadline.saturating_sub(self.now).min(MAX_WAIT_MS) as i32
    }
}
