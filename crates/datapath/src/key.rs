//! Data keys: sealing with fresh packet-ids, opening with replay protection, and usage limits.
//!
//! A packet-id is never used twice under a key: when the ids or the cipher's limit run out, sealing
//! stops for good. Which key is in which slot is not decided here.

mod classic;
mod epochs;
mod old;
mod track;

use std::ops::Range;

use zeroize::Zeroizing;

use self::classic::Classic;
use self::epochs::Epochs;
use self::old::Old;
use self::track::Rules;
use crate::cipher::BadKey;
use crate::suite::Suite;
use crate::wire::{DataFormat, DataHeader, Layout};

const MAX_COUNTER: u64 = (1 << 48) - 1;

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
#[derive(Default)]
pub struct Direction {
    /// The cipher key, or the first chain secret, or nothing with `cipher none`.
    pub cipher_key: Zeroizing<Vec<u8>>,
    /// The 8-byte nonce tail of AEAD ciphers, or nothing.
    pub implicit_iv: Zeroizing<Vec<u8>>,
    /// The HMAC key of the digest's length, or nothing.
    pub hmac_key: Zeroizing<Vec<u8>>,
}

/// All that a key is made from.
pub struct KeySpec {
    /// Three-bit number of the negotiation.
    pub key_id: u8,
    /// What packets are protected with.
    pub suite: Suite,
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
    /// Unix time in seconds that goes into packet-ids of the long form.
    pub packet_time: u32,
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
    /// The system gave no random bytes for an IV.
    #[error("no random bytes")]
    NoRandom,
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
    format: DataFormat,
    layout: Layout,
    rules: Rules,
    inner: Inner,
    nears_limit: bool,
    reported: bool,
}

enum Inner {
    Classic(Classic),
    Epochs(Box<Epochs>),
    Old(Box<Old>),
}

impl Key {
    /// Expands the material. The specification's own copies are wiped when it is dropped.
    pub fn new(spec: &KeySpec) -> Result<Self, BadKey> {
        let (inner, layout) = match (spec.suite, spec.format) {
            (Suite::Aead(_), DataFormat::Static) => return Err(BadKey),
            (Suite::Aead(cipher), DataFormat::Epoch) => {
                let keys = Epochs::new(spec, cipher)?;
                (Inner::Epochs(Box::new(keys)), Layout::of_aead(spec.format))
            }
            (Suite::Aead(cipher), format) => {
                (Inner::Classic(Classic::new(spec, cipher)?), Layout::of_aead(format))
            }
            (Suite::Old(suite), format) => {
                let keys = Old::new(spec, suite)?;
                let layout = keys.layout(format);
                (Inner::Old(Box::new(keys)), layout)
            }
        };
        let counts_blocks = spec.suite.is_block_limited();
        Ok(Self {
            key_id: spec.key_id & 0x07,
            format: spec.format,
            layout,
            rules: Rules { limits: spec.limits, counts_blocks },
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

    /// Where a plaintext lies in the packets we seal.
    pub const fn layout(&self) -> Layout {
        self.layout
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
            Inner::Classic(keys) => keys.position(packet_id),
            Inner::Epochs(keys) => keys.position(epoch, packet_id),
            Inner::Old(keys) => keys.position(packet_id),
        }
    }

    /// Makes the next random IV a known one; for vectors.
    pub fn preset_iv(&mut self, iv: &[u8]) {
        if let Inner::Old(keys) = &mut self.inner {
            keys.preset_iv(iv);
        }
    }

    /// Seals `length` bytes of plaintext in place.
    ///
    /// `packet` has the layout's `sealed_len(length)` bytes, the plaintext behind its prefix.
    pub fn seal(
        &mut self,
        peer_id: u32,
        packet: &mut [u8],
        length: usize,
    ) -> Result<(), SealError> {
        if packet.len() != self.layout.sealed_len(length) {
            return Err(SealError::NoRoom);
        }
        let names = (self.key_id, peer_id);
        let result = match &mut self.inner {
            Inner::Classic(keys) => keys.seal(self.format, names, packet, &self.rules),
            Inner::Epochs(keys) => keys.seal(names, packet, &self.rules),
            Inner::Old(keys) => keys.seal(self.format, names, packet, length, &self.rules.limits),
        };
        self.nears_limit |= result == Err(SealError::Exhausted);
        self.look_at_limits();
        result
    }

    /// Opens in place and returns where the plaintext is. The window moves only when the tag fits.
    pub fn open(
        &mut self,
        header: DataHeader,
        packet: &mut [u8],
        now_ms: u64,
    ) -> Result<Range<usize>, OpenError> {
        let format = if header.peer_id.is_some() { DataFormat::V2 } else { DataFormat::V1 };
        let result = match &mut self.inner {
            Inner::Classic(keys) => keys.open(format, packet, now_ms, &self.rules),
            Inner::Epochs(_) if format == DataFormat::V1 => Err(OpenError::Malformed),
            Inner::Epochs(keys) => keys.open(packet, now_ms, &self.rules),
            Inner::Old(keys) => {
                let is_static = self.format == DataFormat::Static;
                let format = if is_static { DataFormat::Static } else { format };
                keys.open(format, packet, now_ms)
            }
        };
        self.look_at_limits();
        result
    }

    fn look_at_limits(&mut self) {
        self.nears_limit |= match &self.inner {
            Inner::Classic(keys) => keys.nears_limit(&self.rules),
            Inner::Epochs(keys) => keys.nears_limit(),
            Inner::Old(keys) => keys.nears_limit(self.format, &self.rules.limits),
        };
    }
}
