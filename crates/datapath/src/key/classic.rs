//! Keys of the 32-bit formats: one cipher key a direction, a packet-id that counts up.

use std::ops::Range;

use zeroize::Zeroizing;

use super::track::{Rules, Track, usage_of};
use super::{KeySpec, OpenError, SealError};
use crate::cipher::{AeadKey, BadKey, Cipher, NonceBytes};
use crate::wire::{DATA_V1, DATA_V2, DataFormat, TAG_LEN, first_byte};

/// Both directions. Opens either 32-bit format, whichever it seals in.
pub(super) struct Classic {
    send: Send,
    receive: Receive,
}

struct Send {
    aead: AeadKey,
    tail: Zeroizing<[u8; 8]>,
    last_id: u64,
    usage: u64,
}

struct Receive {
    aead: AeadKey,
    tail: Zeroizing<[u8; 8]>,
    track: Track,
}

impl Classic {
    pub(super) fn new(spec: &KeySpec, cipher: Cipher) -> Result<Self, BadKey> {
        Ok(Self {
            send: Send {
                aead: AeadKey::new(cipher, &spec.send.cipher_key)?,
                tail: nonce_tail(&spec.send.implicit_iv)?,
                last_id: 0,
                usage: 0,
            },
            receive: Receive {
                aead: AeadKey::new(cipher, &spec.receive.cipher_key)?,
                tail: nonce_tail(&spec.receive.implicit_iv)?,
                track: Track::new(spec.replay_window, spec.replay_time),
            },
        })
    }

    pub(super) fn position(&mut self, packet_id: u64) -> bool {
        let is_ahead = packet_id > self.send.last_id;
        if is_ahead {
            self.send.last_id = packet_id - 1;
        }
        is_ahead
    }

    pub(super) fn seal(
        &mut self,
        format: DataFormat,
        (key_id, peer_id): (u8, u32),
        packet: &mut [u8],
        rules: &Rules,
    ) -> Result<(), SealError> {
        let send = &mut self.send;
        let cost = usage_of(packet.len() - format.prefix_len());
        if send.last_id >= rules.limits.packet_ids || rules.is_over(send.usage, cost) {
            return Err(SealError::Exhausted);
        }
        send.last_id += 1;
        send.usage += cost;
        send.seal(format, key_id, peer_id, packet)
    }

    pub(super) fn open(
        &mut self,
        format: DataFormat,
        packet: &mut [u8],
        now_ms: u64,
        rules: &Rules,
    ) -> Result<Range<usize>, OpenError> {
        self.receive.open(format, packet, now_ms, rules)
    }

    pub(super) fn nears_limit(&self, rules: &Rules) -> bool {
        self.send.last_id >= rules.limits.packet_id_trigger
            || rules.is_nearly_used(self.send.usage)
            || self.receive.track.nears_limit(rules)
    }
}

fn nonce_tail(bytes: &[u8]) -> Result<Zeroizing<[u8; 8]>, BadKey> {
    Ok(Zeroizing::new(bytes.try_into().map_err(|_| BadKey)?))
}

fn classic_nonce(id: [u8; 4], tail: &[u8; 8]) -> NonceBytes {
    let mut nonce = [0u8; 12];
    nonce[..4].copy_from_slice(&id);
    nonce[4..].copy_from_slice(tail);
    nonce
}

impl Send {
    fn seal(
        &self,
        format: DataFormat,
        key_id: u8,
        peer_id: u32,
        packet: &mut [u8],
    ) -> Result<(), SealError> {
        let (head, body) = packet.split_at_mut(format.prefix_len());
        let id = (self.last_id as u32).to_be_bytes();
        let (ad_range, tag_at) = if format == DataFormat::V1 {
            head[0] = first_byte(DATA_V1, key_id);
            head[1..5].copy_from_slice(&id);
            (1..5, 5)
        } else {
            head[..4].copy_from_slice(&peer_id.to_be_bytes());
            head[0] = first_byte(DATA_V2, key_id);
            head[4..8].copy_from_slice(&id);
            (0..8, 8)
        };
        let (ad, tag) = head.split_at_mut(tag_at);
        let sealed = self
            .aead
            .seal(classic_nonce(id, &self.tail), &ad[ad_range], body)
            .ok_or(SealError::NoRoom)?;
        tag.copy_from_slice(&sealed);
        Ok(())
    }
}

impl Receive {
    fn open(
        &mut self,
        format: DataFormat,
        packet: &mut [u8],
        now_ms: u64,
        rules: &Rules,
    ) -> Result<Range<usize>, OpenError> {
        let prefix = format.prefix_len();
        if packet.len() <= prefix {
            return Err(OpenError::Malformed);
        }
        let (head, body) = packet.split_at_mut(prefix);
        let (ad, tag) = head.split_at(prefix - TAG_LEN);
        let ad = if format == DataFormat::V1 { &ad[1..] } else { ad };
        let id: [u8; 4] = ad[ad.len() - 4..].try_into().map_err(|_| OpenError::Malformed)?;
        let tag: [u8; TAG_LEN] = tag.try_into().map_err(|_| OpenError::Malformed)?;
        let length = body.len();
        self.track.check(u64::from(u32::from_be_bytes(id)), now_ms, rules)?;
        if self.aead.open(classic_nonce(id, &self.tail), ad, body, tag).is_err() {
            self.track.failures += 1;
            return Err(OpenError::Unauthentic);
        }
        self.track.mark(u64::from(u32::from_be_bytes(id)), now_ms, length);
        Ok(prefix..prefix + length)
    }
}
