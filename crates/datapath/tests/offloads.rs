//! Cutting and joining: each is the other's oracle, and both keep checksums right.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::ops::Range;

use ginnel_datapath::checksum::{Sum, pseudo_header};
use ginnel_datapath::coalesce::{Coalescer, Sink};
use ginnel_datapath::inner::{TCP, UDP};
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::vnet::{
    GSO_ECN, GSO_NONE, GSO_TCP4, GSO_TCP6, GSO_UDP, NEEDS_CHECKSUM, VnetHeader,
};

const ACK: u8 = 0x10;
const PSH: u8 = 0x08;
const FIN: u8 = 0x01;
const CWR: u8 = 0x80;

#[derive(Clone)]
struct Build {
    ipv6: bool,
    udp: bool,
    id: u16,
    dont_fragment: bool,
    port: u16,
    sequence: u32,
    flags: u8,
    window: u16,
    options: Vec<u8>,
    payload: Vec<u8>,
}

impl Build {
    fn tcp(sequence: u32, payload: &[u8]) -> Self {
        Self {
            ipv6: false,
            udp: false,
            id: 7,
            dont_fragment: true,
            port: 4000,
            sequence,
            flags: ACK,
            window: 500,
            options: vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
            payload: payload.to_vec(),
        }
    }

    fn udp(payload: &[u8]) -> Self {
        Self { udp: true, options: vec![], ..Self::tcp(0, payload) }
    }

    fn transport(&self) -> Vec<u8> {
        let mut out = vec![];
        out.extend_from_slice(&self.port.to_be_bytes());
        out.extend_from_slice(&5201u16.to_be_bytes());
        if self.udp {
            out.extend_from_slice(&((8 + self.payload.len()) as u16).to_be_bytes());
            out.extend_from_slice(&[0, 0]);
        } else {
            out.extend_from_slice(&self.sequence.to_be_bytes());
            out.extend_from_slice(&9u32.to_be_bytes());
            out.push((((20 + self.options.len()) / 4) as u8) << 4);
            out.push(self.flags);
            out.extend_from_slice(&self.window.to_be_bytes());
            out.extend_from_slice(&[0, 0, 0, 0]);
            out.extend_from_slice(&self.options);
        }
        out.extend_from_slice(&self.payload);
        out
    }

    fn protocol(&self) -> u8 {
        if self.udp { UDP } else { TCP }
    }

    fn checksum_at(&self) -> usize {
        if self.udp { 6 } else { 16 }
    }

    /// The packet with a complete or a begun transport checksum.
    fn packet(&self, complete: bool) -> Vec<u8> {
        let mut transport = self.transport();
        let mut out = if self.ipv6 {
            let mut ip = vec![0x60, 0, 0, 0];
            ip.extend_from_slice(&(transport.len() as u16).to_be_bytes());
            ip.extend_from_slice(&[self.protocol(), 64]);
            ip.extend_from_slice(&[0x20; 16]);
            ip.extend_from_slice(&[0x21; 16]);
            ip
        } else {
            let mut ip = vec![0x45, 0];
            ip.extend_from_slice(&((20 + transport.len()) as u16).to_be_bytes());
            ip.extend_from_slice(&self.id.to_be_bytes());
            ip.extend_from_slice(&[if self.dont_fragment { 0x40 } else { 0 }, 0, 64]);
            ip.extend_from_slice(&[self.protocol(), 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            let sum = Sum::default().add_bytes(&ip).finish();
            ip[10..12].copy_from_slice(&sum.to_be_bytes());
            ip
        };
        let addresses = if self.ipv6 { 8..40 } else { 12..20 };
        let pseudo = pseudo_header(&out[addresses], self.protocol(), transport.len());
        let at = self.checksum_at();
        let checksum = if complete { pseudo.add_bytes(&transport).finish() } else { pseudo.fold() };
        transport[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
        out.extend_from_slice(&transport);
        out
    }

    fn header(&self, gso_type: u8, size: usize) -> VnetHeader {
        let start = if self.ipv6 { 40 } else { 20 };
        VnetHeader {
            flags: NEEDS_CHECKSUM,
            gso_type,
            header_len: 0,
            gso_size: size as u16,
            checksum_start: start,
            checksum_offset: self.checksum_at() as u16,
        }
    }
}

fn checksums_are_right(packet: &[u8]) -> bool {
    let ipv6 = packet[0] >> 4 == 6;
    let (protocol, start, addresses) =
        if ipv6 { (packet[6], 40, 8..40) } else { (packet[9], 20, 12..20) };
    let ip_is_right = ipv6 || Sum::default().add_bytes(&packet[..20]).finish() == 0;
    let transport = &packet[start..];
    ip_is_right
        && pseudo_header(&packet[addresses], protocol, transport.len())
            .add_bytes(transport)
            .finish()
            == 0
}

fn cut(header: VnetHeader, packet: &mut [u8]) -> Vec<Vec<u8>> {
    match segment::plan(header, packet).unwrap() {
        Plan::Whole => vec![packet.to_vec()],
        Plan::Split(segments) => (0..segments.count())
            .map(|index| {
                let mut out = vec![0; segments.len(index)];
                segments.write(index, packet, &mut out);
                out
            })
            .collect(),
    }
}

/// What the device was given: header, whole bytes, number of joined packets.
#[derive(Default)]
struct Device(Vec<(VnetHeader, Vec<u8>, usize)>);

impl Sink for Device {
    fn write(&mut self, header: VnetHeader, storage: &[u8], parts: &[Range<usize>]) {
        let bytes = parts.iter().flat_map(|part| &storage[part.clone()]).copied().collect();
        self.0.push((header, bytes, parts.len()));
    }
}

fn join(packets: &[Vec<u8>]) -> Device {
    let mut storage = packets.concat();
    let mut coalescer = Coalescer::new(true, true);
    let mut device = Device::default();
    let mut start = 0;
    for packet in packets {
        coalescer.push(&mut storage, start..start + packet.len(), &mut device);
        start += packet.len();
    }
    coalescer.finish(&mut storage, &mut device);
    device
}

fn counts(device: &Device) -> Vec<usize> {
    device.0.iter().map(|(_, _, count)| *count).collect()
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at * 31 % 251) as u8).collect()
}

#[test]
fn a_tcp_super_packet_is_cut_as_tcp_would_have_sent_it() {
    for ipv6 in [false, true] {
        let payload = bytes(3500);
        let whole =
            Build { ipv6, flags: ACK | PSH | FIN | CWR, ..Build::tcp(u32::MAX - 999, &payload) };
        let gso = if ipv6 { GSO_TCP6 } else { GSO_TCP4 } | GSO_ECN;
        let segments = cut(whole.header(gso, 1000), &mut whole.packet(false));
        let expected: Vec<_> = (0u16..4)
            .map(|index| {
                let at = usize::from(index) * 1000;
                let mut flags = ACK;
                if index == 0 {
                    flags |= CWR;
                }
                if index == 3 {
                    flags |= PSH | FIN;
                }
                let part = Build {
                    ipv6,
                    id: 7 + index,
                    flags,
                    sequence: (u32::MAX - 999).wrapping_add(at as u32),
                    payload: payload[at..payload.len().min(at + 1000)].to_vec(),
                    ..whole.clone()
                };
                part.packet(true)
            })
            .collect();
        assert_eq!(segments, expected);
    }
}

#[test]
fn a_udp_super_packet_is_cut_into_datagrams() {
    for ipv6 in [false, true] {
        let payload = bytes(2501);
        let whole = Build { ipv6, ..Build::udp(&payload) };
        let segments = cut(whole.header(GSO_UDP, 1000), &mut whole.packet(false));
        let expected: Vec<_> = payload
            .chunks(1000)
            .zip(7u16..)
            .map(|(part, id)| Build { ipv6, id, ..Build::udp(part) }.packet(true))
            .collect();
        assert_eq!(segments, expected);
    }
}

#[test]
fn a_begun_checksum_is_completed() {
    for build in [Build::tcp(1, &bytes(77)), Build::udp(&bytes(78))] {
        let mut packet = build.packet(false);
        let out = cut(build.header(GSO_NONE, 0), &mut packet);
        assert_eq!(out, [build.packet(true)]);
    }
}

#[test]
fn a_header_that_does_not_fit_is_refused() {
    let build = Build::tcp(1, &bytes(2000));
    let good = build.header(GSO_TCP4, 1000);
    let bad = [
        VnetHeader { gso_size: 0, ..good },
        VnetHeader { gso_type: 3, ..good },
        VnetHeader { gso_type: GSO_TCP6, ..good },
        VnetHeader { gso_type: GSO_UDP, ..good },
        VnetHeader { flags: 0, ..good },
        VnetHeader { checksum_start: 24, ..good },
        VnetHeader { checksum_start: 60_000, ..good },
        VnetHeader { checksum_offset: 6, ..good },
        VnetHeader { gso_type: GSO_NONE, checksum_start: 2051, checksum_offset: 0, ..good },
        VnetHeader { gso_type: GSO_NONE, checksum_start: 65_535, checksum_offset: 65_535, ..good },
    ];
    for header in bad {
        assert!(segment::plan(header, &mut build.packet(false)).is_err(), "{header:?}");
    }
    for length in 0..52 {
        let mut short = build.packet(false);
        short.truncate(length);
        assert!(segment::plan(good, &mut short).is_err(), "{length}");
    }
}

#[test]
fn what_was_cut_joins_to_what_it_was() {
    for ipv6 in [false, true] {
        for udp in [false, true] {
            let payload = bytes(9300);
            let base = if udp { Build::udp(&payload) } else { Build::tcp(5, &payload) };
            let whole = Build { ipv6, ..base };
            let gso = match (udp, ipv6) {
                (true, _) => GSO_UDP,
                (false, false) => GSO_TCP4,
                (false, true) => GSO_TCP6,
            };
            let segments = cut(whole.header(gso, 1000), &mut whole.packet(false));
            assert!(segments.iter().all(|packet| checksums_are_right(packet)));
            let device = join(&segments);
            assert_eq!(counts(&device), [10]);
            let (header, joined, _) = &device.0[0];
            assert_eq!(joined, &whole.packet(false));
            let transport_len = if udp { 8 } else { 32 };
            let header_len = header.checksum_start + transport_len;
            assert_eq!(*header, VnetHeader { header_len, ..whole.header(gso, 1000) });
            assert_eq!(cut(*header, &mut joined.clone()), segments);
        }
    }
}

#[test]
fn a_push_ends_a_super_packet_and_shows_in_it() {
    let packets = [
        Build::tcp(0, &bytes(100)).packet(true),
        Build { id: 8, flags: ACK | PSH, ..Build::tcp(100, &bytes(100)) }.packet(true),
        Build { id: 9, ..Build::tcp(200, &bytes(100)) }.packet(true),
    ];
    let device = join(&packets);
    assert_eq!(counts(&device), [2, 1]);
    assert_eq!(device.0[0].1[33], ACK | PSH);
    assert_eq!(device.0[1].1, packets[2]);
}

#[test]
fn a_shorter_packet_ends_a_super_packet() {
    let packets = [
        Build::tcp(0, &bytes(100)).packet(true),
        Build { id: 8, ..Build::tcp(100, &bytes(60)) }.packet(true),
        Build { id: 9, ..Build::tcp(160, &bytes(60)) }.packet(true),
    ];
    assert_eq!(counts(&join(&packets)), [2, 1]);
}

#[test]
fn what_is_not_the_exact_continuation_goes_alone_and_in_order() {
    let next = Build { id: 8, ..Build::tcp(100, &bytes(100)) };
    let mut broken = next.packet(true);
    broken[60] ^= 1;
    let mut marked = next.packet(true);
    marked[1] = 3;
    marked[10..12].fill(0);
    let sum = Sum::default().add_bytes(&marked[..20]).finish();
    marked[10..12].copy_from_slice(&sum.to_be_bytes());
    let strangers = [
        Build { sequence: 101, ..next.clone() }.packet(true),
        Build { window: 501, ..next.clone() }.packet(true),
        Build { flags: ACK | FIN, ..next.clone() }.packet(true),
        Build { flags: ACK | 0x20, ..next.clone() }.packet(true),
        Build { options: vec![1, 1, 8, 10, 0, 0, 0, 3, 0, 0, 0, 2], ..next.clone() }.packet(true),
        Build { options: vec![], ..next.clone() }.packet(true),
        Build { id: 9, ..next.clone() }.packet(true),
        Build { dont_fragment: false, ..next.clone() }.packet(true),
        Build { payload: bytes(101), ..next.clone() }.packet(true),
        Build { payload: vec![], ..next.clone() }.packet(true),
        broken,
        marked,
    ];
    for stranger in strangers {
        let packets = [Build::tcp(0, &bytes(100)).packet(true), stranger];
        let device = join(&packets);
        assert_eq!(counts(&device), [1, 1]);
        for ((header, bytes, _), packet) in device.0.iter().zip(&packets) {
            assert_eq!((*header, bytes), (VnetHeader::default(), packet));
        }
    }
}

/// With an IP option, as the first of a datagram in parts, and behind an extension header.
fn without_plain_ports(packet: &[u8]) -> Vec<Vec<u8>> {
    if packet[0] >> 4 == 6 {
        let mut extended =
            [&packet[..40], &[packet[6], 0, 1, 4, 0, 0, 0, 0], &packet[40..]].concat();
        extended[6] = 60;
        extended[4..6].copy_from_slice(&((packet.len() - 32) as u16).to_be_bytes());
        return vec![extended];
    }
    let mut optional = [&packet[..20], &[1, 1, 1, 0], &packet[20..]].concat();
    optional[0] = 0x46;
    optional[2..4].copy_from_slice(&((packet.len() + 4) as u16).to_be_bytes());
    let mut part = packet.to_vec();
    part[6] = 0x20;
    vec![optional, part]
}

#[test]
fn a_packet_without_plain_ports_overtakes_none_of_its_flow() {
    for (ipv6, udp) in [(false, false), (false, true), (true, false), (true, true)] {
        let base = if udp { Build::udp(&bytes(100)) } else { Build::tcp(0, &bytes(100)) };
        let first = Build { ipv6, ..base }.packet(true);
        for other in without_plain_ports(&first) {
            let packets = [first.clone(), other, first.clone()];
            let device = join(&packets);
            let seen: Vec<_> = device.0.into_iter().map(|(_, bytes, _)| bytes).collect();
            assert_eq!(seen, packets);
        }
    }
}

#[test]
fn a_first_packet_with_a_wrong_checksum_takes_no_others() {
    let mut first = Build::tcp(0, &bytes(100)).packet(true);
    first[60] ^= 1;
    let second = Build { id: 8, ..Build::tcp(100, &bytes(100)) }.packet(true);
    let device = join(&[first.clone(), second.clone()]);
    assert_eq!(counts(&device), [1, 1]);
    assert_eq!((&device.0[0].1, &device.0[1].1), (&first, &second));
}

#[test]
fn interleaved_flows_join_each_on_its_own() {
    let mut packets = vec![];
    for index in 0u16..6 {
        for port in 1..=4 {
            let at = u32::from(index) * 100;
            packets.push(Build { id: 7 + index, port, ..Build::tcp(at, &bytes(100)) }.packet(true));
        }
    }
    assert_eq!(counts(&join(&packets)), [6, 6, 6, 6]);
}

#[test]
fn more_flows_than_are_kept_lose_nothing() {
    let mut packets = vec![];
    for round in 0u16..3 {
        for port in 0..30 {
            let at = u32::from(round) * 10;
            packets.push(Build { id: 7 + round, port, ..Build::tcp(at, &bytes(10)) }.packet(true));
        }
    }
    let mut seen: Vec<_> = join(&packets).0.into_iter().map(|(_, bytes, _)| bytes).collect();
    seen.sort();
    packets.sort();
    assert_eq!(seen, packets);
}

#[test]
fn other_packets_pass_as_they_are() {
    let mut fragment = Build::udp(&bytes(64)).packet(true);
    fragment[6] = 0x20;
    let mut without_checksum = Build::udp(&bytes(64)).packet(true);
    without_checksum[26..28].fill(0);
    let odd = [
        fragment,
        without_checksum,
        vec![0x45; 20],
        vec![0x60; 39],
        vec![0x00],
        Build { ipv6: true, ..Build::udp(&[]) }.packet(true),
        [Build::tcp(0, &bytes(40)).packet(true), vec![0; 6]].concat(),
    ];
    for packet in odd {
        let device = join(&[packet.clone(), packet.clone()]);
        assert_eq!(counts(&device), [1, 1]);
        assert!(
            device
                .0
                .iter()
                .all(|(header, out, _)| { *header == VnetHeader::default() && *out == packet })
        );
    }
}

#[test]
fn a_super_packet_never_outgrows_its_length_field() {
    let packets: Vec<_> = (0u16..60)
        .map(|index| {
            let at = u32::from(index) * 1400;
            Build { id: 7 + index, ..Build::tcp(at, &bytes(1400)) }.packet(true)
        })
        .collect();
    let device = join(&packets);
    assert_eq!(counts(&device).iter().sum::<usize>(), 60);
    assert!(device.0.len() == 2 && device.0.iter().all(|(_, bytes, _)| bytes.len() <= 65_535));
}
