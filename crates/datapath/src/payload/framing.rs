//! The bytes that tell whether a payload is compressed (protocol-facts 15). We never compress.

use std::ops::Range;

const LZO: u8 = 0x66;
const LZ4: u8 = 0x69;
const PLAIN: u8 = 0xFA;
const PLAIN_SWAPPED: u8 = 0xFB;
const V2: u8 = 0x50;
const V2_NONE: u8 = 0;
const V2_LZ4: u8 = 1;
const V2_LZO: u8 = 2;
/// Every sender of the 2.x series escapes with this in place of `V2_NONE`.
const V2_NONE_IN_PRACTICE: u8 = 0x0A;

/// Which framing the two ends agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// One byte in front: `comp-lzo`, `compress lzo`.
    Prefix,
    /// One byte in the first one's place, which moves to the end: `compress`, `compress lz4`.
    Swap,
    /// Nothing, but for payloads that look like framed ones: `compress stub-v2`, `lz4-v2`.
    V2,
}

/// How a payload was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// LZO1X.
    Lzo,
    /// LZ4 blocks.
    Lz4,
}

/// A payload without its framing, as a range of the bytes that were looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unframed {
    /// It was not compressed.
    Plain(Range<usize>),
    /// It has to be decompressed.
    Compressed(Algorithm, Range<usize>),
}

/// The first bytes are none that this framing knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compression framing")]
pub struct BadFraming;

impl Framing {
    /// Finds a framing by its name on the interface.
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "prefix" => Some(Self::Prefix),
            "swap" => Some(Self::Swap),
            "v2" => Some(Self::V2),
            _ => None,
        }
    }

    /// Bytes that a payload which begins with `first` gets in front and at its end.
    pub const fn room(self, first: u8) -> (usize, usize) {
        match self {
            Self::Prefix => (1, 0),
            Self::Swap => (0, 1),
            Self::V2 => (if first == V2 { 2 } else { 0 }, 0),
        }
    }

    /// Marks a payload that lies in `framed` with its `room` around it.
    pub fn mark(self, framed: &mut [u8], front: usize) {
        match self {
            Self::Prefix => framed[0] = PLAIN,
            Self::Swap => {
                let last = framed.len() - 1;
                framed[last] = framed[0];
                framed[0] = PLAIN_SWAPPED;
            }
            Self::V2 if front == 2 => framed[..2].copy_from_slice(&[V2, V2_NONE]),
            Self::V2 => {}
        }
    }

    /// Reads the framing of a received payload, and moves a swapped byte back.
    ///
    /// The two older framings never look like each other, so each takes the other's, too.
    pub fn read(self, framed: &mut [u8]) -> Result<Unframed, BadFraming> {
        let length = framed.len();
        match (self, *framed.first().ok_or(BadFraming)?) {
            (Self::V2, V2) => match framed.get(1) {
                Some(&(V2_NONE | V2_NONE_IN_PRACTICE)) => Ok(Unframed::Plain(2..length)),
                Some(&V2_LZ4) => Ok(Unframed::Compressed(Algorithm::Lz4, 2..length)),
                Some(&V2_LZO) => Ok(Unframed::Compressed(Algorithm::Lzo, 2..length)),
                _ => Err(BadFraming),
            },
            (Self::V2, _) => Ok(Unframed::Plain(0..length)),
            (_, PLAIN) => Ok(Unframed::Plain(1..length)),
            (_, LZO) => Ok(Unframed::Compressed(Algorithm::Lzo, 1..length)),
            (_, marker @ (PLAIN_SWAPPED | LZ4)) => {
                framed[0] = framed[length - 1];
                let range = 0..length - 1;
                Ok(if marker == LZ4 {
                    Unframed::Compressed(Algorithm::Lz4, range)
                } else {
                    Unframed::Plain(range)
                })
            }
            _ => Err(BadFraming),
        }
    }
}

/// True for a payload that is no packet but looks like one with a framing: the peer has one and we
/// have not.
pub fn looks_framed(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(LZO | LZ4 | PLAIN | PLAIN_SWAPPED | V2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(framing: Framing, payload: &[u8]) -> Vec<u8> {
        let (front, back) = framing.room(payload[0]);
        let mut out = vec![0; front + payload.len() + back];
        out[front..front + payload.len()].copy_from_slice(payload);
        framing.mark(&mut out, front);
        out
    }

    #[test]
    fn marks_as_the_table_says() {
        let packet = [0x45, 1, 2, 3];
        assert_eq!(framed(Framing::Prefix, &packet), [0xFA, 0x45, 1, 2, 3]);
        assert_eq!(framed(Framing::Swap, &packet), [0xFB, 1, 2, 3, 0x45]);
        assert_eq!(framed(Framing::V2, &packet), packet);
        assert_eq!(framed(Framing::V2, &[0x50, 9]), [0x50, 0, 0x50, 9]);
    }

    #[test]
    fn reads_what_it_marks() {
        for framing in [Framing::Prefix, Framing::Swap, Framing::V2] {
            for payload in [&[0x45, 1, 2][..], &[0x50], &[0x50, 1, 7], &[0xFA]] {
                let mut bytes = framed(framing, payload);
                let Ok(Unframed::Plain(range)) = framing.read(&mut bytes) else {
                    panic!("{framing:?} {payload:?}");
                };
                assert_eq!(&bytes[range], payload);
            }
        }
    }

    #[test]
    fn takes_the_escape_that_senders_really_use() {
        assert_eq!(Framing::V2.read(&mut [0x50, 0x0A, 0x50, 7]), Ok(Unframed::Plain(2..4)));
    }

    #[test]
    fn knows_compressed_payloads() {
        let lz4 = Ok(Unframed::Compressed(Algorithm::Lz4, 0..2));
        let mut bytes = [0x69, 2, 1];
        assert_eq!(Framing::Swap.read(&mut bytes), lz4);
        assert_eq!(bytes[..2], [1, 2]);
        let lzo = Ok(Unframed::Compressed(Algorithm::Lzo, 1..3));
        assert_eq!(Framing::Prefix.read(&mut [0x66, 1, 2]), lzo);
        let v2 = Ok(Unframed::Compressed(Algorithm::Lz4, 2..3));
        assert_eq!(Framing::V2.read(&mut [0x50, 1, 2]), v2);
    }

    #[test]
    fn refuses_what_has_another_framing() {
        for framing in [Framing::Prefix, Framing::Swap] {
            assert_eq!(framing.read(&mut [0x45, 0, 0]), Err(BadFraming));
            assert_eq!(framing.read(&mut []), Err(BadFraming));
            assert_eq!(framing.read(&mut [0xFB]), Ok(Unframed::Plain(0..0)));
        }
        assert_eq!(Framing::V2.read(&mut [0x50]), Err(BadFraming));
        assert_eq!(Framing::V2.read(&mut [0x50, 3]), Err(BadFraming));
    }
}
