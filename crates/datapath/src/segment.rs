//! Cuts a super-packet from a TUN device with offloads into the packets it stands for.
//!
//! Segments are written one at a time straight into the caller's buffer, where they are sealed.

use crate::checksum::Sum;
use crate::inner::{Inner, TCP, UDP};
use crate::vnet::{GSO_ECN, GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP, NEEDS_CHECKSUM, VnetHeader};

const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// The vnet header does not fit its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("vnet header does not fit its packet")]
pub struct BadOffload;

/// How a super-packet is cut.
#[derive(Clone, Copy, Debug)]
pub struct Segments {
    is_ipv6: bool,
    is_tcp: bool,
    transport: usize,
    header_len: usize,
    size: usize,
    payload: usize,
    /// The pseudo-header sum without the length, taken from the begun checksum.
    pseudo: Sum,
}

/// What came from the device.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// One packet; its checksum is complete now.
    Whole,
    /// Several packets.
    Split(Segments),
}

/// Decides how to send a packet, and completes the checksum of one that stays whole.
pub fn plan(header: VnetHeader, packet: &mut [u8]) -> Result<Plan, BadOffload> {
    match header.gso_type & !GSO_ECN {
        GSO_NONE => {
            if header.flags & NEEDS_CHECKSUM != 0 {
                complete_checksum(header, packet)?;
            }
            Ok(Plan::Whole)
        }
        GSO_TCP4 | GSO_TCP6 | GSO_UDP => Segments::new(header, packet).map(Plan::Split),
        _ => Err(BadOffload),
    }
}

fn complete_checksum(header: VnetHeader, packet: &mut [u8]) -> Result<(), BadOffload> {
    let start = usize::from(header.checksum_start);
    let at = start + usize::from(header.checksum_offset);
    if start >= packet.len() || at + 2 > packet.len() {
        return Err(BadOffload);
    }
    let mut checksum = Sum::default().add_bytes(&packet[start..]).finish();
    // A UDP checksum of 0 would mean that there is none.
    if checksum == 0 && header.checksum_offset == 6 {
        checksum = 0xFFFF;
    }
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

impl Segments {
    fn new(header: VnetHeader, packet: &[u8]) -> Result<Self, BadOffload> {
        let inner = Inner::parse(packet).ok_or(BadOffload)?;
        let gso = header.gso_type & !GSO_ECN;
        let is_tcp = gso != GSO_UDP;
        // IPv6 extension headers are not walked; the kernel says where the transport starts.
        let transport = usize::from(header.checksum_start);
        let fits_family = match gso {
            GSO_TCP4 => !inner.is_ipv6,
            GSO_TCP6 => inner.is_ipv6,
            _ => true,
        };
        let fits_header = if inner.is_ipv6 {
            transport >= inner.transport
        } else {
            transport == inner.transport
                && inner.protocol == if is_tcp { TCP } else { UDP }
                && !inner.is_fragment
        };
        if header.flags & NEEDS_CHECKSUM == 0
            || !fits_family
            || !fits_header
            || inner.length != packet.len()
        {
            return Err(BadOffload);
        }
        let fixed = packet.get(transport..).ok_or(BadOffload)?;
        let (transport_len, checksum_at) = if is_tcp {
            let tcp = fixed.first_chunk::<20>().ok_or(BadOffload)?;
            (usize::from(tcp[12] >> 4) * 4, 16)
        } else {
            fixed.first_chunk::<8>().ok_or(BadOffload)?;
            (8, 6)
        };
        let header_len = transport + transport_len;
        let size = usize::from(header.gso_size);
        if usize::from(header.checksum_offset) != checksum_at
            || transport_len < if is_tcp { 20 } else { 8 }
            || header_len >= packet.len()
            || size == 0
        {
            return Err(BadOffload);
        }
        let begun = u16::from_be_bytes([fixed[checksum_at], fixed[checksum_at + 1]]);
        let old_length = (packet.len() - transport) as u16;
        let pseudo = Sum::default().add_u16(begun).add_u16(!old_length);
        let payload = packet.len() - header_len;
        Ok(Self { is_ipv6: inner.is_ipv6, is_tcp, transport, header_len, size, payload, pseudo })
    }

    /// How many segments there are; at least one.
    pub const fn count(&self) -> usize {
        self.payload.div_ceil(self.size)
    }

    /// Length of one segment with its headers.
    pub fn len(&self, index: usize) -> usize {
        let start = index * self.size;
        self.header_len + self.size.min(self.payload.saturating_sub(start))
    }

    /// Never: a super-packet without payload does not plan.
    pub const fn is_empty(&self) -> bool {
        self.payload == 0
    }

    /// Writes a segment. `out` has exactly `len(index)` bytes, and `packet` is the planned one.
    pub fn write(&self, index: usize, packet: &[u8], out: &mut [u8]) {
        let start = self.header_len + index * self.size;
        let end = (start + self.size).min(packet.len());
        let (headers, body) = out.split_at_mut(self.header_len);
        headers.copy_from_slice(&packet[..self.header_len]);
        body.copy_from_slice(&packet[start..end]);
        self.fix_ip(index, out);
        self.fix_transport(index, out);
    }

    fn fix_ip(&self, index: usize, out: &mut [u8]) {
        let length = out.len();
        if self.is_ipv6 {
            out[4..6].copy_from_slice(&((length - 40) as u16).to_be_bytes());
            return;
        }
        out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        let id = u16::from_be_bytes([out[4], out[5]]).wrapping_add(index as u16);
        out[4..6].copy_from_slice(&id.to_be_bytes());
        out[10..12].fill(0);
        let checksum = Sum::default().add_bytes(&out[..self.transport]).finish();
        out[10..12].copy_from_slice(&checksum.to_be_bytes());
    }

    fn fix_transport(&self, index: usize, out: &mut [u8]) {
        let segment = &mut out[self.transport..];
        let length = segment.len();
        let at = if self.is_tcp {
            let sequence = u32::from_be_bytes([segment[4], segment[5], segment[6], segment[7]])
                .wrapping_add((index * self.size) as u32);
            segment[4..8].copy_from_slice(&sequence.to_be_bytes());
            if index > 0 {
                segment[13] &= !CWR;
            }
            if index + 1 < self.count() {
                segment[13] &= !FIN_PSH;
            }
            16
        } else {
            segment[4..6].copy_from_slice(&(length as u16).to_be_bytes());
            6
        };
        segment[at..at + 2].fill(0);
        let mut checksum = self.pseudo.add_u16(length as u16).add_bytes(segment).finish();
        if checksum == 0 && !self.is_tcp {
            checksum = 0xFFFF;
        }
        segment[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    }
}
