//! `fragment`: payloads cut into parts that fit the link, and put together again (protocol-facts 14).
//!
//! What is kept of unfinished payloads is bounded in number, size and age.

use std::ops::Range;

/// Length of the header in front of every payload.
pub const HEADER_LEN: usize = 4;
/// Parts of one payload.
pub const MAX_PARTS: usize = 32;
/// Unfinished payloads that are kept.
pub const MAX_UNFINISHED: usize = 25;
/// How long one is kept after its latest part, in milliseconds.
pub const MAX_AGE_MS: u64 = 10_000;

const WHOLE: u32 = 0;
const NOT_LAST: u32 = 1;
const LAST: u32 = 2;
const TYPE_MASK: u32 = 3;
const SEQUENCE_SHIFT: u32 = 2;
const INDEX_SHIFT: u32 = 10;
const SIZE_SHIFT: u32 = 15;
/// Sizes on the wire count in units of this many bytes.
const UNIT: usize = 4;
const ALL_PARTS: u32 = u32::MAX;

/// A part that cannot be what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bad fragment")]
pub struct BadFragment;

/// How one payload is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    size: usize,
    length: usize,
    sequence: u8,
}

impl Cut {
    /// How many parts there are; at least two.
    pub const fn count(&self) -> usize {
        self.length.div_ceil(self.size)
    }

    /// Header and place of one part.
    pub fn part(&self, index: usize) -> ([u8; HEADER_LEN], Range<usize>) {
        let start = index * self.size;
        let is_last = index + 1 == self.count();
        let mut flags = u32::from(self.sequence) << SEQUENCE_SHIFT | (index as u32) << INDEX_SHIFT;
        flags |= if is_last { LAST | ((self.size / UNIT) as u32) << SIZE_SHIFT } else { NOT_LAST };
        (flags.to_be_bytes(), start..(start + self.size).min(self.length))
    }
}

/// What a received payload turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was not cut, and begins behind the header.
    Whole,
    /// Parts are missing still.
    Unfinished,
    /// The last missing part has come.
    Finished(Vec<u8>),
}

/// One peer's state, both directions.
#[derive(Debug)]
pub struct Fragments {
    /// Largest part in bytes, a multiple of the unit.
    size: usize,
    /// Longest payload that is put together.
    limit: usize,
    sequence: u8,
    unfinished: Vec<Unfinished>,
}

#[derive(Debug)]
struct Unfinished {
    sequence: u8,
    size: usize,
    /// One bit for each part that has come; those behind the last one count as come.
    parts: u32,
    bytes: Vec<u8>,
    touched_at: u64,
}

impl Fragments {
    /// `chunk` is the most bytes behind a header, `limit` the longest payload we take.
    pub fn new(chunk: usize, limit: usize) -> Self {
        let size = (chunk / UNIT * UNIT).max(UNIT);
        Self { size, limit, sequence: 0, unfinished: Vec::new() }
    }

    /// Decides how a payload is cut: None when it goes as a whole, an error when it cannot go.
    pub fn cut(&mut self, length: usize) -> Result<Option<Cut>, BadFragment> {
        if length <= self.size {
            return Ok(None);
        }
        let count = length.div_ceil(self.size);
        if count > MAX_PARTS {
            return Err(BadFragment);
        }
        // Parts of about equal length: the last one alone may be shorter.
        let size = length.div_ceil(count).next_multiple_of(UNIT);
        self.sequence = self.sequence.wrapping_add(1);
        Ok(Some(Cut { size, length, sequence: self.sequence }))
    }

    /// Takes a received payload with its header.
    pub fn take(&mut self, packet: &[u8], now_ms: u64) -> Result<Taken, BadFragment> {
        let (header, part) = packet.split_first_chunk::<HEADER_LEN>().ok_or(BadFragment)?;
        let flags = u32::from_be_bytes(*header);
        let index = (flags >> INDEX_SHIFT) as usize % MAX_PARTS;
        let sequence = (flags >> SEQUENCE_SHIFT) as u8;
        let size = match flags & TYPE_MASK {
            WHOLE if sequence == 0 && index == 0 => return Ok(Taken::Whole),
            NOT_LAST => part.len(),
            LAST => (flags >> SIZE_SHIFT) as usize % (1 << 14) * UNIT,
            _ => return Err(BadFragment),
        };
        let start = index * size;
        let fits = size > 0
            && size.is_multiple_of(UNIT)
            && !part.is_empty()
            && part.len() <= size
            && start + part.len() <= self.limit;
        if !fits {
            return Err(BadFragment);
        }
        let place = self.place(sequence, size, now_ms);
        let held = &mut self.unfinished[place];
        if held.bytes.len() < start + part.len() {
            held.bytes.resize(start + part.len(), 0);
        }
        held.bytes[start..start + part.len()].copy_from_slice(part);
        held.touched_at = now_ms;
        held.parts |= if flags & TYPE_MASK == LAST { ALL_PARTS << index } else { 1 << index };
        if held.parts != ALL_PARTS {
            return Ok(Taken::Unfinished);
        }
        Ok(Taken::Finished(self.unfinished.swap_remove(place).bytes))
    }

    /// How many unfinished payloads are kept.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Finds the payload that a part belongs to, or begins one in place of the oldest.
    fn place(&mut self, sequence: u8, size: usize, now_ms: u64) -> usize {
        self.unfinished.retain(|held| now_ms.saturating_sub(held.touched_at) <= MAX_AGE_MS);
        let begun = Unfinished { sequence, size, parts: 0, bytes: vec![], touched_at: now_ms };
        if let Some(place) = self.unfinished.iter().position(|held| held.sequence == sequence) {
            if self.unfinished[place].size != size {
                self.unfinished[place] = begun;
            }
            return place;
        }
        if self.unfinished.len() == MAX_UNFINISHED {
            let oldest = (0..MAX_UNFINISHED).min_by_key(|at| self.unfinished[*at].touched_at);
            self.unfinished.swap_remove(oldest.unwrap_or(0));
        }
        self.unfinished.push(begun);
        self.unfinished.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(cut: Cut, payload: &[u8]) -> Vec<Vec<u8>> {
        (0..cut.count())
            .map(|index| {
                let (header, range) = cut.part(index);
                [&header[..], &payload[range]].concat()
            })
            .collect()
    }

    fn payload(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at * 7) as u8).collect()
    }

    #[test]
    fn every_length_comes_back_in_any_order() {
        for chunk in [68, 100, 1301] {
            for length in [chunk + 1, chunk * 2, chunk * 3 - 1, 1500.min(chunk * 31)] {
                let mut fragments = Fragments::new(chunk, 4096.max(length));
                let payload = payload(length);
                let Ok(Some(cut)) = fragments.cut(length) else { continue };
                let mut sent = parts(cut, &payload);
                assert!(sent.iter().all(|part| part.len() <= chunk + HEADER_LEN));
                sent.reverse();
                let last = sent.pop();
                for part in &sent {
                    assert_eq!(fragments.take(part, 0), Ok(Taken::Unfinished));
                }
                let whole = fragments.take(&last.unwrap_or_default(), 0);
                assert_eq!(whole, Ok(Taken::Finished(payload)));
                assert_eq!(fragments.unfinished(), 0);
            }
        }
    }

    #[test]
    fn short_payloads_stay_whole() {
        let mut fragments = Fragments::new(103, 2000);
        assert_eq!(fragments.cut(100), Ok(None));
        assert_eq!(fragments.take(&[0, 0, 0, 0, 9], 0), Ok(Taken::Whole));
        assert_eq!(fragments.cut(100 * 32), Fragments::new(103, 2000).cut(3200));
        assert_eq!(fragments.cut(100 * 32 + 1), Err(BadFragment));
    }

    #[test]
    fn lies_are_refused() {
        let mut fragments = Fragments::new(1200, 1600);
        let word = |flags: u32, body: &[u8]| [&flags.to_be_bytes()[..], body].concat();
        for bad in [
            vec![],
            vec![0, 0, 0],
            word(3, &[1; 8]),              // a test fragment
            word(4, &[1; 8]),              // whole, yet numbered
            word(1, &[1; 7]),              // not a multiple of the unit
            word(1, &[]),                  // nothing
            word(2, &[1; 8]),              // last, of size 0
            word(2 | 1 << 15, &[1; 8]),    // longer than its own size
            word(1 | 31 << 10, &[1; 400]), // beyond the limit
            word(2 | 31 << 10 | 0x3FFF << 15, &[1; 8]),
        ] {
            assert_eq!(fragments.take(&bad, 0), Err(BadFragment), "{bad:02x?}");
        }
        assert_eq!(fragments.unfinished(), 0);
    }

    #[test]
    fn a_flood_of_first_parts_stays_bounded_and_ages() {
        let mut fragments = Fragments::new(1200, 1600);
        for sequence in 0..=255u32 {
            let part = [&(1 | sequence << 2).to_be_bytes()[..], &[1; 1200]].concat();
            assert_eq!(fragments.take(&part, u64::from(sequence)), Ok(Taken::Unfinished));
            assert!(fragments.unfinished() <= MAX_UNFINISHED);
        }
        let late = [&(1u32 | 3 << 2).to_be_bytes()[..], &[1; 8]].concat();
        assert_eq!(fragments.take(&late, 300 + MAX_AGE_MS), Ok(Taken::Unfinished));
        assert_eq!(fragments.unfinished(), 1);
    }
}
