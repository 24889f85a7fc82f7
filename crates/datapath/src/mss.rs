//! Lowers the MSS option of TCP SYN packets that cross the tunnel (protocol-facts 14).

use crate::checksum::update;
use crate::inner::{Inner, TCP};

const SYN: u8 = 0x02;
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const MSS: u8 = 2;

/// Clamps the MSS of a SYN to the limit of its family; 0 leaves that family alone.
///
/// The packet's TCP checksum must be complete; it is corrected. Anything that is not a well-formed
/// SYN is left as it is.
pub fn clamp(packet: &mut [u8], ipv4: u16, ipv6: u16) {
    if ipv4 == 0 && ipv6 == 0 {
        return;
    }
    let Some(inner) = Inner::parse(packet) else { return };
    let limit = if inner.is_ipv6 { ipv6 } else { ipv4 };
    if limit == 0 || inner.protocol != TCP || inner.is_later_fragment {
        return;
    }
    let tcp = &mut packet[inner.transport..inner.length];
    if tcp.len() < 20 || tcp[13] & SYN == 0 {
        return;
    }
    let header_len = usize::from(tcp[12] >> 4) * 4;
    if header_len < 20 || header_len > tcp.len() {
        return;
    }
    let mut at = 20;
    while at < header_len {
        let length = match tcp[at] {
            END => return,
            NO_OPERATION => 1,
            kind => {
                let Some(length) = tcp.get(at + 1).map(|length| usize::from(*length)) else {
                    return;
                };
                if length < 2 || at + length > header_len {
                    return;
                }
                if kind == MSS && length == 4 {
                    lower(tcp, at + 2, limit);
                }
                length
            }
        };
        at += length;
    }
}

/// Lowers the word at `at`, which may lie on an odd offset, and corrects the checksum.
fn lower(tcp: &mut [u8], at: usize, limit: u16) {
    let before = u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    if before <= limit {
        return;
    }
    let after = limit.to_be_bytes();
    let checksum = u16::from_be_bytes([tcp[16], tcp[17]]);
    // On an odd offset the two bytes are the halves of neighbouring words: swapping both values
    // gives the same change of the sum.
    let (old, new) = if at.is_multiple_of(2) {
        (before, limit)
    } else {
        (before.swap_bytes(), limit.swap_bytes())
    };
    tcp[at..at + 2].copy_from_slice(&after);
    tcp[16..18].copy_from_slice(&update(checksum, old, new).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checksum::pseudo_header;

    fn syn(options: &[u8], flags: u8) -> Vec<u8> {
        let tcp_len = 20 + options.len();
        let mut packet = vec![0u8; 20];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&((20 + tcp_len) as u16).to_be_bytes());
        packet[9] = TCP;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        let mut tcp = vec![0u8; 20];
        tcp[12] = ((tcp_len / 4) as u8) << 4;
        tcp[13] = flags;
        tcp.extend_from_slice(options);
        let sum = pseudo_header(&packet[12..20], TCP, tcp_len).add_bytes(&tcp).finish();
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        packet.extend_from_slice(&tcp);
        packet
    }

    fn is_valid(packet: &[u8]) -> bool {
        pseudo_header(&packet[12..20], TCP, packet.len() - 20).add_bytes(&packet[20..]).finish()
            == 0
    }

    #[test]
    fn a_larger_value_is_lowered_and_the_checksum_holds() {
        let mut packet = syn(&[2, 4, 0x05, 0xB4], SYN);
        clamp(&mut packet, 1300, 0);
        assert_eq!(&packet[42..44], &1300u16.to_be_bytes());
        assert!(is_valid(&packet));
    }

    #[test]
    fn an_option_on_an_odd_offset() {
        let mut packet = syn(&[1, 2, 4, 0x05, 0xB4, 0, 0, 0], SYN);
        clamp(&mut packet, 1300, 0);
        assert_eq!(&packet[43..45], &1300u16.to_be_bytes());
        assert!(is_valid(&packet));
    }

    #[test]
    fn everything_else_is_left_alone() {
        for (options, flags, limit) in [
            (&[2u8, 4, 0x05, 0x00][..], SYN, 1400),
            (&[2, 4, 0x05, 0xB4], 0x10, 1300),
            (&[2, 4, 0x05, 0xB4], SYN, 0),
            (&[0, 2, 4, 0x05, 0xB4, 0, 0, 0], SYN, 1300),
            (&[8, 0, 2, 4], SYN, 1),
            (&[8, 200, 2, 4], SYN, 1),
            (&[1, 1, 1, 2], SYN, 1),
        ] {
            let before = syn(options, flags);
            let mut packet = before.clone();
            clamp(&mut packet, limit, 1);
            assert_eq!(packet, before, "{options:?}");
        }
    }
}
