//! What the packets of a key are protected with: an AEAD cipher, or a cipher and an HMAC of old peers.

use crate::cipher::Cipher;

/// A block cipher of old peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockCipher {
    /// AES with a key of 16, 24 or 32 bytes.
    Aes,
    /// Camellia with a key of 16, 24 or 32 bytes.
    Camellia,
    /// Blowfish with a key of 4 to 56 bytes.
    Blowfish,
    /// CAST-128 with a key of 5 to 16 bytes.
    Cast5,
    /// DES once (8 bytes), or three times with two or three keys (16 or 24 bytes).
    Des,
}

impl BlockCipher {
    /// Length of a block in bytes.
    pub const fn block_len(self) -> usize {
        match self {
            Self::Aes | Self::Camellia => 16,
            Self::Blowfish | Self::Cast5 | Self::Des => 8,
        }
    }
}

/// How blocks are chained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Padded; a random IV, and the packet-id in front of the plaintext.
    Cbc,
    /// The packet-id is the IV.
    Cfb,
    /// The packet-id is the IV.
    Ofb,
}

/// A message digest of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Their names say it.
pub enum Digest {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512t224,
    Sha512t256,
    Sha3t224,
    Sha3t256,
    Sha3t384,
    Sha3t512,
    Blake2b512,
    Blake2s256,
    Ripemd160,
}

impl Digest {
    /// Finds a digest by its canonical `OpenVPN` name.
    pub fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "MD5" => Self::Md5,
            "SHA1" => Self::Sha1,
            "SHA224" => Self::Sha224,
            "SHA256" => Self::Sha256,
            "SHA384" => Self::Sha384,
            "SHA512" => Self::Sha512,
            "SHA512-224" => Self::Sha512t224,
            "SHA512-256" => Self::Sha512t256,
            "SHA3-224" => Self::Sha3t224,
            "SHA3-256" => Self::Sha3t256,
            "SHA3-384" => Self::Sha3t384,
            "SHA3-512" => Self::Sha3t512,
            "BLAKE2b512" => Self::Blake2b512,
            "BLAKE2s256" => Self::Blake2s256,
            "RIPEMD160" => Self::Ripemd160,
            _ => return None,
        })
    }

    /// Length of the HMAC, and of its key, in bytes.
    pub const fn len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 | Self::Ripemd160 => 20,
            Self::Sha224 | Self::Sha512t224 | Self::Sha3t224 => 28,
            Self::Sha256 | Self::Sha512t256 | Self::Sha3t256 | Self::Blake2s256 => 32,
            Self::Sha384 | Self::Sha3t384 => 48,
            Self::Sha512 | Self::Sha3t512 | Self::Blake2b512 => 64,
        }
    }

    /// Never: every digest has bytes.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Protection with a cipher and an HMAC of its own; None stands for `cipher none` and `auth none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    /// What hides the packets.
    pub cipher: Option<(BlockCipher, Mode)>,
    /// What authenticates them.
    pub digest: Option<Digest>,
}

/// Protection of a key's packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// The cipher authenticates, too.
    Aead(Cipher),
    /// Formats of peers older than AEAD.
    Old(Old),
}

impl From<Cipher> for Suite {
    fn from(cipher: Cipher) -> Self {
        Self::Aead(cipher)
    }
}

impl Suite {
    /// Finds a suite by the canonical names of cipher and digest; AEAD ciphers take any digest.
    pub fn by_name(cipher: &str, digest: &str) -> Option<Self> {
        if let Some(cipher) = Cipher::by_name(cipher) {
            return Some(Self::Aead(cipher));
        }
        let cipher = if cipher == "none" { None } else { Some(block_cipher(cipher)?) };
        let digest = if digest == "none" { None } else { Some(Digest::by_name(digest)?) };
        Some(Self::Old(Old { cipher, digest }))
    }

    /// True when the number of blocks under one key is limited (protocol-facts 10).
    pub const fn is_block_limited(self) -> bool {
        matches!(self, Self::Aead(cipher) if cipher.is_block_limited())
    }
}

fn block_cipher(name: &str) -> Option<(BlockCipher, Mode)> {
    let (cipher, mode) = name.rsplit_once('-')?;
    let cipher = match cipher {
        "AES-128" | "AES-192" | "AES-256" => BlockCipher::Aes,
        "CAMELLIA-128" | "CAMELLIA-192" | "CAMELLIA-256" => BlockCipher::Camellia,
        "BF" => BlockCipher::Blowfish,
        "CAST5" => BlockCipher::Cast5,
        "DES" | "DES-EDE" | "DES-EDE3" => BlockCipher::Des,
        _ => return None,
    };
    let mode = match mode {
        "CBC" => Mode::Cbc,
        "CFB" => Mode::Cfb,
        "OFB" => Mode::Ofb,
        _ => return None,
    };
    Some((cipher, mode))
}
