//! What is counted for a key: usage against limits, and per receiving key a replay window.

use super::{Limits, OpenError};
use crate::replay::ReplayWindow;

/// What one packet costs of a cipher's limit: itself and its blocks.
pub(super) const fn usage_of(length: usize) -> u64 {
    1 + length.div_ceil(16) as u64
}

/// The limits of a key, and whether its cipher counts blocks.
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) counts_blocks: bool,
}

impl Rules {
    /// True when the cipher's limit has no room for another `cost`.
    pub(super) const fn is_over(&self, usage: u64, cost: u64) -> bool {
        self.counts_blocks && usage + cost > self.limits.usage
    }

    /// True from seven eighths of the cipher's limit on.
    pub(super) const fn is_nearly_used(&self, usage: u64) -> bool {
        self.counts_blocks && usage >= self.limits.usage / 8 * 7
    }

    const fn is_used_up(&self, usage: u64) -> bool {
        self.counts_blocks && usage >= self.limits.usage
    }
}

/// What a receiver keeps for one cipher key.
pub(super) struct Track {
    window: ReplayWindow,
    usage: u64,
    pub(super) failures: u64,
}

impl Track {
    pub(super) fn new(replay_window: usize, replay_time: u64) -> Self {
        Self { window: ReplayWindow::new(replay_window, replay_time), usage: 0, failures: 0 }
    }

    pub(super) fn check(&mut self, id: u64, now_ms: u64, rules: &Rules) -> Result<(), OpenError> {
        if self.failures >= rules.limits.failures {
            return Err(OpenError::Exhausted);
        }
        self.window.check(id, now_ms).map_err(|_| OpenError::Replayed)
    }

    pub(super) fn mark(&mut self, id: u64, now_ms: u64, length: usize) {
        self.window.mark(id, now_ms);
        self.usage += usage_of(length);
    }

    /// True when a key that cannot move on by itself should be replaced.
    pub(super) fn nears_limit(&self, rules: &Rules) -> bool {
        self.has_many_failures(rules) || rules.is_nearly_used(self.usage)
    }

    /// True when the key is used up, or too many packets failed under it.
    pub(super) fn is_worn(&self, rules: &Rules) -> bool {
        self.has_many_failures(rules) || rules.is_used_up(self.usage)
    }

    fn has_many_failures(&self, rules: &Rules) -> bool {
        self.failures >= rules.limits.failures_trigger
    }
}
