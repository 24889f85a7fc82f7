//! `client-nat`: stateless one-to-one translation of IPv4 addresses, ports untouched.

use std::net::Ipv4Addr;

use crate::checksum::update;
use crate::inner::{Inner, TCP, UDP};

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From tun to the peer.
    Out,
    /// From the peer to tun.
    In,
}

/// One rule: `network` is what this side calls the range that is `alias` to the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NatRule {
    /// The range is ours (`snat`): the source of what goes out. Otherwise (`dnat`) it is theirs.
    pub is_source: bool,
    /// First address of the range as we see it.
    pub network: Ipv4Addr,
    /// Which bits of an address tell the range.
    pub netmask: Ipv4Addr,
    /// First address of the range as the other side sees it.
    pub alias: Ipv4Addr,
}

const SOURCE_AT: usize = 12;
const DESTINATION_AT: usize = 16;

/// Translates the addresses of an IPv4 packet; of several rules for an address the first counts.
///
/// The checksums of the packet must be complete; they are corrected.
pub fn translate(rules: &[NatRule], packet: &mut [u8], direction: Direction) {
    let Some(inner) = Inner::parse(packet) else { return };
    if inner.is_ipv6 {
        return;
    }
    for at in [SOURCE_AT, DESTINATION_AT] {
        let old = Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        let new = rules
            .iter()
            .filter(|rule| ((direction == Direction::Out) == rule.is_source) == (at == SOURCE_AT))
            .find_map(|rule| rule.apply(old, direction));
        if let Some(new) = new {
            replace(packet, inner, at, new);
        }
    }
}

impl NatRule {
    fn apply(&self, address: Ipv4Addr, direction: Direction) -> Option<Ipv4Addr> {
        let (from, to) = match direction {
            Direction::Out => (self.network, self.alias),
            Direction::In => (self.alias, self.network),
        };
        let mask = self.netmask;
        (address & mask == from & mask).then(|| (to & mask) | (address & !mask))
    }
}

/// Writes an address, and corrects the sums that it is part of.
fn replace(packet: &mut [u8], inner: Inner, at: usize, address: Ipv4Addr) {
    let transport_at = match inner.protocol {
        _ if inner.is_later_fragment => None,
        TCP => Some(inner.transport + 16),
        UDP => Some(inner.transport + 6),
        _ => None,
    };
    let transport_at = transport_at.filter(|at| {
        // A UDP checksum of 0 says that there is none.
        at + 2 <= inner.length && !(inner.protocol == UDP && packet[*at..at + 2] == [0, 0])
    });
    let octets = address.octets();
    for half in [0, 2] {
        let before = word(packet, at + half);
        let after = u16::from_be_bytes([octets[half], octets[half + 1]]);
        for sum_at in [Some(10), transport_at].into_iter().flatten() {
            let mut sum = update(word(packet, sum_at), before, after);
            if sum == 0 && inner.protocol == UDP && sum_at != 10 {
                sum = 0xFFFF;
            }
            packet[sum_at..sum_at + 2].copy_from_slice(&sum.to_be_bytes());
        }
        packet[at + half..at + half + 2].copy_from_slice(&after.to_be_bytes());
    }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::{Sum, pseudo_header};

    fn rule(is_source: bool) -> NatRule {
        NatRule {
            is_source,
            network: Ipv4Addr::new(192, 168, 0, 0),
            netmask: Ipv4Addr::new(255, 255, 0, 0),
            alias: Ipv4Addr::new(10, 64, 0, 0),
        }
    }

    fn packet(protocol: u8, source: [u8; 4], destination: [u8; 4], fragment: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 45, 0, 1, 0, 0, 64, protocol, 0, 0];
        packet.extend_from_slice(&source);
        packet.extend_from_slice(&destination);
        packet[6..8].copy_from_slice(&fragment.to_be_bytes());
        packet.extend_from_slice(&[0x5A; 25]);
        let sum = Sum::default().add_bytes(&packet[..20]).finish();
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        let at = match protocol {
            TCP => 36,
            UDP => 26,
            _ => return packet,
        };
        if fragment.trailing_zeros() >= 13 {
            packet[at..at + 2].fill(0);
            let sum = pseudo_header(&packet[12..20], protocol, 25).add_bytes(&packet[20..]);
            packet[at..at + 2].copy_from_slice(&sum.finish().to_be_bytes());
        }
        packet
    }

    fn sums_hold(packet: &[u8]) -> bool {
        let ip = Sum::default().add_bytes(&packet[..20]).finish() == 0;
        let has_sum = matches!(packet[9], TCP | UDP);
        ip && (!has_sum
            || pseudo_header(&packet[12..20], packet[9], 25).add_bytes(&packet[20..]).finish() == 0)
    }

    #[test]
    fn both_kinds_there_and_back() {
        let (ours, alias, other) = ([192, 168, 3, 9], [10, 64, 3, 9], [203, 0, 113, 7]);
        for protocol in [TCP, UDP, 1] {
            for (is_source, out, translated) in [
                (true, packet(protocol, ours, other, 0), packet(protocol, alias, other, 0)),
                (false, packet(protocol, other, ours, 0), packet(protocol, other, alias, 0)),
            ] {
                let mut sent = out.clone();
                translate(&[rule(is_source)], &mut sent, Direction::Out);
                assert_eq!(sent, translated);
                assert!(sums_hold(&sent));
                let turned = |packet: &[u8]| {
                    let mut back = packet.to_vec();
                    back[12..16].copy_from_slice(&packet[16..20]);
                    back[16..20].copy_from_slice(&packet[12..16]);
                    back
                };
                let mut back = turned(&sent);
                translate(&[rule(is_source)], &mut back, Direction::In);
                assert_eq!(back, turned(&out));
            }
        }
    }

    #[test]
    fn what_no_rule_is_about_stays() {
        for before in [
            packet(UDP, [10, 64, 0, 1], [203, 0, 113, 7], 0),
            packet(UDP, [203, 0, 113, 7], [192, 168, 0, 1], 0),
            vec![0x60; 60],
            vec![0x45, 0, 0, 40],
        ] {
            let mut after = before.clone();
            translate(&[rule(true)], &mut after, Direction::Out);
            assert_eq!(after, before);
        }
    }

    #[test]
    fn later_fragments_and_absent_checksums_keep_their_bytes() {
        let mut fragment = packet(UDP, [192, 168, 3, 9], [203, 0, 113, 7], 0x0010);
        let body = fragment[20..].to_vec();
        translate(&[rule(true)], &mut fragment, Direction::Out);
        assert_eq!((&fragment[12..16], &fragment[20..]), (&[10, 64, 3, 9][..], &body[..]));
        let mut bare = packet(UDP, [192, 168, 3, 9], [203, 0, 113, 7], 0);
        bare[26..28].fill(0);
        translate(&[rule(true)], &mut bare, Direction::Out);
        assert_eq!(bare[26..28], [0, 0]);
    }
}
