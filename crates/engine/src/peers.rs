//! All peers, found by peer-id, by where their packets come from, and by deadline.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;

use ginnel_datapath::hash::QuickMap;
use ginnel_datapath::key::Key;
use ginnel_datapath::peer::{Peer, Slot};
use ginnel_datapath::wire::{self, DataFormat, DataHeader, Kind, UNDEFINED_PEER_ID};

/// Where packets come from: a link, and an address on it where there are addresses.
pub(crate) type Place = (u32, Option<SocketAddr>);

#[derive(Default)]
pub(crate) struct Peers {
    by_id: QuickMap<u32, Box<Peer>>,
    /// The addresses are strangers' choice, so their hash is a keyed one.
    by_place: HashMap<Place, u32>,
    /// How many are in each VLAN.
    by_vlan: QuickMap<u16, usize>,
    deadlines: BinaryHeap<Reverse<(u64, u32)>>,
    /// The link belongs to one peer without TLS, whose packets have no header.
    is_headerless: bool,
}

impl Peers {
    /// Adds a peer; false when its id is taken. Of two peers at one address the last counts.
    pub(crate) fn add(&mut self, peer: Peer) -> bool {
        let peer_id = peer.config().peer_id;
        if self.by_id.contains_key(&peer_id) {
            return false;
        }
        if let Some(place) = place_of(&peer) {
            self.by_place.insert(place, peer_id);
        }
        *self.by_vlan.entry(peer.config().vlan).or_default() += 1;
        self.by_id.insert(peer_id, Box::new(peer));
        true
    }

    pub(crate) fn remove(&mut self, peer_id: u32) -> bool {
        let Some(peer) = self.by_id.remove(&peer_id) else { return false };
        self.leave(place_of(&peer), peer_id);
        if let Entry::Occupied(mut count) = self.by_vlan.entry(peer.config().vlan) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        self.is_headerless &= !self.by_id.is_empty();
        true
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many are in a VLAN.
    pub(crate) fn in_vlan(&self, vlan: u16) -> usize {
        self.by_vlan.get(&vlan).copied().unwrap_or(0)
    }

    /// Takes note that a link is a stream now, or is none.
    pub(crate) fn set_stream(&mut self, link: u32, on_stream: bool) {
        let moved: Vec<u32> = self
            .by_id
            .values()
            .filter(|peer| peer.link == link && peer.on_stream != on_stream)
            .map(|peer| peer.config().peer_id)
            .collect();
        for peer_id in moved {
            self.relocate(peer_id, |peer| peer.on_stream = on_stream);
        }
    }

    /// Puts a key into a slot, or empties it; None when there is no such peer.
    pub(crate) fn set_key(&mut self, peer_id: u32, slot: Slot, key: Option<Key>) -> Option<()> {
        let peer = self.by_id.get_mut(&peer_id)?;
        self.is_headerless |= key.as_ref().is_some_and(|key| key.format() == DataFormat::Static);
        peer.set_key(slot, key);
        Some(())
    }

    /// Tells what a packet of the link is; None when it is too short to say.
    pub(crate) fn classify(&self, packet: &[u8]) -> Option<Kind> {
        if self.is_headerless {
            return Some(Kind::Data(DataHeader { key_id: 0, peer_id: None }));
        }
        wire::classify(packet)
    }

    pub(crate) fn get(&mut self, peer_id: u32) -> Option<&mut Peer> {
        self.by_id.get_mut(&peer_id).map(Box::as_mut)
    }

    /// The one peer of a client; None when there are several.
    pub(crate) fn lone(&mut self) -> Option<&mut Peer> {
        if self.by_id.len() == 1 { self.by_id.values_mut().next().map(Box::as_mut) } else { None }
    }

    /// The id of the one peer of a client.
    pub(crate) fn lone_id(&self) -> Option<u32> {
        if self.by_id.len() == 1 { self.by_id.keys().next().copied() } else { None }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Peer> {
        self.by_id.values().map(Box::as_ref)
    }

    /// Whose packet it is: the peer-id says so, the address where there is none, or the stream.
    pub(crate) fn sender(&self, peer_id: Option<u32>, (link, from): Place) -> Option<u32> {
        match peer_id {
            Some(peer_id) if peer_id != UNDEFINED_PEER_ID && from.is_some() => Some(peer_id),
            _ => self.at((link, from)),
        }
    }

    /// The peer whose packets come from there.
    pub(crate) fn at(&self, (link, from): Place) -> Option<u32> {
        self.by_place.get(&(link, from.map(plain))).copied()
    }

    /// Moves a peer that authenticated from another place.
    pub(crate) fn float(&mut self, peer_id: u32, link: u32, to: SocketAddr) {
        self.relocate(peer_id, |peer| {
            peer.link = link;
            peer.remote = Some(to);
        });
    }

    fn relocate(&mut self, peer_id: u32, change: impl FnOnce(&mut Peer)) {
        let Some(peer) = self.by_id.get_mut(&peer_id) else { return };
        let old = place_of(peer);
        change(peer);
        let new = place_of(peer);
        self.leave(old, peer_id);
        if let Some(place) = new {
            self.by_place.insert(place, peer_id);
        }
    }

    fn leave(&mut self, place: Option<Place>, peer_id: u32) {
        if let Some(place) = place
            && self.by_place.get(&place) == Some(&peer_id)
        {
            self.by_place.remove(&place);
        }
    }

    // --- deadlines ---

    /// Has a peer looked at when its next deadline comes.
    pub(crate) fn schedule(&mut self, peer_id: u32) {
        let Some(peer) = self.by_id.get_mut(&peer_id) else { return };
        if let Some(deadline) = peer.clock.next_deadline()
            && deadline < peer.due_at
        {
            peer.due_at = deadline;
            self.deadlines.push(Reverse((deadline, peer_id)));
        }
    }

    /// A peer whose deadline has come; it is to be scheduled again.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<&mut Peer> {
        while let Some(Reverse((deadline, peer_id))) = self.deadlines.peek().copied()
            && deadline <= now
        {
            self.deadlines.pop();
            if let Some(peer) = self.by_id.get_mut(&peer_id)
                && peer.due_at == deadline
            {
                peer.due_at = u64::MAX;
                return self.get(peer_id);
            }
        }
        None
    }

    /// When the next deadline comes.
    pub(crate) fn next_deadline(&self) -> u64 {
        self.deadlines.peek().map_or(u64::MAX, |Reverse((deadline, _))| *deadline)
    }
}

fn place_of(peer: &Peer) -> Option<Place> {
    if peer.on_stream {
        return Some((peer.link, None));
    }
    peer.remote.map(|remote| (peer.link, Some(plain(remote))))
}

/// Addresses compare without flow label, and without a scope that only one side knows.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// True when two addresses are the same place; a scope of 0 fits any.
pub(crate) fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let scope = |address: SocketAddr| match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let scopes = (scope(one), scope(other));
    plain(one) == plain(other) && (scopes.0 == scopes.1 || scopes.0 == 0 || scopes.1 == 0)
}
#[cfg(test)]
mod tests {
    use super::*;
    use ginnel_datapath::peer::{Keepalive, KeepaliveClock, PeerConfig};

    fn table(peers: u32) -> Peers {
        let mut table = Peers::default();
        for peer_id in 1..=peers {
            let remote = Some(SocketAddr::from(([192, 0, 2, 1], peer_id as u16)));
            let config = PeerConfig { peer_id, remote, ..PeerConfig::default() };
            assert!(table.add(Peer::new(config, None, 0)));
        }
        table
    }

    #[test]
    fn deadlines_come_in_order_and_each_peer_is_looked_at_once() {
        let mut peers = table(3);
        for (peer_id, ping_timeout) in [(1, 30), (2, 10), (3, 20)] {
            let limits = Keepalive { ping_timeout, ..Keepalive::default() };
            peers.get(peer_id).unwrap().clock = KeepaliveClock::new(limits, 0);
            peers.schedule(peer_id);
            peers.schedule(peer_id);
        }
        assert_eq!(peers.next_deadline(), 10_000);
        assert!(peers.take_due(9_999).is_none());
        let mut due = vec![];
        while let Some(peer) = peers.take_due(20_000) {
            due.push(peer.config().peer_id);
        }
        assert_eq!(due, [2, 3]);
        assert!(peers.remove(1));
        assert!(peers.take_due(60_000).is_none());
        assert_eq!(peers.next_deadline(), u64::MAX);
    }

    #[test]
    fn each_vlan_knows_how_many_it_has() {
        let mut peers = table(2);
        let tagged = PeerConfig { peer_id: 7, vlan: 5, ..PeerConfig::default() };
        assert!(peers.add(Peer::new(tagged, None, 0)));
        assert!(!peers.add(Peer::new(tagged, None, 0)));
        assert_eq!((peers.len(), peers.in_vlan(0), peers.in_vlan(5)), (3, 2, 1));
        assert!(peers.remove(7) && !peers.remove(7));
        assert_eq!((peers.len(), peers.in_vlan(0), peers.in_vlan(5)), (2, 2, 0));
        assert_eq!(peers.by_vlan.len(), 1);
    }

    #[test]
    fn a_place_is_its_last_owners_and_outlives_the_one_before() {
        let mut peers = table(2);
        let place = (0, Some(SocketAddr::from(([192, 0, 2, 1], 1))));
        assert_eq!(peers.at(place), Some(1));
        let config = PeerConfig { peer_id: 9, remote: place.1, ..PeerConfig::default() };
        assert!(peers.add(Peer::new(config, None, 0)));
        assert!(!peers.add(Peer::new(config, None, 0)));
        assert!(peers.remove(1));
        assert_eq!(peers.at(place), Some(9));
        peers.float(9, 4, SocketAddr::from(([192, 0, 2, 1], 77)));
        assert_eq!(peers.at(place), None);
        assert_eq!(peers.sender(None, (4, Some(SocketAddr::from(([192, 0, 2, 1], 77))))), Some(9));
        assert_eq!(peers.sender(Some(UNDEFINED_PEER_ID), place), None);
        assert_eq!(peers.sender(Some(2), place), Some(2));
    }
}
