//! The wire-format vectors that the Python engine reads too: packets, epoch chains, replay windows.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use ginnel_datapath::cipher::{AeadKey, Cipher};
use ginnel_datapath::epoch::{Chain, LAST_EPOCH};
use ginnel_datapath::key::{Direction, Key, KeySpec, Limits, OpenError};
use ginnel_datapath::replay::ReplayWindow;
use ginnel_datapath::suite::Suite;
use ginnel_datapath::wire::{self, DataFormat, DataHeader, Kind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

#[derive(Deserialize)]
struct File<C> {
    cases: Vec<C>,
}

#[derive(Deserialize)]
struct PacketCase {
    name: String,
    format: String,
    cipher: String,
    key_id: u8,
    peer_id: u32,
    cipher_key: String,
    #[serde(default)]
    implicit_iv: String,
    #[serde(default = "none")]
    digest: String,
    #[serde(default)]
    hmac_key: String,
    #[serde(default)]
    packet_time: u32,
    #[serde(default)]
    iv: String,
    packet_id: u64,
    #[serde(default)]
    epoch: u16,
    #[serde(default)]
    plaintext: String,
    packet: String,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize)]
struct ChainCase {
    name: String,
    cipher: String,
    first: String,
    epoch: u16,
    data_key: String,
    data_iv: String,
}

#[derive(Deserialize)]
struct WindowCase {
    name: String,
    window: usize,
    time: u64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    at: f64,
    id: u64,
    accept: bool,
}

/// Our own packets of each format, and packets recorded from a real `OpenVPN`.
const PACKETS: [&str; 6] =
    ["v1.json", "v2.json", "epoch.json", "old.json", "openvpn.json", "openvpn-old.json"];

fn none() -> String {
    "none".to_owned()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/data")
}

fn read<C: DeserializeOwned>(name: &str) -> Vec<C> {
    let text = fs::read_to_string(folder().join(name)).unwrap();
    let file: File<C> = serde_json::from_str(&text).unwrap();
    assert!(!file.cases.is_empty(), "{name} has no cases");
    file.cases
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn format_of(name: &str) -> DataFormat {
    match name {
        "v1" => DataFormat::V1,
        "v2" => DataFormat::V2,
        "epoch" => DataFormat::Epoch,
        "static" => DataFormat::Static,
        other => panic!("unknown format {other}"),
    }
}

fn key_of(case: &PacketCase) -> Key {
    let direction = || Direction {
        cipher_key: Zeroizing::new(unhex(&case.cipher_key)),
        implicit_iv: Zeroizing::new(unhex(&case.implicit_iv)),
        hmac_key: Zeroizing::new(unhex(&case.hmac_key)),
    };
    Key::new(&KeySpec {
        key_id: case.key_id,
        suite: Suite::by_name(&case.cipher, &case.digest).unwrap(),
        format: format_of(&case.format),
        send: direction(),
        receive: direction(),
        replay_window: 64,
        replay_time: 15,
        packet_time: case.packet_time,
        limits: Limits::default(),
    })
    .unwrap()
}

/// Opens as the engine does: classify, then the key.
fn open(case: &PacketCase, packet: &mut [u8]) -> Result<Vec<u8>, OpenError> {
    let header = if case.format == "static" {
        DataHeader { key_id: 0, peer_id: None }
    } else if let Some(Kind::Data(header)) = wire::classify(packet) {
        header
    } else {
        return Err(OpenError::Malformed);
    };
    let range = key_of(case).open(header, packet, 0)?;
    Ok(packet[range].to_vec())
}

#[test]
fn packets_of_every_format_open() {
    for name in PACKETS {
        for case in read::<PacketCase>(name) {
            let mut packet = unhex(&case.packet);
            // A first packet may be at most 16 epochs ahead; vectors beyond are of the sender only.
            if case.epoch > 17 {
                continue;
            }
            assert_eq!(open(&case, &mut packet), Ok(unhex(&case.plaintext)), "{}", case.name);
        }
    }
}

#[test]
fn packets_of_every_format_are_sealed_the_same() {
    for name in PACKETS {
        for case in read::<PacketCase>(name) {
            let plaintext = unhex(&case.plaintext);
            let mut key = key_of(&case);
            // Past the last epoch that a receiver takes up, we do not seal at all.
            let may_seal = case.epoch <= LAST_EPOCH;
            assert_eq!(key.position(case.epoch, case.packet_id), may_seal, "{}", case.name);
            if !may_seal {
                continue;
            }
            key.preset_iv(&unhex(&case.iv));
            let layout = key.layout();
            let mut packet = vec![0; layout.prefix];
            packet.extend_from_slice(&plaintext);
            packet.resize(layout.sealed_len(plaintext.len()), 0);
            key.seal(case.peer_id, &mut packet, plaintext.len()).unwrap();
            assert_eq!(packet, unhex(&case.packet), "{}", case.name);
        }
    }
}

#[test]
fn hostile_packets_are_refused_for_the_right_reason() {
    for name in ["negative/v1.json", "negative/v2.json", "negative/epoch.json", "negative/old.json"]
    {
        for case in read::<PacketCase>(name) {
            let expected = match case.reason.as_str() {
                "auth" => OpenError::Unauthentic,
                "malformed" => OpenError::Malformed,
                "replay" => OpenError::Replayed,
                "no-key" => OpenError::NoKey,
                other => panic!("unknown reason {other}"),
            };
            assert_eq!(open(&case, &mut unhex(&case.packet)), Err(expected), "{}", case.name);
        }
    }
}

#[test]
fn epoch_chains_give_the_same_keys() {
    for case in read::<ChainCase>("chain/epoch.json") {
        let cipher = Cipher::by_name(&case.cipher).unwrap();
        let mut chain = Chain::new(cipher, &unhex(&case.first)).unwrap();
        while chain.epoch() < case.epoch {
            chain.advance().unwrap();
        }
        let key = chain.key().unwrap();
        assert_eq!(key.nonce(0).to_vec(), unhex(&case.data_iv), "{}", case.name);
        let expected = AeadKey::new(cipher, &unhex(&case.data_key)).unwrap();
        let (mut ours, mut theirs) = ([7u8; 40], [7u8; 40]);
        let tags =
            (key.aead.seal([1; 12], b"", &mut ours), expected.seal([1; 12], b"", &mut theirs));
        assert_eq!((tags.0, ours), (tags.1, theirs), "{}", case.name);
    }
}

#[test]
#[allow(clippy::cast_sign_loss)]
fn replay_windows_accept_the_same_ids() {
    for case in read::<WindowCase>("replay/window.json") {
        let mut window = ReplayWindow::new(case.window, case.time);
        for step in case.steps {
            let now = (step.at * 1000.0) as u64;
            let accepted = window.check(step.id, now).is_ok();
            assert_eq!(accepted, step.accept, "{}: id {} at {}", case.name, step.id, step.at);
            if accepted {
                window.mark(step.id, now);
            }
        }
    }
}

#[derive(Deserialize)]
struct CompressedFile {
    cases: Vec<CompressedCase>,
    malformed: Vec<CompressedCase>,
}

#[derive(Deserialize)]
struct CompressedCase {
    name: String,
    algorithm: String,
    compressed: String,
    #[serde(default)]
    plain_length: usize,
    #[serde(default)]
    sha256: String,
}

impl CompressedCase {
    fn decompress(&self, room: usize) -> Option<Vec<u8>> {
        let input = unhex(&self.compressed);
        let mut output = vec![0; room];
        let length = match self.algorithm.as_str() {
            "lzo" => ginnel_datapath::payload::lzo::decompress(&input, &mut output).ok()?,
            "lz4" => lz4_flex::block::decompress_into(&input, &mut output).ok()?,
            other => panic!("{other}"),
        };
        output.truncate(length);
        Some(output)
    }
}

#[test]
fn compressed_payloads_come_out_whole_and_bounded() {
    let text = fs::read_to_string(folder().join("compressed.json")).unwrap();
    let file: CompressedFile = serde_json::from_str(&text).unwrap();
    for case in &file.cases {
        let plain = case.decompress(case.plain_length).unwrap_or_default();
        let digest = ring::digest::digest(&ring::digest::SHA256, &plain);
        assert_eq!(digest.as_ref(), unhex(&case.sha256), "{} {}", case.algorithm, case.name);
        assert_eq!(case.decompress(case.plain_length - 1), None, "{}", case.name);
    }
    for case in &file.malformed {
        assert_eq!(case.decompress(1628), None, "{} {}", case.algorithm, case.name);
    }
}
