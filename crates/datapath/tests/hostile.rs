//! Bytes nobody meant: nothing here may panic, and nothing may be lost, made up or read past its end.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used)]

use ginnel_datapath::cipher::Cipher;
use ginnel_datapath::key::{Direction, Key, KeySpec, Limits};
use ginnel_datapath::replay::ReplayWindow;
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::suite::Suite;
use ginnel_datapath::vnet::{self, VnetHeader};
use ginnel_datapath::wire::{self, DataFormat, DataHeader, Kind};
use zeroize::Zeroizing;

#[path = "../../../fuzz/targets.rs"]
mod targets;

/// A small generator with a fixed seed, so that a failure comes again.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        let length = self.below(limit);
        (0..length).map(|_| self.next() as u8).collect()
    }

    /// Noise that starts like a TCP or UDP packet, so that it gets past the first checks.
    fn packet(&mut self) -> Vec<u8> {
        let mut packet = self.bytes(200);
        let length = (packet.len() as u16).to_be_bytes();
        let protocol = if self.below(2) == 0 { 6 } else { 17 };
        if packet.len() >= 40 && self.below(8) > 0 {
            if self.below(2) == 0 {
                packet[0] = 0x45;
                packet[2..4].copy_from_slice(&length);
                packet[6..8].fill(0);
                packet[9] = protocol;
            } else {
                packet[0] = 0x60;
                let payload = (packet.len() as u16 - 40).to_be_bytes();
                packet[4..6].copy_from_slice(&payload);
                packet[6] = protocol;
            }
        }
        for _ in 0..self.below(3) {
            let length = packet.len().max(1);
            let at = self.below(length);
            let byte = self.next() as u8;
            if let Some(slot) = packet.get_mut(at) {
                *slot = byte;
            }
        }
        packet
    }
}

#[test]
fn noise_from_the_tunnel_passes_through_every_step() {
    let mut noise = Noise(0x9E37_79B9_7F4A_7C15);
    for _ in 0..2_000 {
        let mut pieces = Vec::new();
        for packet in (0..noise.below(20)).map(|_| noise.packet()) {
            pieces.extend((packet.len() as u16).to_be_bytes());
            pieces.extend(packet);
        }
        targets::inner_packets(&pieces);
        pieces.insert(0, noise.next() as u8);
        targets::frames(&pieces);
    }
}

#[test]
fn noise_from_the_device_is_cut_within_its_bounds_or_refused() {
    let mut noise = Noise(0x2545_F491_4F6C_DD1D);
    let mut cut = 0;
    for _ in 0..200_000 {
        let mut packet = noise.packet();
        let mut header = [0; vnet::LEN];
        for byte in &mut header {
            *byte = noise.next() as u8;
        }
        let mut header = VnetHeader::decode(&header);
        if noise.below(4) > 0 {
            let (start, offset) = [(20, 16), (20, 6), (40, 16), (40, 6)][noise.below(4)];
            header.flags = 1;
            header.gso_type = [0, 1, 4, 5][noise.below(4)];
            header.gso_size %= 64;
            (header.checksum_start, header.checksum_offset) = (start, offset);
        }
        let Ok(Plan::Split(segments)) = segment::plan(header, &mut packet) else { continue };
        cut += 1;
        assert!(segments.count() > 0 && !segments.is_empty());
        let mut total = 0;
        for index in 0..segments.count() {
            let mut out = vec![0; segments.len(index)];
            segments.write(index, &packet, &mut out);
            total += out.len();
        }
        // The payload once, the headers once a segment.
        let more = segments.count() - 1;
        let headers = (total - packet.len()).checked_div(more).unwrap_or(0);
        assert_eq!(total, packet.len() + more * headers);
    }
    assert!(cut > 1_000, "the noise reaches the cutting: {cut}");
}

#[test]
fn noise_from_the_link_never_opens() {
    let mut noise = Noise(0xD1B5_4A32_D192_ED03);
    for format in [DataFormat::V1, DataFormat::V2, DataFormat::Epoch] {
        let iv = if format == DataFormat::Epoch { 0 } else { 8 };
        let half = |seed: u8| Direction {
            cipher_key: Zeroizing::new(vec![seed; 32]),
            implicit_iv: Zeroizing::new(vec![seed; iv]),
            ..Direction::default()
        };
        let mut key = Key::new(&KeySpec {
            key_id: 0,
            suite: Cipher::ChaCha20Poly1305.into(),
            format,
            send: half(1),
            receive: half(2),
            replay_window: 64,
            replay_time: 15,
            packet_time: 0,
            limits: Limits::default(),
        })
        .unwrap();
        for _ in 0..20_000 {
            let mut packet = noise.bytes(80);
            if let Some(first) = packet.first_mut() {
                *first = if noise.below(2) == 0 { 0x30 } else { 0x48 };
            }
            if let Some(Kind::Data(header)) = wire::classify(&packet) {
                assert!(key.open(header, &mut packet, 0).is_err());
            }
        }
    }
}

fn old_key(cipher: &str, digest: &str, key_len: usize, mac_len: usize, format: DataFormat) -> Key {
    let half = |seed: u8| Direction {
        cipher_key: Zeroizing::new(vec![seed; key_len]),
        hmac_key: Zeroizing::new(vec![seed; mac_len]),
        ..Direction::default()
    };
    Key::new(&KeySpec {
        key_id: 0,
        suite: Suite::by_name(cipher, digest).unwrap(),
        format,
        send: half(1),
        receive: half(2),
        replay_window: 64,
        replay_time: 15,
        packet_time: 1,
        limits: Limits::default(),
    })
    .unwrap()
}

#[test]
fn noise_for_old_ciphers_opens_only_where_nobody_vouches() {
    let mut noise = Noise(0x6A09_E667_F3BC_C908);
    let suites = [
        ("AES-256-CBC", "SHA256", 32, 32),
        ("BF-CBC", "MD5", 16, 16),
        ("AES-128-CFB", "SHA1", 16, 20),
        ("AES-128-OFB", "none", 16, 0),
        ("DES-EDE3-CBC", "none", 24, 0),
        ("none", "SHA512", 0, 64),
        ("none", "none", 0, 0),
    ];
    for (cipher, digest, key_len, mac_len) in suites {
        for format in [DataFormat::V1, DataFormat::V2, DataFormat::Static] {
            if format == DataFormat::Static && cipher.ends_with("FB") {
                continue;
            }
            let mut key = old_key(cipher, digest, key_len, mac_len, format);
            for _ in 0..5_000 {
                let mut packet = noise.bytes(140);
                if let Some(first) = packet.first_mut() {
                    *first = if noise.below(2) == 0 { 0x30 } else { 0x48 };
                }
                let header = match wire::classify(&packet) {
                    _ if format == DataFormat::Static => DataHeader { key_id: 0, peer_id: None },
                    Some(Kind::Data(header)) => header,
                    _ => continue,
                };
                let length = packet.len();
                if let Ok(range) = key.open(header, &mut packet, 0) {
                    assert_eq!(digest, "none", "{cipher} {format:?}");
                    assert!(range.start < range.end && range.end <= length);
                }
            }
        }
    }
}

#[test]
fn a_window_agrees_with_a_set_of_all_ids() {
    let mut noise = Noise(0xA076_1D64_78BD_642F);
    for size in [0, 1, 2, 64, 200] {
        let mut window = ReplayWindow::new(size, 0);
        let mut seen = std::collections::HashSet::new();
        let mut highest = 0u64;
        for _ in 0..5_000 {
            let id = match noise.below(10) {
                0 => highest + 1 + noise.next() % 300,
                1..=5 => highest + 1,
                _ => highest.saturating_sub(noise.next() % (size as u64 + 3)),
            };
            let fresh = if size == 0 {
                id == highest + 1
            } else {
                id > 0 && !seen.contains(&id) && id + size as u64 > highest
            };
            assert_eq!(window.check(id, 0).is_ok(), fresh, "size {size} id {id} of {highest}");
            if fresh {
                window.mark(id, 0);
                seen.insert(id);
                highest = highest.max(id);
            }
        }
    }
}
