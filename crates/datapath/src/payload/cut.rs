//! Cuts IPv4 packets that are too long for the path into fragments, as a router does (RFC 791, 3.2).

use crate::checksum::Sum;
use crate::inner::Inner;

const HEADER: usize = 20;
const DO_NOT: u8 = 0x40;
const MORE: u16 = 0x2000;
const PLACE: u16 = 0x1FFF;
/// Fragments begin at multiples of this.
const UNIT: usize = 8;

/// Cuts the packet at `at` of a frame into such of at most `mtu` bytes. None when it is not longer
/// or may not be cut; nor is one with options, which are not all for every part.
pub fn cut(frame: &[u8], at: usize, mtu: u16) -> Option<Vec<Vec<u8>>> {
    let packet = frame.get(at..)?;
    let inner = Inner::parse(packet).filter(|inner| !inner.is_ipv6)?;
    let room = usize::from(mtu).saturating_sub(HEADER) / UNIT * UNIT;
    let field = u16::from_be_bytes([packet[6], packet[7]]);
    let first = usize::from(field & PLACE);
    let end = first * UNIT + inner.length - HEADER;
    if packet[6] & DO_NOT != 0
        || inner.transport != HEADER
        || inner.length <= usize::from(mtu)
        || room == 0
        || end > usize::from(PLACE) * UNIT
    {
        return None;
    }
    let (headers, body) = (&frame[..at + HEADER], &packet[HEADER..inner.length]);
    let count = body.len().div_ceil(room);
    let part = |(index, piece): (usize, &[u8])| {
        let more = if index + 1 < count { MORE } else { field & MORE };
        let place = (first + index * room / UNIT) as u16;
        let mut part = [headers, piece].concat();
        let header = &mut part[at..at + HEADER];
        header[2..4].copy_from_slice(&((HEADER + piece.len()) as u16).to_be_bytes());
        header[6..8].copy_from_slice(&(more | place).to_be_bytes());
        header[10..12].fill(0);
        let sum = Sum::default().add_bytes(header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
        part
    };
    Some(body.chunks(room).enumerate().map(part).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(field: u16, body: usize) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 7, 7, 0, 0, 64, 17, 0, 0, 10, 8, 0, 6, 10, 8, 0, 1];
        packet[2..4].copy_from_slice(&((20 + body) as u16).to_be_bytes());
        packet[6..8].copy_from_slice(&field.to_be_bytes());
        packet.extend((0..body).map(|at| at as u8));
        packet
    }

    /// Places, in bytes, with whether more follows, and all that is in the parts.
    fn joined(parts: &[Vec<u8>], at: usize) -> (Vec<(usize, bool)>, Vec<u8>) {
        let mut places = vec![];
        let mut body = vec![];
        for part in parts {
            let part = &part[at..];
            assert_eq!(Inner::parse(part).map(|inner| inner.length), Some(part.len()));
            assert_eq!(Sum::default().add_bytes(&part[..20]).finish(), 0);
            let field = u16::from_be_bytes([part[6], part[7]]);
            places.push((usize::from(field & PLACE) * 8, field & MORE != 0));
            body.extend_from_slice(&part[20..]);
        }
        (places, body)
    }

    #[test]
    fn cuts_into_parts_that_fit_and_hold_all() {
        let whole = packet(0, 1000);
        let parts = cut(&whole, 0, 427).unwrap_or_default();
        assert!(parts.iter().all(|part| part.len() <= 427 && part[12..20] == whole[12..20]));
        let places = vec![(0, true), (400, true), (800, false)];
        assert_eq!(joined(&parts, 0), (places, whole[20..].to_vec()));
        let parts = cut(&packet(0x200A, 500), 0, 427).unwrap_or_default();
        assert_eq!(joined(&parts, 0).0, [(80, true), (480, true)]);
    }

    #[test]
    fn keeps_the_front_of_a_frame_and_no_trailer() {
        let front = [7; 14];
        let frame = [&front, packet(0, 600).as_slice(), &[0; 9]].concat();
        let parts = cut(&frame, 14, 427).unwrap_or_default();
        assert!(parts.iter().all(|part| part[..14] == front));
        assert_eq!(joined(&parts, 14).1, frame[34..634]);
    }

    #[test]
    fn leaves_alone_what_fits_or_may_not_be_cut() {
        let with_options = [&[0x46][..], &packet(0, 1000)[1..]].concat();
        for (asked, mtu) in [
            (packet(0, 1000), 1020),
            (packet(0x4000, 1000), 427),
            (packet(PLACE, 1000), 427),
            (packet(0, 1000), 27),
            (with_options, 427),
            ([&[0x65][..], &packet(0, 1000)[1..]].concat(), 427),
            (packet(0, 1000)[..1000].to_vec(), 427),
            (vec![], 427),
        ] {
            assert_eq!(cut(&asked, 0, mtu), None);
        }
        assert_eq!(cut(&[0; 13], 14, 0), None);
    }
}
