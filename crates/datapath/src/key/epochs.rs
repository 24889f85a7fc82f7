//! Keys of the epoch format: a chain of cipher keys a direction (protocol-facts 9).
//!
//! The receiver keeps the current epoch, the one before it and some to come; a packet of a later
//! epoch moves it there, and lifts the sender at least as far.

use std::collections::VecDeque;
use std::ops::Range;

use super::track::{Rules, Track, usage_of};
use super::{KeySpec, MAX_COUNTER, OpenError, SealError};
use crate::cipher::{BadKey, Cipher};
use crate::epoch::{Chain, EpochKey, FUTURE_EPOCHS, LAST_EPOCH, RENEGOTIATE_EPOCH};
use crate::wire::{DATA_V2, DataFormat, TAG_LEN, first_byte};

const COUNTER_MASK: u64 = MAX_COUNTER;

/// Both directions.
pub(super) struct Epochs {
    send: Send,
    receive: Receive,
}

struct Send {
    chain: Chain,
    key: EpochKey,
    counter: u64,
    usage: u64,
}

struct Receive {
    /// Stands right behind the last future key.
    chain: Chain,
    current: (EpochKey, Track),
    future: VecDeque<EpochKey>,
    retiring: Option<(EpochKey, Track)>,
    replay_window: usize,
    replay_time: u64,
}

impl Epochs {
    pub(super) fn new(spec: &KeySpec, cipher: Cipher) -> Result<Self, BadKey> {
        let send = Send::new(cipher, &spec.send.cipher_key)?;
        Ok(Self { send, receive: Receive::new(spec, cipher)? })
    }

    pub(super) fn position(&mut self, epoch: u16, packet_id: u64) -> bool {
        let send = &mut self.send;
        while send.key.epoch < epoch {
            if send.advance().is_err() {
                return false;
            }
        }
        let is_ahead = send.key.epoch == epoch && packet_id > send.counter;
        if is_ahead {
            send.counter = packet_id - 1;
        }
        is_ahead
    }

    pub(super) fn seal(
        &mut self,
        (key_id, peer_id): (u8, u32),
        packet: &mut [u8],
        rules: &Rules,
    ) -> Result<(), SealError> {
        let send = &mut self.send;
        let overhead = DataFormat::Epoch.prefix_len() + DataFormat::Epoch.suffix_len();
        let cost = usage_of(packet.len() - overhead);
        if send.is_worn(cost, rules) || self.receive.wants_next(send.key.epoch, rules) {
            // Fails in the last epoch only, which is used to its end.
            let _ = send.advance();
        }
        if send.is_worn(cost, rules) {
            return Err(SealError::Exhausted);
        }
        send.counter += 1;
        send.usage += cost;
        send.seal(first_byte(DATA_V2, key_id), peer_id, packet)
    }

    pub(super) fn open(
        &mut self,
        packet: &mut [u8],
        now_ms: u64,
        rules: &Rules,
    ) -> Result<Range<usize>, OpenError> {
        let (range, epoch) = self.receive.open(packet, now_ms, rules)?;
        while self.send.key.epoch < epoch {
            if self.send.advance().is_err() {
                break;
            }
        }
        Ok(range)
    }

    pub(super) const fn nears_limit(&self) -> bool {
        self.send.key.epoch >= RENEGOTIATE_EPOCH
    }
}

impl Send {
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

    /// True when this epoch cannot seal another packet of that cost.
    const fn is_worn(&self, cost: u64, rules: &Rules) -> bool {
        self.counter >= rules.limits.counters || rules.is_over(self.usage, cost)
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

impl Receive {
    fn new(spec: &KeySpec, cipher: Cipher) -> Result<Self, BadKey> {
        let mut chain = Chain::new(cipher, &spec.receive.cipher_key)?;
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
    fn wants_next(&self, send_epoch: u16, rules: &Rules) -> bool {
        let (key, track) = &self.current;
        key.epoch == send_epoch && track.is_worn(rules)
    }

    fn open(
        &mut self,
        packet: &mut [u8],
        now_ms: u64,
        rules: &Rules,
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
            track.check(counter, now_ms, rules)?;
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
