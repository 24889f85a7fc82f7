//! One key of a block cipher in its mode, behind one type. IVs are the caller's.

use aes_gcm::aes::{Aes128, Aes192, Aes256};
use blowfish::Blowfish;
use camellia::{Camellia128, Camellia192, Camellia256};
use cast5::Cast5;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit,
    KeyInit, StreamCipherCore,
};
use cfb_mode::cipher::BlockSizeUser;
use des::{Des, TdesEde2, TdesEde3};

use crate::cipher::BadKey;
use crate::suite::{BlockCipher, Mode};

/// An expanded key of a block cipher. Overwritten when dropped.
pub struct BlockKey(Box<dyn Crypts>);

/// IV, text and lengths do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not what the cipher makes")]
pub struct Mangled;

trait Crypts: Send {
    /// Encrypts the first `length` bytes of `body`; the rest is room for padding, exactly.
    fn encrypt(&self, iv: &[u8], body: &mut [u8], length: usize) -> Result<(), Mangled>;
    /// Decrypts in place and returns the length of the plaintext at the front.
    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<usize, Mangled>;
}

impl BlockKey {
    /// Expands a key of a length that the cipher takes.
    pub fn new(cipher: BlockCipher, mode: Mode, key: &[u8]) -> Result<Self, BadKey> {
        Ok(Self(match (cipher, key.len()) {
            (BlockCipher::Aes, 16) => in_mode::<Aes128>(mode, key)?,
            (BlockCipher::Aes, 24) => in_mode::<Aes192>(mode, key)?,
            (BlockCipher::Aes, 32) => in_mode::<Aes256>(mode, key)?,
            (BlockCipher::Camellia, 16) => in_mode::<Camellia128>(mode, key)?,
            (BlockCipher::Camellia, 24) => in_mode::<Camellia192>(mode, key)?,
            (BlockCipher::Camellia, 32) => in_mode::<Camellia256>(mode, key)?,
            (BlockCipher::Blowfish, _) => in_mode::<Blowfish>(mode, key)?,
            (BlockCipher::Cast5, _) => in_mode::<Cast5>(mode, key)?,
            (BlockCipher::Des, 8) => in_mode::<Des>(mode, key)?,
            (BlockCipher::Des, 16) => in_mode::<TdesEde2>(mode, key)?,
            (BlockCipher::Des, 24) => in_mode::<TdesEde3>(mode, key)?,
            _ => return Err(BadKey),
        }))
    }

    /// Encrypts the first `length` bytes of `body`, whose rest is what the mode pads, in place.
    pub fn encrypt(&self, iv: &[u8], body: &mut [u8], length: usize) -> Result<(), Mangled> {
        self.0.encrypt(iv, body, length)
    }

    /// Decrypts in place and returns how many bytes of `body` are plaintext.
    pub fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<usize, Mangled> {
        self.0.decrypt(iv, body)
    }
}

fn in_mode<C>(mode: Mode, key: &[u8]) -> Result<Box<dyn Crypts>, BadKey>
where
    C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit + Send + 'static,
{
    let cipher = C::new_from_slice(key).map_err(|_| BadKey)?;
    Ok(match mode {
        Mode::Cbc => Box::new(Cbc(cipher)),
        Mode::Cfb => Box::new(Cfb(cipher)),
        Mode::Ofb => Box::new(Ofb(cipher)),
    })
}

struct Cbc<C>(C);
struct Cfb<C>(C);
struct Ofb<C>(C);

impl<C: BlockCipherEncrypt + BlockCipherDecrypt + Send> Crypts for Cbc<C> {
    fn encrypt(&self, iv: &[u8], body: &mut [u8], length: usize) -> Result<(), Mangled> {
        let whole = body.len();
        let mode = cbc::Encryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| Mangled)?;
        let sealed = mode.encrypt_padded::<Pkcs7>(body, length).map_err(|_| Mangled)?;
        if sealed.len() == whole { Ok(()) } else { Err(Mangled) }
    }

    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<usize, Mangled> {
        let mode = cbc::Decryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| Mangled)?;
        mode.decrypt_padded::<Pkcs7>(body).map(<[u8]>::len).map_err(|_| Mangled)
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser + Send> Crypts for Cfb<C> {
    fn encrypt(&self, iv: &[u8], body: &mut [u8], _: usize) -> Result<(), Mangled> {
        let mode = cfb_mode::Encryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| Mangled)?;
        mode.encrypt(body);
        Ok(())
    }

    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<usize, Mangled> {
        let mode = cfb_mode::Decryptor::inner_iv_slice_init(&self.0, iv).map_err(|_| Mangled)?;
        mode.decrypt(body);
        Ok(body.len())
    }
}

impl<C: BlockCipherEncrypt + Send> Crypts for Ofb<C> {
    fn encrypt(&self, iv: &[u8], body: &mut [u8], _: usize) -> Result<(), Mangled> {
        self.decrypt(iv, body).map(|_| ())
    }

    fn decrypt(&self, iv: &[u8], body: &mut [u8]) -> Result<usize, Mangled> {
        let core = ofb::OfbCore::inner_iv_slice_init(&self.0, iv).map_err(|_| Mangled)?;
        core.apply_keystream_partial((&mut *body).into());
        Ok(body.len())
    }
}
