//! `shaper`: a limit on what is sent, in bytes a second.

/// Counts what was sent as time that has to pass before more is.
#[derive(Clone, Copy, Debug)]
pub struct Shaper {
    rate: u64,
    /// In microseconds, so that small packets at high rates still count.
    ready_at: u64,
}

impl Shaper {
    /// `rate` in bytes a second; it is not 0.
    pub const fn new(rate: u32) -> Self {
        Self { rate: rate as u64, ready_at: 0 }
    }

    /// Notes that so many bytes were sent.
    pub fn charge(&mut self, bytes: usize, now_ms: u64) {
        let cost = bytes as u64 * 1_000_000 / self.rate.max(1);
        self.ready_at = self.ready_at.max(now_ms * 1000) + cost;
    }

    /// When more may be sent, in milliseconds.
    pub const fn ready_at(&self) -> u64 {
        self.ready_at.div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_costs_its_time() {
        let mut shaper = Shaper::new(10_000);
        assert_eq!(shaper.ready_at(), 0);
        shaper.charge(1000, 50);
        assert_eq!(shaper.ready_at(), 150);
        shaper.charge(1, 150);
        assert_eq!(shaper.ready_at(), 151);
        shaper.charge(1000, 5000);
        assert_eq!(shaper.ready_at(), 5100);
    }
}
