//! A token bucket: the flood protection of packets that open new sessions.

/// Lets so many pass at once, and as many more over each period.
#[derive(Debug)]
pub(crate) struct Bucket {
    count: u64,
    period_ms: u64,
    /// In parts of which `period_ms` are a token, so that `count` of them come in a millisecond.
    level: u64,
    filled_at: u64,
}

impl Bucket {
    /// A full bucket of `count` tokens that come back over so many seconds.
    pub(crate) fn new(count: u32, seconds: u32, now_ms: u64) -> Self {
        let (count, period_ms) = (u64::from(count), u64::from(seconds.max(1)) * 1000);
        Self { count, period_ms, level: count * period_ms, filled_at: now_ms }
    }

    /// Takes a token if there is one.
    pub(crate) fn take(&mut self, now_ms: u64) -> bool {
        self.take_many(1, now_ms)
    }

    /// Takes so many tokens if there are as many.
    pub(crate) fn take_many(&mut self, tokens: u64, now_ms: u64) -> bool {
        let passed = now_ms.saturating_sub(self.filled_at).min(self.period_ms);
        self.filled_at = self.filled_at.max(now_ms);
        self.put(passed * self.count);
        let cost = tokens.saturating_mul(self.period_ms);
        let is_allowed = self.level >= cost;
        if is_allowed {
            self.level -= cost;
        }
        is_allowed
    }

    /// Gives tokens back.
    pub(crate) fn give(&mut self, tokens: u32) {
        self.put(u64::from(tokens).min(self.count) * self.period_ms);
    }

    fn put(&mut self, parts: u64) {
        self.level = (self.level + parts).min(self.count * self.period_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_the_rate_recovers() {
        let mut bucket = Bucket::new(100, 10, 0);
        assert_eq!((0..500).filter(|_| bucket.take(0)).count(), 100);
        assert!(!bucket.take(99));
        assert_eq!((0..500).filter(|_| bucket.take(1000)).count(), 10);
        assert_eq!((0..500).filter(|_| bucket.take(3_600_000)).count(), 100);
    }

    #[test]
    fn what_is_given_back_is_never_more_than_it_holds() {
        let mut bucket = Bucket::new(3, 10, 0);
        bucket.give(7);
        assert_eq!((0..9).filter(|_| bucket.take(0)).count(), 3);
        bucket.give(2);
        assert_eq!((0..9).filter(|_| bucket.take(0)).count(), 2);
        assert!(!Bucket::new(0, 0, 0).take(1_000_000));
    }

    #[test]
    fn many_are_taken_together_or_not_at_all() {
        let mut bucket = Bucket::new(5, 1, 0);
        assert!(bucket.take_many(3, 0) && !bucket.take_many(3, 0) && bucket.take_many(2, 0));
        assert!(bucket.take_many(0, 0) && !bucket.take_many(u64::MAX, 1_000_000));
    }
}
