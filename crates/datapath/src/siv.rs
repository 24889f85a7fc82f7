//! Keys of wrapped control packets: an HMAC-SHA256 over all of a packet is its tag, and the front
//! of the tag is the IV for AES-256-CTR (tls-crypt).
//!
//! What such a packet says, and whether it came before, is the caller's business.

use aes_gcm::aes::Aes256;
use ctr::cipher::{InnerIvInit, StreamCipher};
use ctr::{Ctr128BE, CtrCore};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::cipher::{BadKey, Unauthentic};

/// Length of either key, and of a tag.
pub const SIV_LEN: usize = 32;
const IV_LEN: usize = 16;

/// The expanded keys of one direction. Overwritten when dropped.
pub struct SivKey {
    cipher: Aes256,
    mac: Hmac<Sha256>,
}

impl SivKey {
    /// Expands two keys of 32 bytes.
    pub fn new(cipher_key: &[u8], mac_key: &[u8]) -> Result<Self, BadKey> {
        // HMAC takes keys of any length.
        if mac_key.len() != SIV_LEN {
            return Err(BadKey);
        }
        Ok(Self {
            cipher: Aes256::new_from_slice(cipher_key).map_err(|_| BadKey)?,
            mac: <Hmac<Sha256> as KeyInit>::new_from_slice(mac_key).map_err(|_| BadKey)?,
        })
    }

    /// Encrypts `body` in place and returns the tag of `clear | body`.
    pub fn seal(&self, clear: &[u8], body: &mut [u8]) -> [u8; SIV_LEN] {
        let tag = self.covering(clear, body).finalize().into_bytes().into();
        self.crypt(&tag, body);
        tag
    }

    /// Decrypts `body` in place if `tag` fits, which is compared in a time that does not depend on
    /// where it differs; on error `body` is worthless.
    pub fn open(
        &self,
        clear: &[u8],
        tag: &[u8; SIV_LEN],
        body: &mut [u8],
    ) -> Result<(), Unauthentic> {
        self.crypt(tag, body);
        self.covering(clear, body).verify_slice(tag).map_err(|_| Unauthentic)
    }

    fn covering(&self, clear: &[u8], body: &[u8]) -> Hmac<Sha256> {
        self.mac.clone().chain_update(clear).chain_update(body)
    }

    fn crypt(&self, tag: &[u8; SIV_LEN], body: &mut [u8]) {
        let mut iv = [0; IV_LEN];
        iv.copy_from_slice(&tag[..IV_LEN]);
        let core = CtrCore::inner_iv_init(&self.cipher, &iv.into());
        Ctr128BE::from_core(core).apply_keystream(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr::cipher::BlockCipherEncrypt;

    #[test]
    fn the_counter_is_all_of_the_iv() {
        let key = SivKey::new(&[7; SIV_LEN], &[8; SIV_LEN]).unwrap();
        let mut body = [0; 2 * IV_LEN];
        key.crypt(&[0xFF; SIV_LEN], &mut body);
        for (at, counter) in [(0, [0xFF; IV_LEN]), (IV_LEN, [0; IV_LEN])] {
            let mut block = counter.into();
            key.cipher.encrypt_block(&mut block);
            assert_eq!(body[at..at + IV_LEN], block[..]);
        }
    }
}
