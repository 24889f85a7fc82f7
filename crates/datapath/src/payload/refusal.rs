//! `block-ipv6`: the `ICMPv6` message that tells a program of ours that there is no way.

use std::net::Ipv6Addr;

use crate::checksum::pseudo_header;
use crate::inner::Inner;

const ICMPV6: u8 = 58;
/// Type and code: destination unreachable, no route.
const NO_ROUTE: [u8; 2] = [1, 0];
const HEADERS: usize = 40 + 8;
/// An error message is never longer, so that it passes everywhere (RFC 4443, 2.4).
const MAX_LEN: usize = 1280;
const HOP_LIMIT: u8 = 255;

/// Builds the answer to an IPv6 packet; None when nothing must be answered to it (RFC 4443, 2.4).
pub fn no_route(packet: &[u8], from: Ipv6Addr) -> Option<Vec<u8>> {
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
    answer.extend_from_slice(&NO_ROUTE);
    answer.extend_from_slice(&[0; 6]);
    answer.extend_from_slice(quoted);
    let sum = pseudo_header(&answer[8..40], ICMPV6, length).add_bytes(&answer[40..]).finish();
    answer[42..44].copy_from_slice(&sum.to_be_bytes());
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
}
