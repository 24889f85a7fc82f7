//! Ethernet frames, as a tap device has them: where the IP packet inside one begins.

/// Shortest frame: two addresses and a type.
pub const HEADER_LEN: usize = 14;
const TAG_LEN: usize = 4;
const VLAN: u16 = 0x8100;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86DD;

/// Offset of the IP packet in a frame with at most one VLAN tag; None for everything else.
pub fn ip_offset(frame: &[u8]) -> Option<usize> {
    let ether_type = |at: usize| Some(u16::from_be_bytes([*frame.get(at)?, *frame.get(at + 1)?]));
    let offset = if ether_type(12)? == VLAN { HEADER_LEN + TAG_LEN } else { HEADER_LEN };
    matches!(ether_type(offset - 2)?, IPV4 | IPV6).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ip_behind_a_tag_and_nothing_else() {
        let frame = |types: &[u8]| [&[2; 12][..], types, &[0; 20]].concat();
        assert_eq!(ip_offset(&frame(&[0x08, 0x00])), Some(14));
        assert_eq!(ip_offset(&frame(&[0x86, 0xDD])), Some(14));
        assert_eq!(ip_offset(&frame(&[0x81, 0x00, 0, 5, 0x08, 0x00])), Some(18));
        assert_eq!(ip_offset(&frame(&[0x08, 0x06])), None);
        assert_eq!(ip_offset(&[2; 13]), None);
        assert_eq!(ip_offset(&[&[2; 12][..], &[0x81, 0, 0, 5]].concat()), None);
    }
}
