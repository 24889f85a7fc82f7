//! A token bucket: the flood protection of packets that open new sessions.

const CAPACITY: u64 = 100;
const REFILL_MS: u64 = 100;

/// Lets 100 pass at once, and then 10 a second.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: u64,
    filled_at: u64,
}

impl Bucket {
    pub(crate) const fn new() -> Self {
        Self { tokens: CAPACITY, filled_at: 0 }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        let gained = now_ms.saturating_sub(self.filled_at) / REFILL_MS;
        self.filled_at += gained * REFILL_MS;
        self.tokens = (self.tokens + gained).min(CAPACITY);
        let allowed = self.tokens > 0;
        self.tokens -= u64::from(allowed);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_rate_recovers() {
        let mut bucket = Bucket::new();
        assert_eq!((0..500).filter(|_| bucket.take(0)).count(), 100);
        assert!(!bucket.take(99));
        assert_eq!((0..500).filter(|_| bucket.take(1000)).count(), 10);
        assert_eq!((0..500).filter(|_| bucket.take(3_600_000)).count(), 100);
    }
}
