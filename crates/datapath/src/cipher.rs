//! One AEAD key behind one type, whichever crate implements the cipher.
//!
//! ring by default; it has no AES-192-GCM, which comes from `RustCrypto`. Nonces are the caller's.

use std::hint::black_box;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{AesGcm, KeyInit, aes::Aes192, aes::cipher::consts::U12};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::wire::TAG_LEN;

/// A data-channel cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128-GCM
    Aes128Gcm,
    /// AES-192-GCM
    Aes192Gcm,
    /// AES-256-GCM
    Aes256Gcm,
    /// CHACHA20-POLY1305
    ChaCha20Poly1305,
}

impl Cipher {
    /// Finds a cipher by its canonical `OpenVPN` name.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "AES-128-GCM" => Some(Self::Aes128Gcm),
            "AES-192-GCM" => Some(Self::Aes192Gcm),
            "AES-256-GCM" => Some(Self::Aes256Gcm),
            "CHACHA20-POLY1305" => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// Length of the cipher key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes192Gcm => 24,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// True when the number of blocks under one key is limited (protocol-facts 10).
    pub const fn is_block_limited(self) -> bool {
        !matches!(self, Self::ChaCha20Poly1305)
    }
}

/// The tag did not fit the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("packet does not authenticate")]
pub struct Unauthentic;

/// A key has the wrong length for its cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong key length")]
pub struct BadKey;

/// A 96-bit nonce.
pub type NonceBytes = [u8; 12];

/// An expanded cipher key. Overwritten when dropped.
pub struct AeadKey(Inner);

enum Inner {
    Ring(Box<LessSafeKey>),
    Aes192(Box<AesGcm<Aes192, U12>>),
}

impl AeadKey {
    /// Expands a key of the cipher's key length.
    pub fn new(cipher: Cipher, key: &[u8]) -> Result<Self, BadKey> {
        let algorithm = match cipher {
            Cipher::Aes128Gcm => &aead::AES_128_GCM,
            Cipher::Aes256Gcm => &aead::AES_256_GCM,
            Cipher::ChaCha20Poly1305 => &aead::CHACHA20_POLY1305,
            Cipher::Aes192Gcm => {
                let key = AesGcm::<Aes192, U12>::new_from_slice(key).map_err(|_| BadKey)?;
                return Ok(Self(Inner::Aes192(Box::new(key))));
            }
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| BadKey)?;
        Ok(Self(Inner::Ring(Box::new(LessSafeKey::new(key)))))
    }

    /// Encrypts `body` in place and returns its tag. None when the cipher refuses the length.
    pub fn seal(&self, nonce: NonceBytes, ad: &[u8], body: &mut [u8]) -> Option<[u8; TAG_LEN]> {
        match &self.0 {
            Inner::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                let tag = key.seal_in_place_separate_tag(nonce, Aad::from(ad), body).ok()?;
                tag.as_ref().try_into().ok()
            }
            Inner::Aes192(key) => {
                let tag = key.encrypt_inout_detached(&nonce.into(), ad, body.into()).ok()?;
                Some(tag.into())
            }
        }
    }

    /// Decrypts `body` in place if `tag` fits; on error `body` is worthless.
    pub fn open(
        &self,
        nonce: NonceBytes,
        ad: &[u8],
        body: &mut [u8],
        tag: [u8; TAG_LEN],
    ) -> Result<(), Unauthentic> {
        match &self.0 {
            Inner::Ring(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_in_place_separate_tag(nonce, Aad::from(ad), tag.into(), body, 0..)
                    .map(|_| ())
                    .map_err(|_| Unauthentic)
            }
            Inner::Aes192(key) => key
                .decrypt_inout_detached(&nonce.into(), ad, body.into(), &tag.into())
                .map_err(|_| Unauthentic),
        }
    }
}

impl Drop for AeadKey {
    fn drop(&mut self) {
        // ring does not wipe its key schedules: expand a key of zeros over this one. The AES-192
        // type wipes itself.
        if let Inner::Ring(key) = &mut self.0 {
            let algorithm = key.algorithm();
            let zeros = [0u8; 32];
            if let Ok(blank) = UnboundKey::new(algorithm, &zeros[..algorithm.key_len()]) {
                **key = LessSafeKey::new(blank);
                black_box(&**key);
            }
        }
    }
}
