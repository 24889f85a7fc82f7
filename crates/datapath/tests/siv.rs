//! Keys of control packets, on packets that a real `OpenVPN` sent under tls-crypt.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::Path;

use ginnel_datapath::siv::{SIV_LEN, SivKey};
use serde::Deserialize;

/// Opcode, session id and replay id.
const CLEAR_LEN: usize = 1 + 8 + 8;
/// Of a static key: 64 bytes for the cipher and 64 for the HMAC, for the server and for the client.
const SLICE_LEN: usize = 64;

#[derive(Deserialize)]
struct Recorded {
    key_file: String,
    packets: Vec<Packet>,
}

#[derive(Deserialize)]
struct Packet {
    from: String,
    packet: String,
}

fn recorded() -> Recorded {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/control");
    serde_json::from_str(&fs::read_to_string(folder.join("tls-crypt.json")).unwrap()).unwrap()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

impl Recorded {
    fn key_of(&self, sender: &str) -> SivKey {
        let lines = self.key_file.lines().filter(|line| !line.starts_with(['#', '-']));
        let material = unhex(&lines.collect::<String>());
        let half = &material[if sender == "client" { 2 * SLICE_LEN } else { 0 }..];
        SivKey::new(&half[..SIV_LEN], &half[SLICE_LEN..SLICE_LEN + SIV_LEN]).unwrap()
    }
}

fn parts(packet: &[u8]) -> (&[u8], [u8; SIV_LEN], Vec<u8>) {
    let (clear, rest) = packet.split_at(CLEAR_LEN);
    let (tag, body) = rest.split_at(SIV_LEN);
    (clear, tag.try_into().unwrap(), body.to_vec())
}

#[test]
fn recorded_packets_open_and_are_sealed_the_same() {
    let recorded = recorded();
    assert!(!recorded.packets.is_empty());
    for Packet { from, packet } in &recorded.packets {
        let key = recorded.key_of(from);
        let packet = unhex(packet);
        let (clear, tag, mut body) = parts(&packet);
        key.open(clear, &tag, &mut body).unwrap();
        assert_eq!(key.seal(clear, &mut body), tag);
        assert_eq!([clear, &tag, &body].concat(), packet);
    }
}

#[test]
fn a_changed_bit_anywhere_is_noticed() {
    let recorded = recorded();
    let Packet { from, packet } = &recorded.packets[1];
    let key = recorded.key_of(from);
    let packet = unhex(packet);
    for at in 0..packet.len() {
        let mut changed = packet.clone();
        changed[at] ^= 1;
        let (clear, tag, mut body) = parts(&changed);
        assert!(key.open(clear, &tag, &mut body).is_err(), "byte {at}");
    }
}

#[test]
fn keys_have_32_bytes() {
    for length in [0, 31, 33, 64] {
        assert!(SivKey::new(&vec![1; length], &[1; SIV_LEN]).is_err());
        assert!(SivKey::new(&[1; SIV_LEN], &vec![1; length]).is_err());
    }
}
