//! Hardware addresses that peers sent from, as a switch learns them: bounded, and forgotten.

use std::collections::{HashMap, HashSet};

use crate::hash::QuickMap;

/// A hardware address, and its VLAN, which is 0 where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Station {
    /// The address.
    pub mac: [u8; 6],
    /// The VLAN.
    pub vlan: u16,
}

/// What is known of one station.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Whose it is.
    pub peer_id: u32,
    /// Since when.
    moved_at: u64,
    /// When it last sent something.
    pub seen_at: u64,
}

/// What a frame's source turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// Known, and the peer's.
    Known,
    /// New.
    Learned,
    /// Known, and another peer's until now.
    Moved,
}

/// The peer may not send from this address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// How long a station stays where it is, in milliseconds: two peers that fight for one address
/// must not keep everybody busy.
const LEAST_STAY_MS: u64 = 1000;
const GROUP_BIT: u8 = 0x01;

/// All stations. Their addresses are strangers' choice, so their hash is a keyed one.
#[derive(Debug, Default)]
pub struct Stations {
    entries: HashMap<Station, Entry>,
    of_peer: QuickMap<u32, HashSet<Station>>,
}

impl Stations {
    /// Takes note of who sent from an address; of nothing new unless that `may_learn`.
    pub fn learn(
        &mut self,
        peer_id: u32,
        station: Station,
        (limit, may_learn): (usize, bool),
        now_ms: u64,
    ) -> Result<Lesson, Refused> {
        if let Some(entry) = self.entries.get_mut(&station)
            && entry.peer_id == peer_id
        {
            entry.seen_at = now_ms;
            return Ok(Lesson::Known);
        }
        if station.mac[0] & GROUP_BIT != 0 || station.mac == [0; 6] || !may_learn {
            return Err(Refused);
        }
        let old = self.entries.get(&station).copied();
        if old.is_some_and(|old| now_ms < old.moved_at + LEAST_STAY_MS) {
            return Err(Refused);
        }
        let own = self.of_peer.entry(peer_id).or_default();
        if own.len() >= limit {
            return Err(Refused);
        }
        own.insert(station);
        self.entries.insert(station, Entry { peer_id, moved_at: now_ms, seen_at: now_ms });
        let Some(old) = old else { return Ok(Lesson::Learned) };
        if let Some(others) = self.of_peer.get_mut(&old.peer_id) {
            others.remove(&station);
        }
        Ok(Lesson::Moved)
    }

    /// Whose a station is.
    pub fn find(&self, station: Station) -> Option<u32> {
        self.entries.get(&station).map(|entry| entry.peer_id)
    }

    /// Forgets the stations of a peer.
    pub fn remove_peer(&mut self, peer_id: u32) {
        for station in self.of_peer.remove(&peer_id).unwrap_or_default() {
            self.entries.remove(&station);
        }
    }

    /// Forgets what sent nothing for so long, while `tell` takes the news.
    pub fn forget_stale(
        &mut self,
        age_ms: u64,
        now_ms: u64,
        mut tell: impl FnMut(u32, Station) -> bool,
    ) {
        let of_peer = &mut self.of_peer;
        self.entries.retain(|station, entry| {
            let is_stale = now_ms >= entry.seen_at + age_ms;
            if !is_stale || !tell(entry.peer_id, *station) {
                return true;
            }
            if let Some(own) = of_peer.get_mut(&entry.peer_id) {
                own.remove(station);
            }
            false
        });
    }

    /// Every station.
    pub fn all(&self) -> impl Iterator<Item = (Station, Entry)> {
        self.entries.iter().map(|(station, entry)| (*station, *entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Station = Station { mac: [2, 0, 0, 0, 0, 1], vlan: 0 };
    const FREE: (usize, bool) = (2, true);

    #[test]
    fn stations_are_learnt_move_and_age() {
        let mut stations = Stations::default();
        assert_eq!(stations.learn(1, MAC, FREE, 0), Ok(Lesson::Learned));
        assert_eq!(stations.learn(1, MAC, (0, false), 5000), Ok(Lesson::Known));
        assert_eq!(stations.find(MAC), Some(1));
        assert_eq!(stations.find(Station { vlan: 7, ..MAC }), None);
        assert_eq!(stations.learn(2, MAC, FREE, 6000), Ok(Lesson::Moved));
        assert_eq!(stations.learn(1, MAC, FREE, 6999), Err(Refused), "it has just moved");
        let mut told = vec![];
        stations.forget_stale(10_000, 15_999, |peer_id, station| {
            told.push((peer_id, station));
            true
        });
        assert!(told.is_empty());
        stations.forget_stale(10_000, 16_000, |_, _| false);
        assert_eq!(stations.find(MAC), Some(2), "nobody took the news");
        stations.forget_stale(10_000, 16_000, |peer_id, station| {
            told.push((peer_id, station));
            true
        });
        assert_eq!(told, [(2, MAC)]);
        assert_eq!(stations.find(MAC), None);
    }

    #[test]
    fn a_peer_fills_no_more_than_its_share() {
        let mut stations = Stations::default();
        for last in 1..=2 {
            let station = Station { mac: [2, 0, 0, 0, 9, last], vlan: 0 };
            assert_eq!(stations.learn(1, station, FREE, 0), Ok(Lesson::Learned));
        }
        for mac in [MAC.mac, [0xFF; 6], [1, 0, 0x5e, 0, 0, 1], [0; 6]] {
            assert_eq!(stations.learn(1, Station { mac, vlan: 0 }, FREE, 0), Err(Refused));
        }
        assert_eq!(stations.learn(2, MAC, (2, false), 0), Err(Refused));
        stations.remove_peer(1);
        assert_eq!(stations.all().count(), 0);
        assert_eq!(stations.learn(1, MAC, FREE, 0), Ok(Lesson::Learned));
    }
}
