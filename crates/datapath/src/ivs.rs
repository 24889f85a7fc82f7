//! Random IVs, drawn from the system a block at a time so that a packet costs no system call.

use ring::rand::{SecureRandom, SystemRandom};

/// 64 IVs of AES.
const POOL_LEN: usize = 1024;

/// Bytes that were drawn and not used yet.
pub(crate) struct Ivs {
    system: SystemRandom,
    bytes: Box<[u8; POOL_LEN]>,
    used: usize,
}

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no random bytes")]
pub(crate) struct NoRandom;

impl Ivs {
    pub(crate) fn new() -> Self {
        Self { system: SystemRandom::new(), bytes: Box::new([0; POOL_LEN]), used: POOL_LEN }
    }

    /// Fills an IV, which is shorter than the pool, with bytes that were never given out.
    pub(crate) fn fill(&mut self, iv: &mut [u8]) -> Result<(), NoRandom> {
        if self.used + iv.len() > POOL_LEN {
            self.system.fill(&mut *self.bytes).map_err(|_| NoRandom)?;
            self.used = 0;
        }
        let end = self.used + iv.len();
        iv.copy_from_slice(&self.bytes[self.used..end]);
        self.used = end;
        Ok(())
    }

    /// Makes the next IV a known one, for vectors.
    pub(crate) fn preset(&mut self, iv: &[u8]) {
        if let Some(start) = POOL_LEN.checked_sub(iv.len()) {
            self.bytes[start..].copy_from_slice(iv);
            self.used = start;
        }
    }
}
