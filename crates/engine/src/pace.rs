//! When the thread lets packets gather before it looks at the links again.
//!
//! A peer that sends large packets one by one, as `openvpn` does, wakes us for each of them; what we
//! write to the device is then short, and each write costs the peer an acknowledgement to open. A
//! short rest makes few long runs of many short ones. Peers that send super-packets never cause one.

use std::time::Duration;

use ginnel_netio::udp::Received;

/// The kernel's timer slack makes it up to twice as long.
const REST: Duration = Duration::from_micros(50);
/// Below this many in a millisecond nobody waits for another: some 90 Mbit/s.
const MANY: usize = 8;
/// What carries less is not bulk: acknowledgements, speech.
const LARGE: usize = 1000;

/// What the reads of this millisecond and the one before brought.
#[derive(Default)]
pub(crate) struct Pace {
    now: u64,
    singles: usize,
    singles_before: usize,
    may_rest: bool,
    has_more: bool,
}

impl Pace {
    /// Notes what one read of a datagram link brought.
    pub(crate) fn brought(&mut self, messages: &[Received], now: u64) {
        let is_single = |message: &Received| message.segment >= message.range.len();
        if !messages.iter().all(|one| is_single(one) && one.range.len() >= LARGE) {
            return;
        }
        if now != self.now {
            self.singles_before = if now == self.now + 1 { self.singles } else { 0 };
            self.singles = 0;
            self.now = now;
        }
        self.singles += messages.len();
        self.may_rest |= self.singles.max(self.singles_before) >= MANY;
    }

    /// Notes that a link or the device has more to read already.
    pub(crate) fn has_more(&mut self) {
        self.has_more = true;
    }

    /// How long to rest after this turn; starts the next.
    pub(crate) fn take_rest(&mut self) -> Option<Duration> {
        let has_more = std::mem::take(&mut self.has_more);
        (std::mem::take(&mut self.may_rest) && !has_more).then_some(REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize, segment: usize) -> Received {
        let from = ([192, 0, 2, 1], 1194).into();
        Received { range: 0..length, segment, from, local: None }
    }

    /// A turn whose one read brought `count` times a message; tells whether a rest follows.
    fn rests(pace: &mut Pace, one: &Received, count: usize, now: u64) -> bool {
        pace.brought(&vec![one.clone(); count], now);
        pace.take_rest().is_some()
    }

    #[test]
    fn many_large_single_packets_make_a_rest() {
        let (mut pace, single) = (Pace::default(), message(1400, 1400));
        assert!(!rests(&mut pace, &single, MANY - 1, 7));
        assert!(rests(&mut pace, &single, 1, 7));
        assert!(rests(&mut pace, &single, 1, 8), "the millisecond before counts");
        assert!(!rests(&mut pace, &single, 1, 9));
    }

    #[test]
    fn there_is_no_rest_after_a_pause() {
        let (mut pace, single) = (Pace::default(), message(1400, 1400));
        assert!(rests(&mut pace, &single, MANY, 7));
        assert!(!rests(&mut pace, &single, 1, 9));
    }

    #[test]
    fn small_packets_and_super_packets_make_no_rest() {
        let mut pace = Pace::default();
        assert!(!rests(&mut pace, &message(LARGE - 1, LARGE - 1), 32, 7));
        assert!(!rests(&mut pace, &message(14_000, 1400), 32, 7));
        assert!(!rests(&mut pace, &message(1400, 1400), 0, 7));
    }

    #[test]
    fn who_has_more_to_read_goes_on() {
        let (mut pace, single) = (Pace::default(), message(1400, 1400));
        pace.has_more();
        assert!(!rests(&mut pace, &single, MANY, 7));
        assert!(rests(&mut pace, &single, MANY, 7), "once");
        assert!(pace.take_rest().is_none(), "nothing was read");
    }
}
