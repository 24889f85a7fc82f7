//! ICMP messages that tell a program of ours why its packet does not leave: IPv6 is blocked
//! (`block-ipv6`), or the path takes only shorter packets.

use std::net::Ipv6Addr;

use crate::checksum::{Sum, pseudo_header};
use crate::inner::Inner;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
/// Type and code: destination unreachable, no route.
const NO_ROUTE: [u8; 2] = [1, 0];
/// Type and code: packet too big.
const TOO_BIG: [u8; 2] = [2, 0];
/// Type and code of IPv4: destination unreachable, fragmentation needed.
const NEEDS_FRAGMENTS: [u8; 2] = [3, 4];
/// Types of IPv4 that are errors: unreachable, quench, redirect, exceeded, bad parameter.
const ERRORS: [u8; 5] = [3, 4, 5, 11, 12];
const HEADERS: usize = 40 + 8;
const HEADERS_V4: usize = 20 + 8;
/// An error message is never longer, so that it passes everywhere (RFC 4443, 2.4).
const MAX_LEN: usize = 1280;
/// The same of IPv4 (RFC 1812, 4.3.2.3).
const MAX_LEN_V4: usize = 576;
const HOP_LIMIT: u8 = 255;
/// In the first byte of a hardware address: of many stations.
const GROUP_BIT: u8 = 1;
/// What IPv6 packets are never asked to be shorter than (RFC 8200, 5).
const LEAST_MTU: u16 = 1280;

/// Builds the answer to an IPv6 packet; None when nothing must be answered to it (RFC 4443, 2.4).
pub fn no_route(packet: &[u8], from: Ipv6Addr) -> Option<Vec<u8>> {
    of_ipv6(packet, from, NO_ROUTE, 0)
}

/// Builds the answer to the packet at `at` of a frame, as if from where it goes: the only address
/// that is sure to be on this side of the sender's routes and filters, and the packet path knows no
/// other. None when the packet is not longer than `mtu`, may be cut, or must not be answered.
pub fn too_long(frame: &[u8], at: usize, mtu: u16) -> Option<Vec<u8>> {
    let packet = frame.get(at..)?;
    let inner = Inner::parse(packet)?;
    let mtu = if inner.is_ipv6 { mtu.max(LEAST_MTU) } else { mtu };
    let is_for_one = at == 0 || (frame[0] | frame[6]) & GROUP_BIT == 0;
    if packet.len() <= usize::from(mtu) || !is_for_one {
        return None;
    }
    let answer = if inner.is_ipv6 {
        let from = Ipv6Addr::from(*packet[24..40].first_chunk::<16>()?);
        of_ipv6(packet, from, TOO_BIG, u32::from(mtu))?
    } else {
        of_ipv4(packet, inner, mtu)?
    };
    Some(returned(frame, at, answer))
}

/// Puts an answer to the packet at `at` of a frame into a frame: back to where that came from, as
/// if from where it was going.
pub fn returned(frame: &[u8], at: usize, answer: Vec<u8>) -> Vec<u8> {
    if at == 0 {
        return answer;
    }
    [&frame[6..12], &frame[..6], &frame[12..at], &answer].concat()
}

fn of_ipv6(packet: &[u8], from: Ipv6Addr, kind: [u8; 2], value: u32) -> Option<Vec<u8>> {
    let inner = Inner::parse(packet).filter(|inner| inner.is_ipv6)?;
    let source = Ipv6Addr::from(*packet[8..24].first_chunk::<16>()?);
    let target = Ipv6Addr::from(*packet[24..40].first_chunk::<16>()?);
    let is_error = inner.protocol == ICMPV6 && packet.get(40).is_none_or(|kind| *kind < 128);
    if is_error || source.is_unspecified() || source.is_multicast() || target.is_multicast() {
        return None;
    }
    let quoted = &packet[..packet.len().min(MAX_LEN - HEADERS)];
    let length = 8 + quoted.len();
    let mut answer = Vec::with_capacity(40 + length);
    answer.extend_from_slice(&[0x60, 0, 0, 0]);
    answer.extend_from_slice(&(length as u16).to_be_bytes());
    answer.extend_from_slice(&[ICMPV6, HOP_LIMIT]);
    answer.extend_from_slice(&from.octets());
    answer.extend_from_slice(&source.octets());
    answer.extend_from_slice(&kind);
    answer.extend_from_slice(&[0; 2]);
    answer.extend_from_slice(&value.to_be_bytes());
    answer.extend_from_slice(quoted);
    let sum = pseudo_header(&answer[8..40], ICMPV6, length).add_bytes(&answer[40..]).finish();
    answer[42..44].copy_from_slice(&sum.to_be_bytes());
    Some(answer)
}

fn of_ipv4(packet: &[u8], inner: Inner, mtu: u16) -> Option<Vec<u8>> {
    let may_be_cut = packet[6] & 0x40 == 0;
    let is_error = inner.protocol == ICMP
        && packet.get(inner.transport).is_none_or(|kind| ERRORS.contains(kind));
    // Neither "this network" nor a group nor a broadcast.
    let are_hosts = [packet[12], packet[16]].iter().all(|first| (1..224).contains(first));
    if may_be_cut || is_error || inner.is_later_fragment || !are_hosts {
        return None;
    }
    let quoted = &packet[..packet.len().min(MAX_LEN_V4 - HEADERS_V4)];
    let length = (HEADERS_V4 + quoted.len()) as u16;
    let mut answer = Vec::with_capacity(usize::from(length));
    answer.extend_from_slice(&[0x45, 0]);
    answer.extend_from_slice(&length.to_be_bytes());
    answer.extend_from_slice(&[0, 0, 0, 0, HOP_LIMIT, ICMP, 0, 0]);
    answer.extend_from_slice(&packet[16..20]);
    answer.extend_from_slice(&packet[12..16]);
    answer.extend_from_slice(&NEEDS_FRAGMENTS);
    answer.extend_from_slice(&[0; 4]);
    answer.extend_from_slice(&mtu.to_be_bytes());
    answer.extend_from_slice(quoted);
    for (range, at) in [(0..20, 10), (20..answer.len(), 22)] {
        let sum = Sum::default().add_bytes(&answer[range]).finish();
        answer[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Ipv6Addr = Ipv6Addr::new(0xFE80, 0, 0, 0, 0, 0, 0, 7);

    fn packet(protocol: u8, kind: u8, source: [u8; 16], target: [u8; 16], body: usize) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        packet[4..6].copy_from_slice(&(body as u16).to_be_bytes());
        packet.extend_from_slice(&source);
        packet.extend_from_slice(&target);
        packet.resize(40 + body, kind);
        packet
    }

    #[test]
    fn answers_with_a_right_checksum_and_quotes_what_fits() {
        for body in [8, 1400] {
            let asked = packet(17, 9, [1; 16], [2; 16], body);
            let answer = no_route(&asked, FROM).unwrap_or_default();
            assert!(answer.len() <= MAX_LEN);
            assert_eq!((&answer[8..24], &answer[24..40]), (&FROM.octets()[..], &[1; 16][..]));
            assert_eq!(answer[40..42], NO_ROUTE);
            assert_eq!(answer[48..], asked[..answer.len() - 48]);
            let length = answer.len() - 40;
            let sum = pseudo_header(&answer[8..40], ICMPV6, length).add_bytes(&answer[40..]);
            assert_eq!(sum.finish(), 0);
        }
    }

    #[test]
    fn stays_silent_where_an_answer_could_do_harm() {
        for asked in [
            packet(ICMPV6, 1, [1; 16], [2; 16], 8),
            packet(ICMPV6, 128, [1; 16], [2; 16], 0),
            packet(17, 1, [0; 16], [2; 16], 8),
            packet(17, 1, [0xFF; 16], [2; 16], 8),
            packet(17, 1, [1; 16], [0xFF; 16], 8),
            vec![0x60; 20],
            vec![0x45; 60],
        ] {
            assert_eq!(no_route(&asked, FROM), None);
        }
        assert!(no_route(&packet(ICMPV6, 128, [1; 16], [2; 16], 8), FROM).is_some());
    }

    fn packet_v4(protocol: u8, kind: u8, flags: u8, ends: [u8; 2], body: usize) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, flags, 0, 64, protocol, 0, 0];
        packet[2..4].copy_from_slice(&((20 + body) as u16).to_be_bytes());
        packet.extend_from_slice(&[ends[0]; 4]);
        packet.extend_from_slice(&[ends[1]; 4]);
        packet.resize(20 + body, kind);
        packet
    }

    #[test]
    fn says_how_long_a_packet_may_be() {
        for (body, mtu) in [(8, 27u16), (1400, 1248)] {
            let asked = packet_v4(6, 9, 0x40, [10, 11], body);
            let answer = too_long(&asked, 0, mtu).unwrap_or_default();
            assert!(answer.len() <= MAX_LEN_V4);
            assert_eq!(Inner::parse(&answer).map(|inner| inner.length), Some(answer.len()));
            assert_eq!((&answer[12..16], &answer[16..20]), (&[11; 4][..], &[10; 4][..]));
            assert_eq!(answer[20..22], NEEDS_FRAGMENTS);
            assert_eq!(answer[24..28], u32::from(mtu).to_be_bytes());
            assert_eq!(answer[28..], asked[..answer.len() - 28]);
            assert_eq!(Sum::default().add_bytes(&answer[..20]).finish(), 0);
            assert_eq!(Sum::default().add_bytes(&answer[20..]).finish(), 0);
        }
        for (mtu, told) in [(1300, 1300), (1248, 1280u32)] {
            let asked = packet(6, 9, [1; 16], [2; 16], 1400);
            let answer = too_long(&asked, 0, mtu).unwrap_or_default();
            assert_eq!((&answer[8..24], &answer[24..40]), (&[2; 16][..], &[1; 16][..]));
            assert_eq!((&answer[40..42], &answer[44..48]), (&TOO_BIG[..], &told.to_be_bytes()[..]));
        }
    }

    #[test]
    fn leaves_alone_what_may_be_cut_and_what_is_not_answered() {
        for asked in [
            packet_v4(6, 9, 0, [10, 11], 1400),
            packet_v4(6, 9, 0x41, [10, 11], 1400),
            packet_v4(ICMP, 3, 0x40, [10, 11], 1400),
            packet_v4(6, 9, 0x40, [0, 11], 1400),
            packet_v4(6, 9, 0x40, [10, 224], 1400),
            packet(ICMPV6, 1, [1; 16], [2; 16], 1400),
            vec![0x45; 19],
            vec![],
        ] {
            assert_eq!(too_long(&asked, 0, 1248), None);
        }
        assert_eq!(too_long(&packet(6, 9, [1; 16], [2; 16], 1240), 0, 1248), None);
        let echo = packet_v4(ICMP, 8, 0x40, [10, 11], 1400);
        assert!(too_long(&echo, 0, 1248).is_some());
        assert_eq!(too_long(&echo, 0, 1420), None);
    }

    #[test]
    fn answers_frames_of_one_station_to_one() {
        let frame = |to, from| {
            let front = [[to; 6], [from; 6]].concat();
            [front, vec![8, 0], packet_v4(6, 9, 0x40, [10, 11], 1400)].concat()
        };
        let answer = too_long(&frame(2, 4), 14, 1248).unwrap_or_default();
        assert_eq!(answer[..14], [[4; 6].as_slice(), &[2; 6], &[8, 0]].concat());
        assert!(Inner::parse(&answer[14..]).is_some());
        for (to, from) in [(255, 4), (2, 3)] {
            assert_eq!(too_long(&frame(to, from), 14, 1248), None);
        }
        assert_eq!(too_long(&[2; 13], 14, 0), None);
    }
}
