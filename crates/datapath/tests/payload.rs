//! Hostile payloads against everything that is done beside sealing them: no panic, no growth.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::net::Ipv4Addr;

use ginnel_datapath::payload::fragment::MAX_UNFINISHED;
use ginnel_datapath::payload::framing::Framing;
use ginnel_datapath::payload::nat::{Direction, NatRule};
use ginnel_datapath::payload::{Payload, PayloadSpec, Unwrapped};

const LIMIT: usize = 1628;
const MARKS: [u8; 6] = [0x66, 0x69, 0xFA, 0xFB, 0x50, 0x45];

/// A small generator, so that a failure can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % below
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next(most + 1);
        (0..length).map(|_| if self.next(3) == 0 { 0 } else { self.next(256) as u8 }).collect()
    }
}

fn rule() -> NatRule {
    NatRule {
        is_source: true,
        network: Ipv4Addr::new(10, 0, 0, 0),
        netmask: Ipv4Addr::new(255, 0, 0, 0),
        alias: Ipv4Addr::new(11, 0, 0, 0),
    }
}

fn payload(framing: Option<Framing>, fragment: usize, is_ethernet: bool) -> Payload {
    let spec = PayloadSpec {
        framing,
        decompress: true,
        fragment,
        nat: vec![rule()],
        pass_tos: true,
        ..PayloadSpec::default()
    };
    Payload::new(spec, LIMIT, is_ethernet)
}

#[test]
fn any_bytes_come_out_bounded_or_not_at_all() {
    let mut random = Random(0x5EED);
    for framing in [None, Some(Framing::Prefix), Some(Framing::Swap), Some(Framing::V2)] {
        for fragment in [0, 100, 1200] {
            for is_ethernet in [false, true] {
                let mut payload = payload(framing, fragment, is_ethernet);
                for round in 0..4000 {
                    let mut bytes = random.bytes(2000);
                    let mark_at = if fragment > 0 { 4 } else { 0 };
                    if let Some(byte) = bytes.get_mut(mark_at) {
                        *byte = MARKS[random.next(MARKS.len())];
                    }
                    if round % 2 == 0 && fragment > 0 && bytes.len() >= 4 {
                        bytes[..3].fill(0);
                        bytes[3] &= 0x0F;
                    }
                    let sent = bytes.len();
                    match payload.unwrap(&mut bytes, round) {
                        Ok(Unwrapped::Here(range)) => {
                            assert!(range.end <= sent);
                            payload.translate(&mut bytes[range], Direction::In);
                        }
                        Ok(Unwrapped::Apart(mut apart, range)) => {
                            assert!(range.len() <= LIMIT + 2);
                            payload.translate(&mut apart[range], Direction::In);
                        }
                        Ok(Unwrapped::Unfinished) | Err(_) => {}
                    }
                    let _ = payload.tos_of(&bytes);
                    let _ = payload.refuse(&bytes);
                    assert!(payload.unfinished() <= MAX_UNFINISHED);
                }
            }
        }
    }
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    let mut payload = payload(Some(Framing::V2), 0, false);
    let lz4 = [&[0x50, 0x01, 0x1F, b'a', 1, 0][..], &[0xFF; 1400], &[0]].concat();
    let lzo = [&[0x50, 0x02, 0x12, b'a', 0x20][..], &[0; 1400], &[0xFF, 0, 0, 0x11, 0, 0]].concat();
    for bomb in [lz4, lzo] {
        assert!(payload.unwrap(&mut bomb.clone(), 0).is_err());
    }
}
