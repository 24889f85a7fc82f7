//! What waits its turn, each peer's for itself, so that nobody gets more for sending more.
//!
//! Deficit round robin: peers take turns by bytes. When all together hold too much, the longest
//! queue loses what is oldest in it, so that only who fills the store finds it full.

use std::collections::VecDeque;

use ginnel_datapath::hash::QuickMap;

/// Bytes of one turn; what a peer takes beyond, it pays for in the next ones.
const QUANTUM: isize = 16 * 1024;
/// What keeping an item costs beside its bytes.
const OVERHEAD: usize = 128;

/// Something that a peer's packets are kept in.
pub(crate) trait Item: Sized {
    /// Bytes in it.
    fn len(&self) -> usize;

    /// Takes the packets of the item that follows, if they fit; else returns it.
    fn join(&mut self, next: Self) -> Option<Self>;
}

/// Items of any number of peers.
pub(crate) struct Backlog<T> {
    queues: QuickMap<u32, Queue<T>>,
    /// Peers that have something waiting, the next one first.
    turns: VecDeque<u32>,
    bytes: usize,
    limit: usize,
    is_wanted: bool,
}

struct Queue<T> {
    items: VecDeque<T>,
    bytes: usize,
    credit: isize,
}

impl<T: Item> Backlog<T> {
    /// An empty store for so many bytes.
    pub(crate) fn new(limit: usize) -> Self {
        let (queues, turns) = (QuickMap::default(), VecDeque::new());
        Self { queues, turns, bytes: 0, limit, is_wanted: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    /// Notes whether packets of several peers have to wait, so that their order matters.
    pub(crate) fn want(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
    }

    /// True when what is read next has to be kept; otherwise it may go at once.
    pub(crate) fn is_in_use(&self) -> bool {
        self.is_wanted || !self.is_empty()
    }

    /// Keeps a peer's item. The caller takes what `overflow` has afterwards.
    pub(crate) fn push(&mut self, peer_id: u32, item: T) {
        let queue = self.queues.entry(peer_id).or_insert_with(|| {
            self.turns.push_back(peer_id);
            Queue { items: VecDeque::new(), bytes: 0, credit: QUANTUM }
        });
        let length = item.len();
        let rest = match queue.items.back_mut() {
            Some(last) => last.join(item),
            None => Some(item),
        };
        let cost = length + if rest.is_some() { OVERHEAD } else { 0 };
        queue.items.extend(rest);
        queue.bytes += cost;
        self.bytes += cost;
    }

    /// What has to go because there is too much, and whose that is; None when enough has gone.
    pub(crate) fn overflow(&mut self) -> Option<(u32, T)> {
        if self.bytes <= self.limit {
            return None;
        }
        let longest = self.queues.iter().max_by_key(|(_, queue)| queue.bytes).map(|(id, _)| *id)?;
        Some((longest, self.take(longest)?))
    }

    /// Takes the next item of whoever's turn it is.
    pub(crate) fn pop(&mut self) -> Option<(u32, T)> {
        loop {
            let peer_id = *self.turns.front()?;
            let queue = self.queues.get_mut(&peer_id)?;
            if let Some(next) = queue.items.front().filter(|_| queue.credit > 0) {
                queue.credit -= (next.len() + OVERHEAD).cast_signed();
                return Some((peer_id, self.take(peer_id)?));
            }
            queue.credit += QUANTUM;
            self.turns.rotate_left(1);
        }
    }

    /// Forgets what waits for a peer.
    pub(crate) fn forget(&mut self, peer_id: u32) {
        if let Some(queue) = self.queues.remove(&peer_id) {
            self.bytes -= queue.bytes;
            // Mostly it is the one whose turn it was: looking through all would cost each packet more.
            if self.turns.front() == Some(&peer_id) {
                self.turns.pop_front();
            } else {
                self.turns.retain(|other| *other != peer_id);
            }
        }
    }

    fn take(&mut self, peer_id: u32) -> Option<T> {
        let queue = self.queues.get_mut(&peer_id)?;
        let item = queue.items.pop_front()?;
        let cost = item.len() + OVERHEAD;
        queue.bytes -= cost;
        self.bytes -= cost;
        if queue.items.is_empty() {
            self.forget(peer_id);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its number and its length; those of an even number swallow what follows.
    #[derive(Debug, PartialEq, Eq)]
    struct Thing(u32, usize);

    impl Item for Thing {
        fn len(&self) -> usize {
            self.1
        }

        fn join(&mut self, next: Self) -> Option<Self> {
            if self.0.is_multiple_of(2) {
                self.1 += next.1;
                return None;
            }
            Some(next)
        }
    }

    fn filled(limit: usize, things: &[(u32, usize)]) -> (Backlog<Thing>, Vec<u32>) {
        let mut backlog = Backlog::new(limit);
        let mut lost = Vec::new();
        for (peer, length) in things {
            backlog.push(*peer, Thing(1, *length));
            lost.extend(std::iter::from_fn(|| backlog.overflow()).map(|(peer_id, _)| peer_id));
            assert!(backlog.bytes <= limit);
        }
        (backlog, lost)
    }

    fn order(backlog: &mut Backlog<Thing>) -> Vec<u32> {
        std::iter::from_fn(|| backlog.pop()).map(|(peer_id, _)| peer_id).collect()
    }

    #[test]
    fn peers_take_turns_by_bytes() {
        let large = [(1, 40_000); 3];
        let small = [(2, 8_000); 15];
        let (mut backlog, lost) = filled(1 << 20, &[&large[..], &small[..]].concat());
        assert!(lost.is_empty() && backlog.is_in_use());
        let order = order(&mut backlog);
        let before_second = order.iter().skip(1).take_while(|peer_id| **peer_id == 2).count();
        assert_eq!(order[0], 1);
        assert!((4..=6).contains(&before_second), "40,000 bytes of one, then as many: {order:?}");
        assert!(backlog.is_empty() && !backlog.is_in_use());
    }

    #[test]
    fn what_one_peer_sends_keeps_its_order() {
        let mut backlog = Backlog::new(1 << 20);
        for number in 0..200 {
            backlog.push(number % 3, Thing(number * 2 + 1, 5000));
        }
        let mut last = [0; 3];
        while let Some((peer_id, Thing(number, _))) = backlog.pop() {
            assert!(number > last[peer_id as usize]);
            last[peer_id as usize] = number;
        }
        assert_eq!(last, [397, 399, 395]);
    }

    #[test]
    fn who_fills_it_finds_it_full() {
        let (mut backlog, lost) =
            filled(10_000, &[(1, 4000), (2, 1000), (1, 4000), (2, 1000), (3, 900), (1, 4000)]);
        assert_eq!(lost, [1, 1], "the oldest of the longest queue, whoever comes");
        assert_eq!(order(&mut backlog), [1, 2, 2, 3]);
        let (_, lost) = filled(100, &[(1, 4000)]);
        assert_eq!(lost, [1]);
        let many_small = [(1, 100); 40];
        let (_, lost) = filled(10_000, &[&many_small[..], &[(2, 4000)]].concat());
        assert_eq!(lost, [1; 15], "as many as it takes");
    }

    #[test]
    fn what_joins_counts_once() {
        let mut backlog = Backlog::new(1 << 20);
        backlog.push(1, Thing(2, 100));
        backlog.push(1, Thing(3, 50));
        assert_eq!(backlog.bytes, 150 + OVERHEAD);
        assert_eq!(backlog.pop(), Some((1, Thing(2, 150))));
        assert_eq!((backlog.bytes, backlog.pop()), (0, None));
    }

    #[test]
    fn a_peer_that_is_gone_leaves_nothing() {
        let (mut backlog, _) = filled(1 << 20, &[(1, 100), (2, 100), (1, 100)]);
        backlog.forget(1);
        backlog.forget(7);
        assert_eq!(order(&mut backlog), [2]);
        assert_eq!(backlog.bytes, 0);
    }

    #[test]
    fn it_is_in_use_from_when_it_is_wanted() {
        let (mut backlog, _) = filled(100, &[]);
        assert!(!backlog.is_in_use());
        backlog.want(true);
        assert!(backlog.is_in_use() && backlog.is_empty());
        backlog.want(false);
        assert!(!backlog.is_in_use());
    }
}
