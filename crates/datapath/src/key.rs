//! Data keys: sealing with fresh packet-ids, opening with replay protection, and usage limits.
//!
//! A packet-id is never used twice under a key: when the ids or the cipher's limit run out, sealing
//! stops for good. Which key is in which slot is not decided here.

use std::ops::Range;

use crate::cipher::{AeadKey, BadKey, Cipher, NonceBytes};
use crate::epoch::{Chain, EpochKey, FUTURE_EPOCHS, LAST_EPOCH, RENEGOTIATE_EPOCH};
use crate::replay::ReplayWindow;
use crate::wire::{DATA_V1, DATA_V2, DataFormat, DataHeader, TAG_LEN, first_byte};
use std::collections::VecDeque;
use zeroize::Zeroizing;

const MAX_COUNTER: u64 = (1 << 48) - 1;
const COUNTER_MASK: u64 = MAX_COUNTER;

/// Where a key stops, and where it asks to be replaced (protocol-facts 10).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Packets plus 16-byte blocks under one AES-GCM key.
    pub usage: u64,
    /// Highest packet-id of the 32-bit formats.
    pub packet_ids: u64,
    /// Highest counter of one epoch.
    pub counters: u64,
    /// Packet-id from which a renegotiation is asked for.
    pub packet_id_trigger: u64,
    /// Failed tag checks of one key from which a renegotiation is asked for.
    pub failures_trigger: u64,
    /// Failed tag checks of one key from which it opens nothing any more.
    pub failures: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            usage: (1 << 36) - 1,
            packet_ids: u64::from(u32::MAX),
            counters: MAX_COUNTER,
            packet_id_trigger: 0xFF00_0000,
            failures_trigger: 1 << 35,
            failures: 1 << 36,
        }
    }
}

/// Material of one direction; for `Epoch` the cipher key is E1 and the implicit IV is empty.
pub struct Direction {
    /// The cipher key, or the first chain secret.
    pub cipher_key: Zeroizing<Vec<u8>>,
    /// The 8-byte nonce tail, or nothing.
    pub implicit_iv: Zeroizing<Vec<u8>>,
}

/// All that a key is made from.
pub struct KeySpec {
    /// Three-bit number of the negotiation.
    pub key_id: u8,
    /// The negotiated cipher.
    pub cipher: Cipher,
    /// The negotiated packet format.
    pub format: DataFormat,
    /// What we seal with.
    pub send: Direction,
    /// What we open with.
    pub receive: Direction,
    /// Size of the replay window.
    pub replay_window: usize,
    /// Backtrack time of the replay window in seconds.
    pub replay_time: u64,
    /// Limits; the default is the protocol's.
    pub limits: Limits,
}

/// Why a packet was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The key has no packet-id or usage left.
    #[error("key is exhausted")]
    Exhausted,
    /// The buffer has no room for header and tag.
    #[error("no room for header and tag")]
    NoRoom,
}

/// Why a packet was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short, or of a format this key does not use.
    #[error("malformed packet")]
    Malformed,
    /// Seen before or too old.
    #[error("replayed packet")]
    Replayed,
    /// The tag does not fit.
    #[error("packet does not authenticate")]
    Unauthentic,
    /// No key for the packet's epoch.
    #[error("no key for this epoch")]
    NoKey,
    /// Too many packets failed to authenticate under this key.
    #[error("key is exhausted")]
    Exhausted,
}

/// One negotiated key: both directions, with packet-ids, replay window and limits.
pub struct Key {
    key_id: u8,
    cipher: Cipher,
    format: DataFormat,
    limits: Limits,
    inner: Inner,
    nears_limit: bool,
    reported: bool,
}

enum Inner {
    Classic { send: ClassicSend, receive: ClassicReceive },
    Epoch { send: EpochSend, receive: Box<EpochReceive> },
}

struct ClassicSend {
    aead: AeadKey,
    tail: Zeroizing<[u8; 8]>,
    last_id: u64,
    usage: u64,
}

struct ClassicReceive {
    aead: AeadKey,
    tail: Zeroizing<[u8; 8]>,
    track: Track,
}

/// What a receiver keeps for one cipher key.
struct Track {
    window: ReplayWindow,
    usage: u64,
    failures: u64,
}

struct EpochSend {
    chain: Chain,
    key: EpochKey,
    counter: u64,
    usage: u64,
}

struct EpochReceive {
    /// Stands right behind the last future key.
    chain: Chain,
    current: (EpochKey, Track),
    future: VecDeque<EpochKey>,
    retiring: Option<(EpochKey, Track)>,
    replay_window: usize,
    replay_time: u64,
}

impl Key {
    /// Expands the material. The specification's own copies are wiped when it is dropped.
    pub fn new(spec: &KeySpec) -> Result<Self, BadKey> {
        let inner = match spec.format {
            DataFormat::V1 | DataFormat::V2 => Inner::Classic {
                send: ClassicSend {
                    aead: AeadKey::new(spec.cipher, &spec.send.cipher_key)?,
                    tail: nonce_tail(&spec.send.implicit_iv)?,
                    last_id: 0,
                    usage: 0,
                },
                receive: ClassicReceive {
                    aead: AeadKey::new(spec.cipher, &spec.receive.cipher_key)?,
                    tail: nonce_tail(&spec.receive.implicit_iv)?,
                    track: Track::new(spec.replay_window, spec.replay_time),
                },
            },
            DataFormat::Epoch => Inner::Epoch {
                send: EpochSend::new(spec.cipher, &spec.send.cipher_key)?,
                receive: Box::new(EpochReceive::new(spec)?),
            },
        };
        Ok(Self {
            key_id: spec.key_id & 0x07,
            cipher: spec.cipher,
            format: spec.format,
            limits: spec.limits,
            inner,
            nears_limit: false,
            reported: false,
        })
    }

    /// The three-bit number of the negotiation.
    pub const fn key_id(&self) -> u8 {
        self.key_id
    }

    /// The format we seal in.
    pub const fn format(&self) -> DataFormat {
        self.format
    }

    /// True once: when the key came near a limit and a renegotiation should start.
    pub fn take_nears_limit(&mut self) -> bool {
        let report = self.nears_limit && !self.reported;
        self.reported |= report;
        report
    }

    /// Moves a fresh key's sender so that the next packet has this epoch and packet-id.
    ///
    /// Only forward: false when that id, or a later one, may have been used. For vectors and tests
    /// of what happens near the limits.
    pub fn position(&mut self, epoch: u16, packet_id: u64) -> bool {
        match &mut self.inner {
            Inner::Classic { send, .. } => {
                if packet_id <= send.last_id {
                    return false;
                }
                send.last_id = packet_id - 1;
                true
            }
            Inner::Epoch { send, .. } => {
                while send.key.epoch < epoch {
                    if send.advance().is_err() {
                        return false;
                    }
                }
                if send.key.epoch != epoch || packet_id <= send.counter {
                    return false;
                }
                send.counter = packet_id - 1;
                true
            }
        }
    }

    /// Seals in place. `packet` is prefix, plaintext and suffix of the key's format, in one piece.
    pub fn seal(&mut self, peer_id: u32, packet: &mut [u8]) -> Result<(), SealError> {
        let limited = self.cipher.is_block_limited();
        let prefix = self.format.prefix_len();
        let suffix = self.format.suffix_len();
        let length = packet.len().checked_sub(prefix + suffix).ok_or(SealError::NoRoom)?;
        let cost = usage_of(length);
        match &mut self.inner {
            Inner::Classic { send, .. } => {
                if send.last_id >= self.limits.packet_ids
                    || (limited && send.usage + cost > self.limits.usage)
                {
                    self.nears_limit = true;
                    return Err(SealError::Exhausted);
                }
                send.last_id += 1;
                send.usage += cost;
                self.nears_limit |= send.last_id >= self.limits.packet_id_trigger
                    || (limited && send.usage >= warn_at(self.limits.usage));
                seal_classic(send, self.format, self.key_id, peer_id, packet)
            }
            Inner::Epoch { send, receive } => {
                let received = receive.wants_next(send.key.epoch, limited, &self.limits);
                if send.counter >= self.limits.counters
                    || (limited && send.usage + cost > self.limits.usage)
                    || received
                {
                    self.nears_limit |= send.advance().is_err();
                }
                if send.counter >= self.limits.counters
                    || (limited && send.usage + cost > self.limits.usage)
                {
                    self.nears_limit = true;
                    return Err(SealError::Exhausted);
                }
                self.nears_limit |= send.key.epoch >= RENEGOTIATE_EPOCH;
                send.counter += 1;
                send.usage += cost;
                send.seal(first_byte(DATA_V2, self.key_id), peer_id, packet)
            }
        }
    }

    /// Opens in place and returns where the plaintext is. The window moves only when the tag fits.
    pub fn open(
        &mut self,
        header: DataHeader,
        packet: &mut [u8],
        now_ms: u64,
    ) -> Result<Range<usize>, OpenError> {
        let limited = self.cipher.is_block_limited();
        match &mut self.inner {
            Inner::Classic { receive, .. } => {
                let format = if header.peer_id.is_some() { DataFormat::V2 } else { DataFormat::V1 };
                let result = receive.open(format, packet, now_ms, &self.limits);
                self.nears_limit |= receive.track.nears_limit(limited, &self.limits);
                result
            }
            Inner::Epoch { send, receive } => {
                if header.peer_id.is_none() {
                    return Err(OpenError::Malformed);
                }
                let (range, epoch) = receive.open(packet, now_ms, &self.limits)?;
                while send.key.epoch < epoch {
                    if send.advance().is_err() {
                        break;
                    }
                }
                self.nears_limit |= send.key.epoch >= RENEGOTIATE_EPOCH;
                Ok(range)
            }
        }
    }
}

fn nonce_tail(bytes: &[u8]) -> Result<Zeroizing<[u8; 8]>, BadKey> {
    Ok(Zeroizing::new(bytes.try_into().map_err(|_| BadKey)?))
}

/// What one packet costs of a cipher's limit: itself and its blocks.
const fn usage_of(length: usize) -> u64 {
    1 + length.div_ceil(16) as u64
}

/// Seven eighths of a limit.
const fn warn_at(limit: u64) -> u64 {
    limit / 8 * 7
}

fn seal_classic(
    send: &ClassicSend,
    format: DataFormat,
    key_id: u8,
    peer_id: u32,
    packet: &mut [u8],
) -> Result<(), SealError> {
    let (head, body) = packet.split_at_mut(format.prefix_len());
    let id = (send.last_id as u32).to_be_bytes();
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
    let sealed = send
        .aead
        .seal(classic_nonce(id, &send.tail), &ad[ad_range], body)
        .ok_or(SealError::NoRoom)?;
    tag.copy_from_slice(&sealed);
    Ok(())
}

fn classic_nonce(id: [u8; 4], tail: &[u8; 8]) -> NonceBytes {
    let mut nonce = [0u8; 12];
    nonce[..4].copy_from_slice(&id);
    nonce[4..].copy_from_slice(tail);
    nonce
}

impl ClassicReceive {
    fn open(
        &mut self,
        format: DataFormat,
        packet: &mut [u8],
        now_ms: u64,
        limits: &Limits,
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
        self.track.check(u64::from(u32::from_be_bytes(id)), now_ms, limits)?;
        if self.aead.open(classic_nonce(id, &self.tail), ad, body, tag).is_err() {
            self.track.failures += 1;
            return Err(OpenError::Unauthentic);
        }
        self.track.mark(u64::from(u32::from_be_bytes(id)), now_ms, length);
        Ok(prefix..prefix + length)
    }
}

impl Track {
    fn new(replay_window: usize, replay_time: u64) -> Self {
        Self { window: ReplayWindow::new(replay_window, replay_time), usage: 0, failures: 0 }
    }

    fn check(&mut self, id: u64, now_ms: u64, limits: &Limits) -> Result<(), OpenError> {
        if self.failures >= limits.failures {
            return Err(OpenError::Exhausted);
        }
        self.window.check(id, now_ms).map_err(|_| OpenError::Replayed)
    }

    fn mark(&mut self, id: u64, now_ms: u64, length: usize) {
        self.window.mark(id, now_ms);
        self.usage += usage_of(length);
    }

    fn nears_limit(&self, limited: bool, limits: &Limits) -> bool {
        self.failures >= limits.failures_trigger || (limited && self.usage >= warn_at(limits.usage))
    }
}

impl EpochSend {
    fn new(cipher: Cipher, first: &[u8]) -> Result<Self, BadKey> {
        let chain = Chain::new(cipher, first)?;
        let key = chain.key()?;
        Ok(Self { chain, key, counter: 0, usage: 0 })
    }

    /// Moves to the next epoch, if there is one that receivers still take.
    fn advance(&mut self) -> Result<(), BadKey> {
        if self.key.epoch >= LAST_EPOCH {
            return Err(BadKey);
        }
        self.chain.advance()?;
        self.key = self.chain.key()?;
        self.counter = 0;
        self.usage = 0;
        Ok(())
    }

    fn seal(&mut self, first: u8, peer_id: u32, packet: &mut [u8]) -> Result<(), SealError> {
        let id = (u64::from(self.key.epoch) << 48) | (self.counter & COUNTER_MASK);
        let (head, rest) = packet.split_at_mut(DataFormat::Epoch.prefix_len());
        head[..4].copy_from_slice(&peer_id.to_be_bytes());
        head[0] = first;
        head[4..12].copy_from_slice(&id.to_be_bytes());
        let (body, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        let sealed = self.key.aead.seal(self.key.nonce(id), head, body).ok_or(SealError::NoRoom)?;
        tag.copy_from_slice(&sealed);
        Ok(())
    }
}

impl EpochReceive {
    fn new(spec: &KeySpec) -> Result<Self, BadKey> {
        let mut chain = Chain::new(spec.cipher, &spec.receive.cipher_key)?;
        let current = (chain.key()?, Track::new(spec.replay_window, spec.replay_time));
        chain.advance()?;
        let mut receive = Self {
            chain,
            current,
            future: VecDeque::with_capacity(usize::from(FUTURE_EPOCHS)),
            retiring: None,
            replay_window: spec.replay_window,
            replay_time: spec.replay_time,
        };
        receive.fill()?;
        Ok(receive)
    }

    /// Derives future keys ahead of need, so that a forged epoch costs no derivation.
    fn fill(&mut self) -> Result<(), BadKey> {
        while self.future.len() < usize::from(FUTURE_EPOCHS) && self.chain.epoch() <= LAST_EPOCH {
            self.future.push_back(self.chain.key()?);
            self.chain.advance()?;
        }
        Ok(())
    }

    /// True when this side's current key is used up, so the sender should move on for both.
    fn wants_next(&self, send_epoch: u16, limited: bool, limits: &Limits) -> bool {
        let (key, track) = &self.current;
        key.epoch == send_epoch
            && (track.failures >= limits.failures_trigger
                || (limited && track.usage >= limits.usage))
    }

    fn open(
        &mut self,
        packet: &mut [u8],
        now_ms: u64,
        limits: &Limits,
    ) -> Result<(Range<usize>, u16), OpenError> {
        let prefix = DataFormat::Epoch.prefix_len();
        if packet.len() <= prefix + TAG_LEN {
            return Err(OpenError::Malformed);
        }
        let (head, rest) = packet.split_at_mut(prefix);
        let id: [u8; 8] = head[4..12].try_into().map_err(|_| OpenError::Malformed)?;
        let id = u64::from_be_bytes(id);
        let (epoch, counter) = ((id >> 48) as u16, id & COUNTER_MASK);
        let length = rest.len() - TAG_LEN;
        let (body, tag) = rest.split_at_mut(length);
        let tag: [u8; TAG_LEN] = (&*tag).try_into().map_err(|_| OpenError::Malformed)?;
        let retiring = self.retiring.as_mut().filter(|(key, _)| key.epoch == epoch);
        let known = if self.current.0.epoch == epoch { Some(&mut self.current) } else { retiring };
        if let Some((key, track)) = known {
            track.check(counter, now_ms, limits)?;
            if key.aead.open(key.nonce(id), head, body, tag).is_err() {
                track.failures += 1;
                return Err(OpenError::Unauthentic);
            }
            track.mark(counter, now_ms, length);
        } else {
            let ahead = epoch.checked_sub(self.current.0.epoch).ok_or(OpenError::NoKey)?;
            let index = usize::from(ahead).checked_sub(1).ok_or(OpenError::NoKey)?;
            let key = self.future.get(index).ok_or(OpenError::NoKey)?;
            if counter == 0 {
                return Err(OpenError::Replayed);
            }
            if key.aead.open(key.nonce(id), head, body, tag).is_err() {
                self.current.1.failures += 1;
                return Err(OpenError::Unauthentic);
            }
            self.take_up(index, counter, now_ms, length)?;
        }
        Ok((prefix..prefix + length, self.current.0.epoch))
    }

    /// Makes a future key current after its first packet authenticated; the old one retires.
    fn take_up(
        &mut self,
        index: usize,
        counter: u64,
        now_ms: u64,
        length: usize,
    ) -> Result<(), OpenError> {
        self.future.drain(..index);
        let key = self.future.pop_front().ok_or(OpenError::NoKey)?;
        let mut track = Track::new(self.replay_window, self.replay_time);
        // With a window of 0 only the next id is taken, and the first packets of an epoch may be
        // lost: the one that opened the epoch is where the count starts.
        track.mark(counter, now_ms, length);
        let old = std::mem::replace(&mut self.current, (key, track));
        self.retiring = Some(old);
        // Fails only after the last epoch, where the future list stays short.
        let _ = self.fill();
        Ok(())
    }
}
