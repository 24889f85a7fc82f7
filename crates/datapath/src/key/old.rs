//! Keys of peers older than AEAD: a cipher and an HMAC, either of which may be missing.
//!
//! `header | HMAC | IV | ciphertext`, where the HMAC covers IV and ciphertext (protocol-facts 9). It
//! is compared before anything is decrypted, so what padding says is known of true packets only.

use std::ops::Range;

use super::{KeySpec, Limits, OpenError, SealError};
use crate::block::BlockKey;
use crate::cipher::BadKey;
use crate::ivs::Ivs;
use crate::mac::MacKey;
use crate::replay::TimedWindow;
use crate::suite::{Mode, Old as Suite};
use crate::wire::{DATA_V1, DATA_V2, DataFormat, Layout, first_byte};

const ID_LEN: usize = 4;
const LONG_ID_LEN: usize = 8;

/// Both directions. Opens either header format, whichever it seals in.
pub(super) struct Old {
    shape: Shape,
    send: Send,
    receive: Receive,
}

/// Where things are behind the header.
#[derive(Clone, Copy)]
struct Shape {
    mac: usize,
    iv: usize,
    /// Length of a packet-id, with its time when it is long.
    id: usize,
    /// The packet-id is the IV, not the front of the plaintext.
    id_is_iv: bool,
    block: usize,
}

struct Send {
    keys: Keys,
    ivs: Ivs,
    time: u32,
    last_id: u32,
}

struct Receive {
    keys: Keys,
    window: TimedWindow,
}

struct Keys {
    mac: Option<MacKey>,
    cipher: Option<BlockKey>,
}

impl Shape {
    const fn new(suite: Suite, format: DataFormat) -> Self {
        let is_static = matches!(format, DataFormat::Static);
        let mac = match suite.digest {
            Some(digest) => digest.len(),
            None => 0,
        };
        let (iv, block, id_is_iv) = match suite.cipher {
            Some((cipher, Mode::Cbc)) => (cipher.block_len(), cipher.block_len(), false),
            Some((cipher, Mode::Cfb | Mode::Ofb)) => (cipher.block_len(), 0, true),
            None => (0, 0, false),
        };
        let id = if is_static || id_is_iv { LONG_ID_LEN } else { ID_LEN };
        Self { mac, iv, id, id_is_iv, block }
    }

    const fn layout(&self, format: DataFormat) -> Layout {
        let inner = if self.id_is_iv { 0 } else { self.id };
        let prefix = format.header_len() + self.mac + self.iv + inner;
        Layout { prefix, suffix: 0, inner, block: self.block }
    }
}

impl Keys {
    fn new(suite: Suite, cipher_key: &[u8], hmac_key: &[u8]) -> Result<Self, BadKey> {
        let cipher = match suite.cipher {
            Some((cipher, mode)) => Some(BlockKey::new(cipher, mode, cipher_key)?),
            None => None,
        };
        let mac = suite.digest.map(|digest| MacKey::new(digest, hmac_key)).transpose()?;
        Ok(Self { mac, cipher })
    }
}

impl Old {
    pub(super) fn new(spec: &KeySpec, suite: Suite) -> Result<Self, BadKey> {
        let fits_format = match spec.format {
            DataFormat::V1 | DataFormat::V2 => true,
            DataFormat::Epoch => false,
            DataFormat::Static => !matches!(suite.cipher, Some((_, Mode::Cfb | Mode::Ofb))),
        };
        if !fits_format {
            return Err(BadKey);
        }
        let keys = |half: &super::Direction| Keys::new(suite, &half.cipher_key, &half.hmac_key);
        Ok(Self {
            shape: Shape::new(suite, spec.format),
            send: Send {
                keys: keys(&spec.send)?,
                ivs: Ivs::new(),
                time: spec.packet_time,
                last_id: 0,
            },
            receive: Receive {
                keys: keys(&spec.receive)?,
                window: TimedWindow::new(spec.replay_window, spec.replay_time),
            },
        })
    }

    pub(super) const fn layout(&self, format: DataFormat) -> Layout {
        self.shape.layout(format)
    }

    pub(super) fn position(&mut self, packet_id: u64) -> bool {
        let Ok(id) = u32::try_from(packet_id) else { return false };
        let is_ahead = id > self.send.last_id;
        if is_ahead {
            self.send.last_id = id - 1;
        }
        is_ahead
    }

    pub(super) fn preset_iv(&mut self, iv: &[u8]) {
        self.send.ivs.preset(iv);
    }

    /// Seals `length` bytes of plaintext that lie where the layout says.
    pub(super) fn seal(
        &mut self,
        format: DataFormat,
        (key_id, peer_id): (u8, u32),
        packet: &mut [u8],
        length: usize,
        limits: &Limits,
    ) -> Result<(), SealError> {
        let shape = self.shape;
        self.send.next_id(shape, limits)?;
        let (header, rest) = packet.split_at_mut(format.header_len());
        match format {
            DataFormat::V1 => header[0] = first_byte(DATA_V1, key_id),
            DataFormat::V2 | DataFormat::Epoch => {
                header.copy_from_slice(&peer_id.to_be_bytes());
                header[0] = first_byte(DATA_V2, key_id);
            }
            DataFormat::Static => {}
        }
        self.send.seal(shape, rest, length)
    }

    pub(super) fn open(
        &mut self,
        format: DataFormat,
        packet: &mut [u8],
        now_ms: u64,
    ) -> Result<Range<usize>, OpenError> {
        let header = format.header_len();
        let rest = packet.get_mut(header..).ok_or(OpenError::Malformed)?;
        let plain = self.receive.open(self.shape, rest, now_ms)?;
        Ok(header + plain.start..header + plain.end)
    }

    pub(super) const fn nears_limit(&self, format: DataFormat, limits: &Limits) -> bool {
        // Without TLS there is nothing to renegotiate: the time makes the ids new.
        !matches!(format, DataFormat::Static)
            && self.send.last_id as u64 >= limits.packet_id_trigger
    }
}

impl Send {
    fn next_id(&mut self, shape: Shape, limits: &Limits) -> Result<(), SealError> {
        if u64::from(self.last_id) < limits.packet_ids {
            self.last_id += 1;
            return Ok(());
        }
        if shape.id < LONG_ID_LEN {
            return Err(SealError::Exhausted);
        }
        self.time = self.time.checked_add(1).ok_or(SealError::Exhausted)?;
        self.last_id = 1;
        Ok(())
    }

    fn seal(&mut self, shape: Shape, rest: &mut [u8], length: usize) -> Result<(), SealError> {
        let mut id = [0; LONG_ID_LEN];
        id[..ID_LEN].copy_from_slice(&self.last_id.to_be_bytes());
        id[ID_LEN..].copy_from_slice(&self.time.to_be_bytes());
        let (tag, covered) = rest.split_at_mut(shape.mac);
        let (iv, body) = covered.split_at_mut(shape.iv);
        let mut length = length;
        if shape.id_is_iv {
            iv.fill(0);
            iv[..LONG_ID_LEN].copy_from_slice(&id);
        } else {
            self.ivs.fill(iv).map_err(|_| SealError::NoRandom)?;
            body[..shape.id].copy_from_slice(&id[..shape.id]);
            length += shape.id;
        }
        if let Some(cipher) = &self.keys.cipher {
            cipher.encrypt(iv, body, length).map_err(|_| SealError::NoRoom)?;
        }
        if let Some(mac) = &self.keys.mac {
            mac.tag(covered, tag);
        }
        Ok(())
    }
}

impl Receive {
    fn open(
        &mut self,
        shape: Shape,
        rest: &mut [u8],
        now_ms: u64,
    ) -> Result<Range<usize>, OpenError> {
        let body_at = shape.mac + shape.iv;
        if rest.len() <= body_at {
            return Err(OpenError::Malformed);
        }
        let (tag, covered) = rest.split_at_mut(shape.mac);
        if let Some(mac) = &self.keys.mac {
            mac.verify(covered, tag).map_err(|_| OpenError::Unauthentic)?;
        }
        let (iv, body) = covered.split_at_mut(shape.iv);
        let mut length = body.len();
        if let Some(cipher) = &self.keys.cipher {
            length = cipher.decrypt(iv, body).map_err(|_| OpenError::Malformed)?;
        }
        let (id_from, skipped) = if shape.id_is_iv { (&*iv, 0) } else { (&*body, shape.id) };
        if length <= skipped {
            return Err(OpenError::Malformed);
        }
        let id = read_id(id_from, shape.id).ok_or(OpenError::Malformed)?;
        self.window.check(id, now_ms).map_err(|_| OpenError::Replayed)?;
        self.window.mark(id, now_ms);
        Ok(body_at + skipped..body_at + length)
    }
}

/// Time and number of a packet-id; the short form has no time.
fn read_id(bytes: &[u8], length: usize) -> Option<(u32, u32)> {
    let (number, rest) = bytes.split_first_chunk::<ID_LEN>()?;
    let time = if length > ID_LEN { *rest.first_chunk::<ID_LEN>()? } else { [0; ID_LEN] };
    Some((u32::from_be_bytes(time), u32::from_be_bytes(*number)))
}
