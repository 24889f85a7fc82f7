//! One HMAC key behind one type, whichever digest it is of.

use blake2::{Blake2b512, Blake2s256};
use hmac::{Hmac, KeyInit, Mac, SimpleHmac};
use md5::Md5;
use ripemd::Ripemd160;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512, Sha512_224, Sha512_256};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use crate::cipher::{BadKey, Unauthentic};
use crate::suite::Digest;

/// An expanded HMAC key. Overwritten when dropped.
pub struct MacKey(Box<dyn Tags>);

trait Tags: Send {
    fn tag(&self, message: &[u8], out: &mut [u8]);
    fn verify(&self, message: &[u8], tag: &[u8]) -> bool;
}

impl<M: Mac + Clone + Send> Tags for M {
    fn tag(&self, message: &[u8], out: &mut [u8]) {
        let tag = self.clone().chain_update(message).finalize().into_bytes();
        out.copy_from_slice(&tag);
    }

    fn verify(&self, message: &[u8], tag: &[u8]) -> bool {
        self.clone().chain_update(message).verify_slice(tag).is_ok()
    }
}

impl MacKey {
    /// Expands a key of the digest's length.
    pub fn new(digest: Digest, key: &[u8]) -> Result<Self, BadKey> {
        if key.len() != digest.len() {
            return Err(BadKey);
        }
        Ok(Self(match digest {
            Digest::Md5 => keyed::<Hmac<Md5>>(key)?,
            Digest::Sha1 => keyed::<Hmac<Sha1>>(key)?,
            Digest::Sha224 => keyed::<Hmac<Sha224>>(key)?,
            Digest::Sha256 => keyed::<Hmac<Sha256>>(key)?,
            Digest::Sha384 => keyed::<Hmac<Sha384>>(key)?,
            Digest::Sha512 => keyed::<Hmac<Sha512>>(key)?,
            Digest::Sha512t224 => keyed::<Hmac<Sha512_224>>(key)?,
            Digest::Sha512t256 => keyed::<Hmac<Sha512_256>>(key)?,
            Digest::Sha3t224 => keyed::<SimpleHmac<Sha3_224>>(key)?,
            Digest::Sha3t256 => keyed::<SimpleHmac<Sha3_256>>(key)?,
            Digest::Sha3t384 => keyed::<SimpleHmac<Sha3_384>>(key)?,
            Digest::Sha3t512 => keyed::<SimpleHmac<Sha3_512>>(key)?,
            Digest::Blake2b512 => keyed::<SimpleHmac<Blake2b512>>(key)?,
            Digest::Blake2s256 => keyed::<SimpleHmac<Blake2s256>>(key)?,
            Digest::Ripemd160 => keyed::<Hmac<Ripemd160>>(key)?,
        }))
    }

    /// Writes the tag of a message; `out` has the digest's length.
    pub fn tag(&self, message: &[u8], out: &mut [u8]) {
        self.0.tag(message, out);
    }

    /// Compares a tag in a time that does not depend on where it differs.
    pub fn verify(&self, message: &[u8], tag: &[u8]) -> Result<(), Unauthentic> {
        if self.0.verify(message, tag) { Ok(()) } else { Err(Unauthentic) }
    }
}

fn keyed<M: Mac + KeyInit + Clone + Send + 'static>(key: &[u8]) -> Result<Box<dyn Tags>, BadKey> {
    let mac = <M as KeyInit>::new_from_slice(key).map_err(|_| BadKey)?;
    Ok(Box::new(mac))
}
