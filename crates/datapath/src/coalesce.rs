//! Joins neighbouring TCP and UDP packets of a flow into one super-packet for the TUN device.
//!
//! Packets stay where they were decrypted: a super-packet is a header and a list of ranges. A
//! packet is joined only when cutting the super-packet again would give exactly the packets back,
//! and only when its checksum is right, because the device is told not to look at it.

use std::ops::Range;

use crate::checksum::{Sum, pseudo_header};
use crate::inner::{Inner, TCP, UDP};
use crate::vnet::{GSO_TCP4, GSO_TCP6, GSO_UDP, NEEDS_CHECKSUM, VnetHeader};

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
/// Hop-by-hop options, routing, fragment, authentication and destination options.
const EXTENSIONS: [u8; 5] = [0, 43, 44, 51, 60];
const MAX_FLOWS: usize = 8;
/// Packets in one super-packet; the kernel takes no more UDP segments than this everywhere.
const MAX_PACKETS: usize = 64;
const MAX_LENGTH: usize = 65_535;

/// Takes packets for the device: the ranges of `storage` one after the other are one packet.
pub trait Sink {
    /// Writes one packet or super-packet.
    fn write(&mut self, header: VnetHeader, storage: &[u8], parts: &[Range<usize>]);
}

/// Collects the packets of one batch. All ranges refer to the same storage.
#[derive(Debug, Default)]
pub struct Coalescer {
    flows: Vec<Flow>,
    spare: Vec<Vec<Range<usize>>>,
    join_udp: bool,
    join_tcp: bool,
}

#[derive(Debug)]
struct Flow {
    shape: Shape,
    parts: Vec<Range<usize>>,
    length: usize,
    next_sequence: u32,
    last_id: u16,
    is_closed: bool,
    is_verified: bool,
}

/// The headers of a packet that may be joined.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inner: Inner,
    header_len: usize,
    payload: usize,
}

impl Coalescer {
    /// Joins nothing of a protocol that is not wanted.
    pub fn new(join_tcp: bool, join_udp: bool) -> Self {
        Self { flows: Vec::new(), spare: Vec::new(), join_udp, join_tcp }
    }

    /// Stops joining: the device refused a super-packet.
    pub fn disable(&mut self) {
        self.join_tcp = false;
        self.join_udp = false;
    }

    /// Takes a packet; it reaches the sink now or in `finish`, in order within its flow.
    pub fn push(&mut self, storage: &mut [u8], range: Range<usize>, sink: &mut impl Sink) {
        let inner = Inner::parse(&storage[range.clone()]);
        if inner.is_some_and(hides_its_ports) {
            // Its flow may be one of those that are held.
            self.finish(storage, sink);
        }
        let packet = &storage[range.clone()];
        let Some(inner) = inner.filter(|&inner| self.may_have_flow(inner)) else {
            sink.write(VnetHeader::default(), storage, &[range]);
            return;
        };
        let found = self
            .flows
            .iter()
            .position(|flow| is_same_flow(&storage[flow.parts[0].clone()], packet, inner));
        let shape = Shape::of(packet, inner);
        if let (Some(index), Some(shape)) = (found, shape)
            && self.flows[index].append(storage, range.clone(), shape)
        {
            return;
        }
        if let Some(index) = found {
            self.flush(index, storage, sink);
        }
        match shape {
            None => sink.write(VnetHeader::default(), storage, &[range]),
            Some(shape) => {
                if self.flows.len() == MAX_FLOWS {
                    self.flush(0, storage, sink);
                }
                let mut parts = self.spare.pop().unwrap_or_default();
                parts.push(range);
                self.flows.push(Flow::new(shape, parts, storage));
            }
        }
    }

    /// Writes what is still held; call at the end of a batch, before the storage is reused.
    pub fn finish(&mut self, storage: &mut [u8], sink: &mut impl Sink) {
        while !self.flows.is_empty() {
            self.flush(0, storage, sink);
        }
    }

    fn may_have_flow(&self, inner: Inner) -> bool {
        let is_wanted = match inner.protocol {
            TCP => self.join_tcp,
            UDP => self.join_udp,
            _ => false,
        };
        // Without whole ports there is no flow to keep in order with.
        is_wanted && !hides_its_ports(inner) && inner.length >= inner.transport + 4
    }

    fn flush(&mut self, index: usize, storage: &mut [u8], sink: &mut impl Sink) {
        let mut flow = self.flows.remove(index);
        let header = if flow.parts.len() > 1 { flow.seal(storage) } else { VnetHeader::default() };
        sink.write(header, storage, &flow.parts);
        flow.parts.clear();
        self.spare.push(flow.parts);
    }
}

/// True for a packet that may be of a TCP or UDP flow, but has no ports where others have them: a
/// part of a datagram, IPv4 with options, IPv6 with an extension header.
fn hides_its_ports(inner: Inner) -> bool {
    if inner.is_ipv6 {
        return EXTENSIONS.contains(&inner.protocol);
    }
    matches!(inner.protocol, TCP | UDP) && (inner.is_fragment || inner.transport != 20)
}

/// Same addresses, protocol and ports. `packet` was parsed as `inner`; `first` has a flow.
fn is_same_flow(first: &[u8], packet: &[u8], inner: Inner) -> bool {
    if first[0] != packet[0] {
        return false;
    }
    let transport = inner.transport;
    let ports = transport..transport + 4;
    let addresses = addresses_of(inner);
    let protocol_at = if inner.is_ipv6 { 6 } else { 9 };
    first[protocol_at] == packet[protocol_at]
        && first[ports.clone()] == packet[ports]
        && first[addresses.clone()] == packet[addresses]
}

fn addresses_of(inner: Inner) -> Range<usize> {
    if inner.is_ipv6 { 8..40 } else { 12..20 }
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl Shape {
    /// None when the packet must go alone.
    fn of(packet: &[u8], inner: Inner) -> Option<Self> {
        if inner.length != packet.len() {
            return None;
        }
        let transport = &packet[inner.transport..];
        let transport_len = if inner.protocol == TCP {
            let tcp = transport.first_chunk::<20>()?;
            if tcp[13] & !PSH != ACK {
                return None;
            }
            usize::from(tcp[12] >> 4) * 4
        } else {
            let udp = transport.first_chunk::<8>()?;
            if usize::from(word(udp, 4)) != transport.len() || word(udp, 6) == 0 {
                return None;
            }
            8
        };
        if (inner.protocol == TCP && transport_len < 20) || transport_len >= transport.len() {
            return None;
        }
        let header_len = inner.transport + transport_len;
        Some(Self { inner, header_len, payload: packet.len() - header_len })
    }

    fn is_tcp(&self) -> bool {
        self.inner.protocol == TCP
    }

    fn checksum_is_right(&self, packet: &[u8]) -> bool {
        let transport = &packet[self.inner.transport..];
        pseudo_header(&packet[addresses_of(self.inner)], self.inner.protocol, transport.len())
            .add_bytes(transport)
            .finish()
            == 0
    }
}

impl Flow {
    fn new(shape: Shape, parts: Vec<Range<usize>>, storage: &[u8]) -> Self {
        let first = &storage[parts[0].clone()];
        let transport = &first[shape.inner.transport..];
        let mut flow = Self {
            shape,
            length: first.len(),
            next_sequence: 0,
            last_id: if shape.inner.is_ipv6 { 0 } else { word(first, 4) },
            is_closed: false,
            is_verified: false,
            parts,
        };
        if shape.is_tcp() {
            flow.is_closed = transport[13] & PSH != 0;
            flow.next_sequence = sequence_of(transport).wrapping_add(shape.payload as u32);
        }
        flow
    }

    /// Joins a packet of the same flow if it is the exact continuation.
    fn append(&mut self, storage: &mut [u8], range: Range<usize>, shape: Shape) -> bool {
        let (first, packet) = (&storage[self.parts[0].clone()], &storage[range.clone()]);
        if self.is_closed
            || self.parts.len() == MAX_PACKETS
            || shape.header_len != self.shape.header_len
            || shape.payload > self.shape.payload
            || self.length + shape.payload > MAX_LENGTH
            || !self.continues(first, packet)
            || !shape.checksum_is_right(packet)
        {
            return false;
        }
        if !self.is_verified {
            if !self.shape.checksum_is_right(first) {
                self.is_closed = true;
                return false;
            }
            self.is_verified = true;
        }
        self.is_closed = shape.payload < self.shape.payload;
        if shape.is_tcp() {
            self.next_sequence = self.next_sequence.wrapping_add(shape.payload as u32);
            if packet[shape.inner.transport + 13] & PSH != 0 {
                self.is_closed = true;
                let flags = self.parts[0].start + shape.inner.transport + 13;
                storage[flags] |= PSH;
            }
        }
        if !shape.inner.is_ipv6 {
            self.last_id = word(&storage[range.clone()], 4);
        }
        self.length += shape.payload;
        self.parts.push(range.start + shape.header_len..range.end);
        true
    }

    /// Every header field that cutting would copy or count up is as it would be.
    fn continues(&self, first: &[u8], packet: &[u8]) -> bool {
        let ip_fits = if self.shape.inner.is_ipv6 {
            // Version, traffic class and flow label; next header and hop limit.
            first[..4] == packet[..4] && first[6..8] == packet[6..8]
        } else {
            // Type of service; flags; time to live. The id counts up unless it means nothing.
            let counts_up = word(packet, 4) == self.last_id.wrapping_add(1);
            let is_atomic = packet[6] & 0x40 != 0;
            first[1] == packet[1]
                && first[6..9] == packet[6..9]
                && (counts_up || (is_atomic && word(packet, 4) == 0 && self.last_id == 0))
        };
        if !ip_fits || !self.shape.is_tcp() {
            return ip_fits;
        }
        let transport = self.shape.inner.transport;
        let (first, packet) =
            (&first[transport..self.shape.header_len], &packet[transport..self.shape.header_len]);
        sequence_of(packet) == self.next_sequence
            && first[8..13] == packet[8..13]
            && first[14..16] == packet[14..16]
            && first[18..] == packet[18..]
    }

    /// Turns the first packet's headers into those of the super-packet.
    fn seal(&mut self, storage: &mut [u8]) -> VnetHeader {
        let shape = self.shape;
        let first = &mut storage[self.parts[0].clone()];
        let transport_len = self.length - shape.inner.transport;
        if shape.inner.is_ipv6 {
            first[4..6].copy_from_slice(&((self.length - 40) as u16).to_be_bytes());
        } else {
            first[2..4].copy_from_slice(&(self.length as u16).to_be_bytes());
            first[10..12].fill(0);
            let checksum = Sum::default().add_bytes(&first[..20]).finish();
            first[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        let begun =
            pseudo_header(&first[addresses_of(shape.inner)], shape.inner.protocol, transport_len)
                .fold();
        let transport = &mut first[shape.inner.transport..];
        let checksum_offset = if shape.is_tcp() { 16 } else { 6 };
        if !shape.is_tcp() {
            transport[4..6].copy_from_slice(&(transport_len as u16).to_be_bytes());
        }
        transport[checksum_offset..checksum_offset + 2].copy_from_slice(&begun.to_be_bytes());
        VnetHeader {
            flags: NEEDS_CHECKSUM,
            gso_type: match (shape.is_tcp(), shape.inner.is_ipv6) {
                (true, false) => GSO_TCP4,
                (true, true) => GSO_TCP6,
                (false, _) => GSO_UDP,
            },
            header_len: shape.header_len as u16,
            gso_size: shape.payload as u16,
            checksum_start: shape.inner.transport as u16,
            checksum_offset: checksum_offset as u16,
        }
    }
}

fn sequence_of(tcp: &[u8]) -> u32 {
    u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]])
}
