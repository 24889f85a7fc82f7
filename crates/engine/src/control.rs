//! Control packets on their way up: bounded, in lanes, so that no flood shuts out who is known.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};

use crate::peers::Place;

/// A packet that is not data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The packet, whole.
    pub payload: Vec<u8>,
    /// Where it came from; None on TCP.
    pub source: Option<SocketAddr>,
    /// The number of the link it came by.
    pub link: u32,
    /// Which of our addresses it came to, where the link tells.
    pub local: Option<IpAddr>,
}

/// How well the sender of a control packet is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The place is a peer's.
    Peer,
    /// We answered it not long ago, or it is a stream.
    Acquaintance,
    Stranger,
}

/// Packets that wait in each lane, and of one place in it.
const LIMITS: [(usize, u16); 3] = [(512, 64), (256, 32), (128, 16)];
/// Places in one generation of those that we answered.
const GENERATION: usize = 4096;

/// Packets that wait, in a lane for each standing; they are taken from the lanes in turns.
#[derive(Default)]
pub(crate) struct Lanes {
    lanes: [VecDeque<Control>; 3],
    by_place: HashMap<Place, u16>,
    turn: usize,
}

impl Lanes {
    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }

    /// Queues a packet; false when its lane, or its sender's part of it, is full.
    pub(crate) fn push(&mut self, packet: Control, standing: Standing) -> bool {
        let lane = standing as usize;
        let (total, each) = LIMITS[lane];
        if self.lanes[lane].len() >= total {
            return false;
        }
        let waiting = self.by_place.entry((packet.link, packet.source)).or_insert(0);
        if *waiting >= each {
            return false;
        }
        *waiting += 1;
        self.lanes[lane].push_back(packet);
        true
    }

    /// Takes up to so many packets; those of one sender in order.
    pub(crate) fn take(&mut self, limit: usize) -> Vec<Control> {
        let mut taken = Vec::new();
        while taken.len() < limit && !self.is_empty() {
            self.turn = (self.turn + 1) % self.lanes.len();
            taken.extend(self.lanes[self.turn].pop_front());
        }
        for packet in &taken {
            let place = (packet.link, packet.source);
            if let Some(waiting) = self.by_place.get_mut(&place) {
                *waiting -= 1;
                if *waiting == 0 {
                    self.by_place.remove(&place);
                }
            }
        }
        taken
    }
}

/// Places that we answered lately: two generations, so that what is kept is bounded.
#[derive(Default)]
pub(crate) struct Acquaintances {
    new: HashSet<Place>,
    old: HashSet<Place>,
}

impl Acquaintances {
    pub(crate) fn meet(&mut self, place: Place) {
        if self.new.len() >= GENERATION {
            self.old = std::mem::take(&mut self.new);
        }
        self.new.insert(place);
    }

    pub(crate) fn knows(&self, place: &Place) -> bool {
        self.new.contains(place) || self.old.contains(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(port: u16, number: u8) -> Control {
        let source = Some(SocketAddr::from(([192, 0, 2, 1], port)));
        Control { payload: vec![number], source, link: 0, local: None }
    }

    #[test]
    fn a_flood_of_strangers_leaves_the_other_lanes_alone() {
        let mut lanes = Lanes::default();
        let kept =
            (0..5000).filter(|port| lanes.push(packet(*port, 0), Standing::Stranger)).count();
        assert_eq!(kept, 128);
        assert!(lanes.push(packet(1, 1), Standing::Peer));
        assert!(lanes.push(packet(2, 2), Standing::Acquaintance));
        let first: Vec<u8> = lanes.take(3).iter().map(|packet| packet.payload[0]).collect();
        assert!(first.contains(&1) && first.contains(&2), "{first:?}");
        assert_eq!(lanes.take(1000).len(), 127);
        assert!(lanes.by_place.is_empty());
    }

    #[test]
    fn one_sender_does_not_fill_the_lane() {
        let mut lanes = Lanes::default();
        let shares = [(Standing::Peer, 64), (Standing::Acquaintance, 32), (Standing::Stranger, 16)];
        for (standing, share) in shares {
            let kept = (0..200).filter(|number| lanes.push(packet(9, *number), standing)).count();
            assert_eq!(kept, share);
            lanes.take(1000);
        }
        assert!((0..32).all(|number| lanes.push(packet(9, number), Standing::Acquaintance)));
        assert!(lanes.push(packet(8, 0), Standing::Acquaintance));
        let order: Vec<u8> = lanes.take(32).iter().map(|packet| packet.payload[0]).collect();
        assert!(order.is_sorted());
        assert!(lanes.push(packet(9, 0), Standing::Acquaintance));
    }

    #[test]
    fn what_is_remembered_of_strangers_is_bounded() {
        let mut met = Acquaintances::default();
        let place = |number: u16| (1, packet(number, 0).source);
        for number in 0..u16::MAX {
            met.meet(place(number));
        }
        assert!(met.knows(&place(u16::MAX - 1)));
        assert!(!met.knows(&place(0)));
        assert!(met.new.len() + met.old.len() <= 2 * GENERATION);
    }
}
