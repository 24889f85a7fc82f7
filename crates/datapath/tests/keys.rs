//! What a key refuses: replays, exhaustion, forged packets, epochs out of reach.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use ginnel_datapath::cipher::{AeadKey, Cipher};
use ginnel_datapath::epoch::{FUTURE_EPOCHS, LAST_EPOCH, RENEGOTIATE_EPOCH};
use ginnel_datapath::key::{Direction, Key, KeySpec, Limits, OpenError, SealError};
use ginnel_datapath::replay::ReplayWindow;
use ginnel_datapath::suite::Suite;
use ginnel_datapath::wire::{self, DataFormat, DataHeader, Kind};
use zeroize::Zeroizing;

fn direction(seed: u8, cipher: Cipher, format: DataFormat) -> Direction {
    let (key, iv) = if format == DataFormat::Epoch { (32, 0) } else { (cipher.key_len(), 8) };
    Direction {
        cipher_key: Zeroizing::new(vec![seed; key]),
        implicit_iv: Zeroizing::new(vec![seed ^ 0xFF; iv]),
        ..Direction::default()
    }
}

fn spec(cipher: Cipher, format: DataFormat, limits: Limits, swap: bool) -> KeySpec {
    let (one, two) = (direction(1, cipher, format), direction(2, cipher, format));
    let (send, receive) = if swap { (two, one) } else { (one, two) };
    let (key_id, replay_window, replay_time, packet_time) = (5, 64, 15, 0);
    let suite = cipher.into();
    KeySpec {
        key_id,
        suite,
        format,
        send,
        receive,
        replay_window,
        replay_time,
        packet_time,
        limits,
    }
}

fn pair_with(cipher: Cipher, format: DataFormat, limits: Limits) -> (Key, Key) {
    let key = |swap| Key::new(&spec(cipher, format, limits, swap)).unwrap();
    (key(false), key(true))
}

fn pair(format: DataFormat) -> (Key, Key) {
    pair_with(Cipher::Aes256Gcm, format, Limits::default())
}

fn seal(key: &mut Key, payload: &[u8]) -> Result<Vec<u8>, SealError> {
    let layout = key.layout();
    let mut packet = vec![0; layout.prefix];
    packet.extend_from_slice(payload);
    packet.resize(layout.sealed_len(payload.len()), 0);
    key.seal(0x0A_0B0C, &mut packet, payload.len())?;
    Ok(packet)
}

fn open(key: &mut Key, packet: &[u8]) -> Result<Vec<u8>, OpenError> {
    let Some(Kind::Data(header)) = wire::classify(packet) else { panic!("not data") };
    assert_eq!(header.key_id, key.key_id());
    let mut packet = packet.to_vec();
    let range = key.open(header, &mut packet, 0)?;
    Ok(packet[range].to_vec())
}

const CIPHERS: [Cipher; 4] =
    [Cipher::Aes128Gcm, Cipher::Aes192Gcm, Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
const FORMATS: [DataFormat; 3] = [DataFormat::V1, DataFormat::V2, DataFormat::Epoch];

#[test]
fn each_cipher_and_format_opens_once_what_it_sealed() {
    for cipher in CIPHERS {
        for format in FORMATS {
            let (mut one, mut other) = pair_with(cipher, format, Limits::default());
            for length in [1, 15, 16, 17, 1400, 9000] {
                let payload = vec![0xA5; length];
                let packet = seal(&mut one, &payload).unwrap();
                assert_eq!(open(&mut other, &packet), Ok(payload));
                assert_eq!(open(&mut other, &packet), Err(OpenError::Replayed));
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_and_moves_nothing() {
    for format in FORMATS {
        let (mut one, mut other) = pair(format);
        let packet = seal(&mut one, b"payload").unwrap();
        for bit in 3..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let Some(Kind::Data(header)) = wire::classify(&forged) else { continue };
            assert!(other.open(header, &mut forged, 0).is_err(), "{format:?} bit {bit}");
        }
        assert_eq!(open(&mut other, &packet), Ok(b"payload".to_vec()), "{format:?}");
    }
}

#[test]
fn wrong_material_is_refused() {
    for format in FORMATS {
        for (key, iv) in [(31, 8), (33, 8), (32, 7), (32, 9), (32, 12), (0, 0)] {
            let mut bad = spec(Cipher::Aes256Gcm, format, Limits::default(), false);
            bad.send = Direction {
                cipher_key: Zeroizing::new(vec![0; key]),
                implicit_iv: Zeroizing::new(vec![0; iv]),
                ..Direction::default()
            };
            let accepted = Key::new(&bad).is_ok();
            assert_eq!(accepted, format == DataFormat::Epoch && key == 32, "{format:?} {key} {iv}");
        }
    }
    assert!(AeadKey::new(Cipher::Aes192Gcm, &[0; 16]).is_err());
}

#[test]
fn packet_ids_end_for_good_and_ask_once_before() {
    let (mut one, mut other) = pair(DataFormat::V2);
    assert!(one.position(0, 0xFEFF_FFFF));
    let packet = seal(&mut one, b"x").unwrap();
    assert!(open(&mut other, &packet).is_ok());
    assert!(!one.take_nears_limit());
    seal(&mut one, b"x").unwrap();
    assert!(one.take_nears_limit());
    assert!(!one.take_nears_limit());
    assert!(one.position(0, 0xFFFF_FFFF));
    let last = seal(&mut one, b"x").unwrap();
    assert_eq!(&last[4..8], &[0xFF; 4]);
    for _ in 0..3 {
        assert_eq!(seal(&mut one, b"x"), Err(SealError::Exhausted));
    }
    assert!(!one.position(0, 5), "never backward");
}

#[test]
fn aead_usage_ends_a_key_for_gcm_only() {
    let limits = Limits { usage: 80, ..Limits::default() };
    for cipher in CIPHERS {
        let (mut one, mut other) = pair_with(cipher, DataFormat::V2, limits);
        let sealed: Vec<_> = (0..20).map_while(|_| seal(&mut one, &[0; 100]).ok()).collect();
        let limited = cipher != Cipher::ChaCha20Poly1305;
        // 1 packet and 7 blocks each.
        assert_eq!(sealed.len(), if limited { 10 } else { 20 });
        assert_eq!(one.take_nears_limit(), limited);
        for packet in &sealed[..8] {
            open(&mut other, packet).unwrap();
            assert!(!other.take_nears_limit());
        }
        open(&mut other, &sealed[8]).unwrap();
        assert_eq!(other.take_nears_limit(), limited);
    }
}

#[test]
fn failed_tags_ask_for_a_key_and_then_close_it() {
    let limits = Limits { failures_trigger: 3, failures: 5, ..Limits::default() };
    let (mut one, mut other) = pair_with(Cipher::ChaCha20Poly1305, DataFormat::V2, limits);
    let good = seal(&mut one, b"good").unwrap();
    let mut forged = seal(&mut one, b"forged").unwrap();
    forged[24] ^= 1;
    for attempt in 1..=5 {
        assert_eq!(open(&mut other, &forged), Err(OpenError::Unauthentic));
        assert_eq!(other.take_nears_limit(), attempt == 3);
    }
    assert_eq!(open(&mut other, &good), Err(OpenError::Exhausted));
}

fn epoch_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[4], packet[5]])
}

#[test]
fn a_used_up_epoch_gives_way_to_the_next_and_the_peer_follows() {
    let limits = Limits { usage: 16, ..Limits::default() };
    let (mut one, mut other) = pair_with(Cipher::Aes256Gcm, DataFormat::Epoch, limits);
    let packets: Vec<_> = (0..6).map(|_| seal(&mut one, &[0; 100]).unwrap()).collect();
    assert_eq!(
        packets.iter().map(|packet| epoch_of(packet)).collect::<Vec<_>>(),
        [1, 1, 2, 2, 3, 3]
    );
    // In order of epochs, but with stragglers of the one before.
    for (index, follows) in [(0, 1), (2, 2), (1, 2), (4, 3), (3, 3), (5, 4)] {
        assert_eq!(open(&mut other, &packets[index]), Ok(vec![0; 100]), "{index}");
        // The sender keeps up, and leaves an epoch whose receiving side is used up.
        assert_eq!(epoch_of(&seal(&mut other, b"x").unwrap()), follows, "{index}");
    }
    for packet in &packets[2..] {
        assert_eq!(open(&mut other, packet), Err(OpenError::Replayed));
    }
    assert_eq!(open(&mut other, &packets[0]), Err(OpenError::NoKey), "epoch 1 is gone");
    assert!(!one.take_nears_limit() && !other.take_nears_limit());
}

#[test]
fn the_sender_moves_on_when_its_peer_has_used_the_epoch_up() {
    let limits = Limits { usage: 16, ..Limits::default() };
    let (mut one, mut other) = pair_with(Cipher::Aes256Gcm, DataFormat::Epoch, limits);
    for _ in 0..2 {
        let packet = seal(&mut one, &[0; 100]).unwrap();
        open(&mut other, &packet).unwrap();
    }
    assert_eq!(epoch_of(&seal(&mut other, b"x").unwrap()), 2);
}

#[test]
fn counters_of_an_epoch_end_in_the_next_epoch() {
    let (mut one, _) = pair(DataFormat::Epoch);
    assert!(one.position(1, (1 << 48) - 1));
    let last = seal(&mut one, b"x").unwrap();
    assert_eq!(&last[4..12], &[0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
    let next = seal(&mut one, b"x").unwrap();
    assert_eq!(&next[4..12], &[0, 2, 0, 0, 0, 0, 0, 1]);
}

#[test]
fn epochs_are_taken_up_at_most_sixteen_ahead() {
    for (epoch, reachable) in [(1 + FUTURE_EPOCHS, true), (2 + FUTURE_EPOCHS, false)] {
        let (mut one, mut other) = pair(DataFormat::Epoch);
        assert!(one.position(epoch, 1));
        let packet = seal(&mut one, b"x").unwrap();
        let expected = if reachable { Ok(b"x".to_vec()) } else { Err(OpenError::NoKey) };
        assert_eq!(open(&mut other, &packet), expected);
    }
}

#[test]
fn the_last_epoch_is_the_end() {
    let limits = Limits { usage: 16, ..Limits::default() };
    let (mut one, _) = pair_with(Cipher::Aes256Gcm, DataFormat::Epoch, limits);
    assert!(one.position(RENEGOTIATE_EPOCH - 1, 1));
    seal(&mut one, &[0; 100]).unwrap();
    assert!(!one.take_nears_limit());
    assert!(one.position(LAST_EPOCH, 1));
    seal(&mut one, &[0; 100]).unwrap();
    assert!(one.take_nears_limit());
    seal(&mut one, &[0; 100]).unwrap();
    for _ in 0..3 {
        assert_eq!(seal(&mut one, &[0; 100]), Err(SealError::Exhausted));
    }
    assert!(!one.position(LAST_EPOCH + 1, 1));
}

#[test]
fn classic_packets_do_not_open_under_an_epoch_key() {
    let (_, mut other) = pair(DataFormat::Epoch);
    let (mut classic, _) = pair(DataFormat::V1);
    let packet = seal(&mut classic, &[0; 100]).unwrap();
    assert_eq!(open(&mut other, &packet), Err(OpenError::Malformed));
}

#[test]
fn without_a_window_the_first_id_may_be_any_and_the_rest_follow_one_by_one() {
    // The packets before it may have been lost; from then on nothing may be.
    let mut window = ReplayWindow::new(0, 15);
    assert!(window.check(0, 0).is_err());
    assert!(window.check(9, 0).is_ok());
    window.mark(9, 0);
    for (id, accepted) in [(9, false), (8, false), (11, false), (10, true)] {
        assert_eq!(window.check(id, 0).is_ok(), accepted, "{id}");
    }
}

#[test]
fn a_backtrack_time_without_end_never_closes_the_window() {
    let mut window = ReplayWindow::new(64, u64::MAX);
    window.mark(3, 7);
    assert!(window.check(2, u64::MAX / 2).is_ok());
}

fn old(format: DataFormat, limits: Limits) -> Key {
    let half = || Direction {
        cipher_key: Zeroizing::new(vec![7; 32]),
        hmac_key: Zeroizing::new(vec![9; 20]),
        ..Direction::default()
    };
    Key::new(&KeySpec {
        key_id: 0,
        suite: Suite::by_name("AES-256-CBC", "SHA1").unwrap(),
        format,
        send: half(),
        receive: half(),
        replay_window: 64,
        replay_time: 15,
        packet_time: 1_700_000_000,
        limits,
    })
    .unwrap()
}

const FEW: Limits = Limits {
    usage: u64::MAX,
    packet_ids: 3,
    counters: u64::MAX,
    packet_id_trigger: 2,
    failures_trigger: u64::MAX,
    failures: u64::MAX,
};

#[test]
fn short_ids_of_old_ciphers_warn_and_then_end() {
    let mut key = old(DataFormat::V2, FEW);
    seal(&mut key, b"one").unwrap();
    assert!(!key.take_nears_limit());
    seal(&mut key, b"two").unwrap();
    assert!(key.take_nears_limit());
    assert!(!key.take_nears_limit());
    seal(&mut key, b"three").unwrap();
    assert_eq!(seal(&mut key, b"four"), Err(SealError::Exhausted));
}

#[test]
fn a_static_key_goes_on_with_a_later_time() {
    let (mut key, mut other) = (old(DataFormat::Static, FEW), old(DataFormat::Static, FEW));
    let header = DataHeader { key_id: 0, peer_id: None };
    for _ in 0..7 {
        let mut packet = seal(&mut key, b"payload").unwrap();
        let again = packet.clone();
        let range = other.open(header, &mut packet, 0).unwrap();
        assert_eq!(&packet[range], b"payload");
        assert_eq!(other.open(header, &mut again.clone(), 0), Err(OpenError::Replayed));
    }
    assert!(!key.take_nears_limit());
}

#[test]
fn a_packet_is_as_long_as_the_layout_says_or_is_not_sealed() {
    let mut key = old(DataFormat::V1, Limits::default());
    let layout = key.layout();
    for length in 0..80 {
        let sealed = layout.sealed_len(length);
        assert_eq!((sealed - 1 - 20 - 16) % 16, 0);
        key.seal(1, &mut vec![0; sealed], length).unwrap();
        assert_eq!(key.seal(1, &mut vec![0; sealed + 1], length), Err(SealError::NoRoom));
        assert_eq!(key.seal(1, &mut vec![0; sealed - 1], length), Err(SealError::NoRoom));
    }
}
