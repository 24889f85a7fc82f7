//! The chain of epoch keys of one direction (protocol-facts 9).
//!
//! Each chain secret gives a cipher key, a nonce mask and the next secret, so a key that was
//! dropped cannot be had again from what is kept.

use ring::hkdf::{HKDF_SHA256, KeyType, Prk};
use zeroize::{Zeroize, Zeroizing};

use crate::cipher::{AeadKey, BadKey, Cipher, NonceBytes};

/// Length of a chain secret.
pub const SECRET_LEN: usize = 32;
/// How many epochs ahead a receiver accepts.
pub const FUTURE_EPOCHS: u16 = 16;
/// The last epoch that a receiver still takes up, so the last that a sender may use.
pub const LAST_EPOCH: u16 = u16::MAX - FUTURE_EPOCHS - 1;
/// From this send epoch on a renegotiation is asked for.
pub const RENEGOTIATE_EPOCH: u16 = 0xF000;

/// The cipher key and nonce mask of one epoch.
pub struct EpochKey {
    /// Number of the epoch, from 1.
    pub epoch: u16,
    /// The expanded cipher key.
    pub aead: AeadKey,
    mask: Zeroizing<NonceBytes>,
}

impl EpochKey {
    /// The nonce of a packet whose 8-byte id (epoch and counter) is given.
    pub fn nonce(&self, id: u64) -> NonceBytes {
        let mut nonce = *self.mask;
        for (byte, of_id) in nonce.iter_mut().zip(id.to_be_bytes()) {
            *byte ^= of_id;
        }
        nonce
    }
}

/// Stands at one epoch; derives its key and moves to the next.
pub struct Chain {
    cipher: Cipher,
    epoch: u16,
    secret: Zeroizing<[u8; SECRET_LEN]>,
}

impl Chain {
    /// Starts at epoch 1 with the secret E1.
    pub fn new(cipher: Cipher, first: &[u8]) -> Result<Self, BadKey> {
        let secret = Zeroizing::new(<[u8; SECRET_LEN]>::try_from(first).map_err(|_| BadKey)?);
        Ok(Self { cipher, epoch: 1, secret })
    }

    /// The epoch the chain stands at.
    pub const fn epoch(&self) -> u16 {
        self.epoch
    }

    /// Derives the key of this epoch.
    pub fn key(&self) -> Result<EpochKey, BadKey> {
        let mut key = Zeroizing::new([0u8; 32]);
        let key = &mut key[..self.cipher.key_len()];
        expand_label(&self.secret, b"data_key", key)?;
        let mut mask = Zeroizing::new([0u8; 12]);
        expand_label(&self.secret, b"data_iv", &mut mask[..])?;
        Ok(EpochKey { epoch: self.epoch, aead: AeadKey::new(self.cipher, key)?, mask })
    }

    /// Moves to the next epoch and forgets this one. Fails after the last number.
    pub fn advance(&mut self) -> Result<(), BadKey> {
        let epoch = self.epoch.checked_add(1).ok_or(BadKey)?;
        let mut next = Zeroizing::new([0u8; SECRET_LEN]);
        expand_label(&self.secret, b"datakey upd", &mut next[..])?;
        self.secret.zeroize();
        self.secret = next;
        self.epoch = epoch;
        Ok(())
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// `OVPN-Expand-Label` with an empty context: HKDF-Expand-SHA256 over a labelled length.
fn expand_label(secret: &[u8; SECRET_LEN], label: &[u8], out: &mut [u8]) -> Result<(), BadKey> {
    let length = u16::try_from(out.len()).map_err(|_| BadKey)?.to_be_bytes();
    let label_length = [(b"ovpn ".len() + label.len()) as u8];
    let info: [&[u8]; 5] = [&length, &label_length, b"ovpn ", label, &[0]];
    let prk = Prk::new_less_safe(HKDF_SHA256, secret);
    let okm = prk.expand(&info, Length(out.len())).map_err(|_| BadKey)?;
    okm.fill(out).map_err(|_| BadKey)
}
