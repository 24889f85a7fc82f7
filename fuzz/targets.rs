//! What a fuzzer may throw bytes at. Shared by cargo-fuzz and by the test that replays the corpora.
// Each includer uses what it wants; helpers may stop at the first surprise, like tests.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::ops::Range;

use ginnel_datapath::cipher::Cipher;
use ginnel_datapath::coalesce::{Coalescer, Sink};
use ginnel_datapath::inner::{Inner, destination, source};
use ginnel_datapath::key::{Direction, Key, KeySpec, Limits};
use ginnel_datapath::learn::{Lesson, Station, Stations};
use ginnel_datapath::mss;
use ginnel_datapath::payload::cut;
use ginnel_datapath::payload::framing::Framing;
use ginnel_datapath::payload::nat::{Direction as Way, NatRule};
use ginnel_datapath::payload::refusal;
use ginnel_datapath::payload::{Payload, PayloadSpec, Unwrapped};
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::suite::{BlockCipher, Mode, Old, Suite};
use ginnel_datapath::vlan::{self, Accept, Vlans};
use ginnel_datapath::vnet::{self, VnetHeader};
use ginnel_datapath::wire::{self, DataFormat, Kind};
use zeroize::Zeroizing;

/// Pieces behind 16-bit lengths, as the Python fuzzers cut them.
fn pieces(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        data = rest;
        Some(piece)
    })
    .take(64)
}

fn half(iv: usize, cipher_key: usize) -> Direction {
    Direction {
        cipher_key: Zeroizing::new(vec![7; cipher_key]),
        implicit_iv: Zeroizing::new(vec![9; iv]),
        ..Direction::default()
    }
}

fn key(suite: Suite, format: DataFormat, iv: usize, cipher_key: usize) -> Key {
    Key::new(&KeySpec {
        key_id: 0,
        suite,
        format,
        send: half(iv, cipher_key),
        receive: half(iv, cipher_key),
        replay_window: 64,
        replay_time: 15,
        packet_time: 1,
        limits: Limits::default(),
    })
    .unwrap()
}

/// Keys without an HMAC, so that what is behind one is reached.
fn keys() -> [Key; 6] {
    let old = |cipher| Suite::Old(Old { cipher, digest: None });
    let (cbc, cfb) = ((BlockCipher::Aes, Mode::Cbc), (BlockCipher::Aes, Mode::Cfb));
    let aead = Suite::Aead(Cipher::ChaCha20Poly1305);
    [
        key(aead, DataFormat::V2, 8, 32),
        key(aead, DataFormat::Epoch, 0, 32),
        key(old(Some(cbc)), DataFormat::V2, 0, 32),
        key(old(Some(cfb)), DataFormat::V1, 0, 32),
        key(old(None), DataFormat::V2, 0, 0),
        key(old(Some(cbc)), DataFormat::Static, 0, 32),
    ]
}

/// Packets of the link to each kind of key: what opens lies within the packet.
pub fn data_packet(data: &[u8]) {
    for mut key in keys() {
        for piece in pieces(data) {
            let mut packet = piece.to_vec();
            let header = match (key.format(), wire::classify(&packet)) {
                (DataFormat::Static, _) => wire::DataHeader { key_id: 0, peer_id: None },
                (_, Some(Kind::Data(header))) => header,
                _ => continue,
            };
            if let Ok(plain) = key.open(header, &mut packet, 0) {
                assert!(plain.start <= plain.end && plain.end <= packet.len());
            }
        }
    }
}

#[derive(Default)]
struct Total {
    bytes: usize,
    parts: usize,
}

impl Sink for Total {
    fn write(&mut self, _: VnetHeader, storage: &[u8], parts: &[Range<usize>]) {
        self.parts += parts.len();
        self.bytes += parts.iter().map(|part| storage[part.clone()].len()).sum::<usize>();
    }
}

/// Opened packets on their way to the device: looked at, clamped, joined; none is lost.
pub fn inner_packets(data: &[u8]) {
    let packets: Vec<_> = pieces(data).filter(|piece| !piece.is_empty()).collect();
    let mut storage = packets.concat();
    let mut coalescer = Coalescer::new(true, true);
    let mut total = Total::default();
    let mut start = 0;
    for packet in &packets {
        let range = start..start + packet.len();
        start = range.end;
        let bytes = &mut storage[range.clone()];
        if let Some(inner) = Inner::parse(bytes) {
            assert!(inner.transport <= inner.length && inner.length <= bytes.len());
            assert!(destination(bytes).is_some() && source(bytes).is_some());
        }
        if let Some(answer) = refusal::too_long(bytes, 0, 20) {
            let inner = Inner::parse(&answer).unwrap();
            assert!(inner.length == answer.len() && answer.len() <= 1280);
            assert_eq!(refusal::too_long(&answer, 0, 20), None);
        }
        for part in cut::cut(bytes, 0, 100).unwrap_or_default() {
            assert!(Inner::parse(&part).is_some_and(|inner| inner.length == part.len()));
            assert!(part.len() <= 100 && cut::cut(&part, 0, 100).is_none());
        }
        mss::clamp(bytes, 1300, 1280);
        coalescer.push(&mut storage, range, &mut total);
    }
    coalescer.finish(&mut storage, &mut total);
    assert_eq!(total.parts, packets.len());
    assert!(total.bytes <= storage.len());
}

const LONGEST: usize = 1600;
const MOST_UNFINISHED: usize = 64;

/// Opened payloads through fragments, framing, decompression and address translation. The first
/// byte chooses the terms; nothing that comes out is longer than the device takes.
pub fn payloads(data: &[u8]) {
    let Some((terms, data)) = data.split_first() else { return };
    let framing = [None, Some(Framing::Prefix), Some(Framing::Swap), Some(Framing::V2)];
    let rule = NatRule {
        is_source: terms & 16 != 0,
        network: [10, 0, 0, 0].into(),
        netmask: [255, 0, 0, 0].into(),
        alias: [11, 0, 0, 0].into(),
    };
    let spec = PayloadSpec {
        framing: framing[usize::from(terms & 3)],
        decompress: terms & 4 != 0,
        fragment: if terms & 8 != 0 { 100 } else { 0 },
        nat: vec![rule],
        ..PayloadSpec::default()
    };
    let mut payload = Payload::new(spec, LONGEST, terms & 32 != 0);
    for (now, piece) in pieces(data).enumerate() {
        let mut packet = piece.to_vec();
        match payload.unwrap(&mut packet, now as u64 * 100) {
            Ok(Unwrapped::Here(range)) => payload.translate(&mut packet[range], Way::In),
            Ok(Unwrapped::Apart(mut apart, range)) => {
                assert!(range.len() <= LONGEST + 2);
                payload.translate(&mut apart[range], Way::In);
            }
            Ok(Unwrapped::Unfinished) | Err(_) => {}
        }
        assert!(payload.unfinished() <= MOST_UNFINISHED);
    }
}

/// A read of the device, offload header first: refused, or cut within its bounds.
pub fn device_read(data: &[u8]) {
    let Some((header, packet)) = data.split_first_chunk::<{ vnet::LEN }>() else { return };
    let mut packet = packet.to_vec();
    let Ok(Plan::Split(segments)) = segment::plan(VnetHeader::decode(header), &mut packet) else {
        return;
    };
    assert!(segments.count() > 0 && !segments.is_empty());
    for index in 0..segments.count() {
        let mut out = vec![0; segments.len(index)];
        segments.write(index, &packet, &mut out);
    }
}

const MOST_LEARNT: usize = 4;

/// Frames of a bridge: learnt from peers within their bounds, tagged and untagged again. The first
/// byte chooses the rules; of each frame, its length says which peer it is of.
pub fn frames(data: &[u8]) {
    let Some((rules, data)) = data.split_first() else { return };
    let accept = [Accept::All, Accept::Tagged, Accept::Untagged][usize::from(rules % 3)];
    let vlans = Vlans { accept, pvid: u16::from(rules >> 4) + 1 };
    let mut stations = Stations::default();
    for (number, piece) in pieces(data).enumerate() {
        let (peer_id, now) = (piece.len() as u32 % 3, number as u64 * 700);
        let mut frame = piece.to_vec();
        let found = vlan::tag_of(&frame);
        let untagged = vlans.untag(&mut frame);
        if let Ok((number, start)) = untagged {
            assert!(number > 0 && start <= frame.len());
            assert_eq!(start > 0, found.is_some_and(|found| found > 0));
        }
        if let Some(mac) = piece.get(6..).and_then(|rest| rest.first_chunk::<6>()) {
            let station = Station { mac: *mac, vlan: found.unwrap_or(0) };
            let lesson = stations.learn(peer_id, station, (MOST_LEARNT, true), now);
            assert!(lesson != Ok(Lesson::Learned) || stations.find(station) == Some(peer_id));
        }
        if piece.len() >= 14 && found.is_none() && piece[12..14] != [0x81, 0] {
            let tagged = vlan::tagged(piece, 5);
            assert_eq!((vlan::tag_of(&tagged), tagged.len()), (Some(5), piece.len() + 4));
        }
        for peer_id in 0..3 {
            let held = stations.all().filter(|(_, entry)| entry.peer_id == peer_id).count();
            assert!(held <= MOST_LEARNT);
        }
        if number % 16 == 15 {
            stations.remove_peer(peer_id);
            stations.forget_stale(5000, now, |_, _| number % 32 == 15);
        }
    }
}
