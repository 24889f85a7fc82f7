//! The replay window of one receiving key (protocol-facts 10).
//!
//! `check` before authentication, `mark` after it. Time is coarse milliseconds of the caller.

use std::cmp::Ordering;
use std::collections::VecDeque;

const SWEEP_EVERY_MS: u64 = 5_000;
/// The largest window that is kept; asking for more gives this much.
pub const MAX_WINDOW: usize = 65_536;

/// Remembers which packet-ids below the highest were seen.
///
/// With size `n` an id is accepted once while it is less than `n` below the highest; with size 0
/// only the id right after the last one is, once there was one. Id 0 is never accepted. Every 5 s the window is swept:
/// the newest seen id older than the backtrack time closes itself and everything below it.
#[derive(Debug)]
pub struct ReplayWindow {
    size: usize,
    backtrack_ms: u64,
    highest: u64,
    /// Ids up to this one are closed, whatever the window says.
    floor: u64,
    /// `seen[d]` is when `highest - d` was marked, in milliseconds plus one; 0 is not yet.
    seen: VecDeque<u64>,
    next_sweep: u64,
}

/// The id was seen before, is too old, or is not the next one where order is strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replayed packet-id")]
pub struct Replayed;

impl ReplayWindow {
    /// A window of `size` ids and `backtrack` seconds; 0 seconds never closes by age.
    pub fn new(size: usize, backtrack: u64) -> Self {
        let size = size.min(MAX_WINDOW);
        Self {
            size,
            backtrack_ms: backtrack.saturating_mul(1000),
            highest: 0,
            floor: 0,
            seen: VecDeque::with_capacity(size),
            next_sweep: 0,
        }
    }

    /// Tells whether the id may still be accepted. Changes nothing but what age closes.
    pub fn check(&mut self, id: u64, now_ms: u64) -> Result<(), Replayed> {
        if now_ms >= self.next_sweep {
            self.sweep(now_ms);
        }
        let fresh = if id == 0 || id <= self.floor {
            false
        } else if self.size == 0 {
            self.highest == 0 || id == self.highest + 1
        } else if id > self.highest {
            true
        } else {
            let back = self.highest - id;
            back < self.size as u64 && self.seen.get(back as usize).is_none_or(|at| *at == 0)
        };
        if fresh { Ok(()) } else { Err(Replayed) }
    }

    /// Marks an id that passed `check` and whose packet authenticated.
    pub fn mark(&mut self, id: u64, now_ms: u64) {
        if id > self.highest {
            let ahead = id - self.highest;
            if ahead >= self.size as u64 {
                self.seen.clear();
            } else {
                self.seen.truncate(self.size - ahead as usize);
                for _ in 1..ahead {
                    self.seen.push_front(0);
                }
            }
            if self.size > 0 {
                self.seen.push_front(now_ms + 1);
            }
            self.highest = id;
        } else {
            let back = (self.highest - id) as usize;
            if back < self.size {
                if self.seen.len() <= back {
                    self.seen.resize(back + 1, 0);
                }
                self.seen[back] = now_ms + 1;
            }
        }
    }

    fn sweep(&mut self, now_ms: u64) {
        self.next_sweep = now_ms + SWEEP_EVERY_MS;
        if self.backtrack_ms == 0 {
            return;
        }
        let stale = |at: &u64| *at != 0 && at.saturating_add(self.backtrack_ms) < now_ms + 1;
        if let Some(back) = self.seen.iter().position(stale) {
            self.floor = self.floor.max(self.highest - back as u64);
        }
    }
}

/// A replay window for packet-ids with a time, which start anew when the time goes up.
///
/// A lower time than the last is refused. Ids without a time have the time 0.
#[derive(Debug)]
pub struct TimedWindow {
    size: usize,
    backtrack: u64,
    time: u32,
    ids: ReplayWindow,
}

impl TimedWindow {
    /// As `ReplayWindow::new`.
    pub fn new(size: usize, backtrack: u64) -> Self {
        Self { size, backtrack, time: 0, ids: ReplayWindow::new(size, backtrack) }
    }

    /// Tells whether the id may still be accepted.
    pub fn check(&mut self, (time, id): (u32, u32), now_ms: u64) -> Result<(), Replayed> {
        let is_fresh = match time.cmp(&self.time) {
            Ordering::Less => false,
            Ordering::Equal => return self.ids.check(u64::from(id), now_ms),
            Ordering::Greater if self.size == 0 => id == 1,
            Ordering::Greater => id != 0,
        };
        if is_fresh { Ok(()) } else { Err(Replayed) }
    }

    /// Marks an id that passed `check` and whose packet authenticated.
    pub fn mark(&mut self, (time, id): (u32, u32), now_ms: u64) {
        if time > self.time {
            self.time = time;
            self.ids = ReplayWindow::new(self.size, self.backtrack);
        }
        self.ids.mark(u64::from(id), now_ms);
    }
}
