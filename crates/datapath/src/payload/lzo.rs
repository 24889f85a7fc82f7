//! Decompression of LZO1X, the only LZO format of `OpenVPN`. Bounded by the output it is given.
//!
//! Written after the format's description in the Linux kernel's documentation (staging/lzo), in
//! safe code: every index is checked, and nothing is allocated.

/// The input is not a whole LZO1X stream, or holds more than the output takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a whole LZO1X stream that fits")]
pub struct BadStream;

/// Farthest distance of the short match after literals, which its first byte adds to.
const FAR_SHORT: usize = 0x800;
/// Distances of the longest kind begin here; exactly this one ends the stream.
const FAR_LONG: usize = 0x4000;

/// Decompresses a whole stream into `output`; returns how many bytes it holds.
pub fn decompress(input: &[u8], output: &mut [u8]) -> Result<usize, BadStream> {
    let mut stream = Stream { input, at: 0, output, filled: 0 };
    // How many literals came just before: it decides what a small instruction byte means.
    let mut literals = stream.first_run()?;
    loop {
        let instruction = stream.byte()?;
        let code = usize::from(instruction);
        let (length, distance, trailing) = match (instruction, literals) {
            (0..16, 0) => {
                let count = stream.long(code, 15)? + 3;
                stream.copy_literals(count)?;
                literals = 4;
                continue;
            }
            (0..16, 4) => {
                let high = usize::from(stream.byte()?) << 2;
                (3, (code >> 2) + high + FAR_SHORT + 1, code & 3)
            }
            (0..16, _) => {
                let high = usize::from(stream.byte()?) << 2;
                (2, (code >> 2) + high + 1, code & 3)
            }
            (16..32, _) => {
                let length = stream.long(code & 7, 7)? + 2;
                let word = stream.word()?;
                let distance = ((code & 8) << 11) + (word >> 2) + FAR_LONG;
                if distance == FAR_LONG {
                    return stream.finish();
                }
                (length, distance, word & 3)
            }
            (32..64, _) => {
                let length = stream.long(code & 31, 31)? + 2;
                let word = stream.word()?;
                (length, (word >> 2) + 1, word & 3)
            }
            (64.., _) => {
                let high = usize::from(stream.byte()?) << 3;
                ((code >> 5) + 1, ((code >> 2) & 7) + high + 1, code & 3)
            }
        };
        stream.copy_match(distance, length)?;
        stream.copy_literals(trailing)?;
        literals = trailing;
    }
}

struct Stream<'a> {
    input: &'a [u8],
    at: usize,
    output: &'a mut [u8],
    filled: usize,
}

impl Stream<'_> {
    /// A stream may begin with literals, whose count its first byte names.
    fn first_run(&mut self) -> Result<usize, BadStream> {
        let first = usize::from(*self.input.first().ok_or(BadStream)?);
        if first <= 17 {
            return Ok(0);
        }
        self.at = 1;
        let count = first - 17;
        self.copy_literals(count)?;
        Ok(count.min(4))
    }

    fn byte(&mut self) -> Result<u8, BadStream> {
        let byte = *self.input.get(self.at).ok_or(BadStream)?;
        self.at += 1;
        Ok(byte)
    }

    fn word(&mut self) -> Result<usize, BadStream> {
        Ok(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length that an instruction holds, or, when it holds 0, the bytes after it: each 0 stands
    /// for 255, the first other byte ends it.
    fn long(&mut self, held: usize, most: usize) -> Result<usize, BadStream> {
        if held != 0 {
            return Ok(held);
        }
        let mut length = most;
        loop {
            match self.byte()? {
                0 => length += 255,
                last => return Ok(length + usize::from(last)),
            }
        }
    }

    fn copy_literals(&mut self, count: usize) -> Result<(), BadStream> {
        let from = self.input.get(self.at..self.at + count).ok_or(BadStream)?;
        let end = self.filled + count;
        self.output.get_mut(self.filled..end).ok_or(BadStream)?.copy_from_slice(from);
        (self.at, self.filled) = (self.at + count, end);
        Ok(())
    }

    /// Repeats what was written `distance` bytes ago; the two may overlap.
    fn copy_match(&mut self, distance: usize, length: usize) -> Result<(), BadStream> {
        let start = self.filled.checked_sub(distance).ok_or(BadStream)?;
        let end = self.filled + length;
        if end > self.output.len() {
            return Err(BadStream);
        }
        for index in 0..length {
            self.output[self.filled + index] = self.output[start + index];
        }
        self.filled = end;
        Ok(())
    }

    fn finish(&self) -> Result<usize, BadStream> {
        if self.at == self.input.len() { Ok(self.filled) } else { Err(BadStream) }
    }
}
