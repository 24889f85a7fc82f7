//! Inner destinations to peers: the longest prefix wins.

use std::hash::Hash;
use std::net::IpAddr;

use crate::hash::QuickMap;

/// The prefixes of all peers, IPv4 and IPv6 apart.
#[derive(Debug, Default)]
pub struct Routes {
    ipv4: Table<u32>,
    ipv6: Table<u128>,
}

/// Prefixes by length, longest first; only lengths in use are looked at.
#[derive(Debug)]
struct Table<A> {
    levels: Vec<(u8, QuickMap<A, u32>)>,
    of_peer: QuickMap<u32, Vec<(u8, A)>>,
}

impl<A> Default for Table<A> {
    fn default() -> Self {
        Self { levels: Vec::new(), of_peer: QuickMap::default() }
    }
}

/// A prefix longer than its address family allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("prefix length does not fit the address family")]
pub struct BadPrefix;

impl Routes {
    /// Adds a prefix, or gives it to another peer. Host bits are ignored.
    pub fn add(&mut self, network: IpAddr, length: u8, peer_id: u32) -> Result<(), BadPrefix> {
        match network {
            IpAddr::V4(address) if length <= 32 => {
                self.ipv4.add(address.to_bits() & mask_v4(length), length, peer_id);
            }
            IpAddr::V6(address) if length <= 128 => {
                self.ipv6.add(address.to_bits() & mask_v6(length), length, peer_id);
            }
            _ => return Err(BadPrefix),
        }
        Ok(())
    }

    /// Takes a prefix from a peer, if it is the peer's.
    pub fn remove(&mut self, network: IpAddr, length: u8, peer_id: u32) -> Result<(), BadPrefix> {
        match network {
            IpAddr::V4(address) if length <= 32 => {
                self.ipv4.remove(address.to_bits() & mask_v4(length), length, peer_id);
            }
            IpAddr::V6(address) if length <= 128 => {
                self.ipv6.remove(address.to_bits() & mask_v6(length), length, peer_id);
            }
            _ => return Err(BadPrefix),
        }
        Ok(())
    }

    /// Forgets all prefixes of a peer.
    pub fn remove_peer(&mut self, peer_id: u32) {
        self.ipv4.remove_peer(peer_id);
        self.ipv6.remove_peer(peer_id);
    }

    /// The peer whose prefix matches best.
    pub fn lookup(&self, address: IpAddr) -> Option<u32> {
        match address {
            IpAddr::V4(address) => {
                let bits = address.to_bits();
                self.ipv4.lookup(|length| bits & mask_v4(length))
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.ipv6.lookup(|length| bits & mask_v6(length))
            }
        }
    }
}

impl<A: Copy + Eq + Hash> Table<A> {
    fn add(&mut self, network: A, length: u8, peer_id: u32) {
        let at = self.levels.partition_point(|(other, _)| *other > length);
        if self.levels.get(at).is_none_or(|(other, _)| *other != length) {
            self.levels.insert(at, (length, QuickMap::default()));
        }
        let former = self.levels[at].1.insert(network, peer_id);
        if former == Some(peer_id) {
            return;
        }
        if let Some(former) = former {
            self.disown(former, (length, network));
        }
        self.of_peer.entry(peer_id).or_default().push((length, network));
    }

    fn remove(&mut self, network: A, length: u8, peer_id: u32) {
        if self.take(network, length, peer_id) {
            self.disown(peer_id, (length, network));
        }
    }

    fn remove_peer(&mut self, peer_id: u32) {
        for (length, network) in self.of_peer.remove(&peer_id).unwrap_or_default() {
            self.take(network, length, peer_id);
        }
    }

    /// Takes a prefix out of its level; false when it is not the peer's.
    fn take(&mut self, network: A, length: u8, peer_id: u32) -> bool {
        let Ok(at) = self.levels.binary_search_by(|(other, _)| length.cmp(other)) else {
            return false;
        };
        let networks = &mut self.levels[at].1;
        if networks.get(&network) != Some(&peer_id) {
            return false;
        }
        networks.remove(&network);
        if networks.is_empty() {
            self.levels.remove(at);
        }
        true
    }

    fn disown(&mut self, peer_id: u32, prefix: (u8, A)) {
        if let Some(own) = self.of_peer.get_mut(&peer_id) {
            own.retain(|other| *other != prefix);
        }
    }

    fn lookup(&self, masked: impl Fn(u8) -> A) -> Option<u32> {
        self.levels.iter().find_map(|(length, networks)| networks.get(&masked(*length)).copied())
    }
}

fn mask_v4(length: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0)
}

fn mask_v6(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_longest_prefix_wins() {
        let mut routes = Routes::default();
        for (network, length, peer) in
            [("0.0.0.0", 0, 1), ("10.0.0.0", 8, 2), ("10.1.0.0", 16, 3), ("10.1.2.3", 32, 4)]
        {
            routes.add(ip(network), length, peer).unwrap();
        }
        for (address, peer) in
            [("192.0.2.1", 1), ("10.200.0.1", 2), ("10.1.9.9", 3), ("10.1.2.3", 4)]
        {
            assert_eq!(routes.lookup(ip(address)), Some(peer), "{address}");
        }
        assert_eq!(routes.lookup(ip("2001:db8::1")), None);
    }

    #[test]
    fn ipv6_and_removal() {
        let mut routes = Routes::default();
        routes.add(ip("::"), 0, 1).unwrap();
        routes.add(ip("2001:db8::ffff"), 32, 2).unwrap();
        assert_eq!(routes.lookup(ip("2001:db8:9::1")), Some(2));
        routes.remove_peer(2);
        assert_eq!(routes.lookup(ip("2001:db8:9::1")), Some(1));
    }

    #[test]
    fn a_prefix_moves_to_its_last_owner() {
        let mut routes = Routes::default();
        routes.add(ip("10.0.0.0"), 8, 1).unwrap();
        routes.add(ip("10.9.9.9"), 8, 2).unwrap();
        assert_eq!(routes.lookup(ip("10.3.3.3")), Some(2));
        assert_eq!(routes.add(ip("10.0.0.0"), 33, 1), Err(BadPrefix));
        routes.remove_peer(1);
        assert_eq!(routes.lookup(ip("10.3.3.3")), Some(2), "it was not the first one's any more");
    }

    #[test]
    fn one_prefix_of_several_is_taken_from_its_owner_only() {
        let mut routes = Routes::default();
        routes.add(ip("10.0.0.0"), 8, 1).unwrap();
        routes.add(ip("10.1.0.0"), 16, 1).unwrap();
        routes.remove(ip("10.1.0.0"), 16, 2).unwrap();
        routes.remove(ip("10.2.0.0"), 15, 1).unwrap();
        assert_eq!(routes.lookup(ip("10.1.0.1")), Some(1));
        routes.remove(ip("10.0.0.0"), 8, 1).unwrap();
        assert_eq!(routes.lookup(ip("10.2.0.1")), None);
        assert_eq!(routes.lookup(ip("10.1.0.1")), Some(1));
        assert_eq!(routes.remove(ip("::"), 129, 1), Err(BadPrefix));
    }
}
