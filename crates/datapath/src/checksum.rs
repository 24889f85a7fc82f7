//! Internet checksums (RFC 1071) and their incremental update (RFC 1624).

/// An unfolded ones-complement sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum(u64);

impl Sum {
    /// Adds bytes that start at an even offset of the summed message.
    #[must_use]
    pub fn add_bytes(self, bytes: &[u8]) -> Self {
        // Summed in the host's byte order and swapped once at the end, which gives the same; the
        // two wide sums never overflow and do not wait for each other.
        let (mut even, mut odd) = (0u128, 0u128);
        let (chunks, rest) = bytes.as_chunks::<16>();
        for chunk in chunks {
            let pair = u128::from_ne_bytes(*chunk);
            even += pair & u128::from(u64::MAX);
            odd += pair >> 64;
        }
        let mut last = [0u8; 16];
        last[..rest.len()].copy_from_slice(rest);
        let pair = u128::from_ne_bytes(last);
        let total = even + odd + (pair & u128::from(u64::MAX)) + (pair >> 64);
        let folded = fold64(fold64(total as u64) + fold64((total >> 64) as u64));
        let folded = (folded & 0xFFFF) + (folded >> 16);
        let folded = ((folded & 0xFFFF) + (folded >> 16)) as u16;
        Self(fold64(self.0) + u64::from(u16::from_be(folded)))
    }

    /// Adds one 16-bit word.
    #[must_use]
    pub fn add_u16(self, word: u16) -> Self {
        Self(fold64(self.0) + u64::from(word))
    }

    /// The folded sum, not inverted: what a partial checksum field holds.
    pub fn fold(self) -> u16 {
        let once = fold64(self.0);
        let mut sum = (once & 0xFFFF) + (once >> 16);
        sum = (sum & 0xFFFF) + (sum >> 16);
        sum as u16
    }

    /// The checksum: the inverted folded sum.
    pub fn finish(self) -> u16 {
        !self.fold()
    }
}

/// Folds to at most 18 bits, so that a few can be added without overflow.
const fn fold64(sum: u64) -> u64 {
    let sum = (sum & 0xFFFF_FFFF) + (sum >> 32);
    let sum = (sum & 0xFFFF) + ((sum >> 16) & 0xFFFF) + (sum >> 32);
    (sum & 0xFFFF) + (sum >> 16)
}

/// The pseudo-header sum of TCP or UDP. `addresses` are source and destination, one after the other.
pub fn pseudo_header(addresses: &[u8], protocol: u8, length: usize) -> Sum {
    Sum::default()
        .add_bytes(addresses)
        .add_u16(u16::from(protocol))
        .add_u16((length >> 16) as u16)
        .add_u16(length as u16)
}

/// The checksum after one 16-bit word of the message changed from `before` to `after`.
pub fn update(checksum: u16, before: u16, after: u16) -> u16 {
    Sum::default().add_u16(!checksum).add_u16(!before).add_u16(after).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obvious(bytes: &[u8]) -> u16 {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn agrees_with_the_obvious_sum_at_every_length() {
        let bytes: Vec<u8> = (0..3000u32).map(|i| (i * 167 + 13) as u8 | 0x80).collect();
        for length in 0..300 {
            assert_eq!(
                Sum::default().add_bytes(&bytes[..length]).finish(),
                obvious(&bytes[..length])
            );
        }
        assert_eq!(Sum::default().add_bytes(&bytes).finish(), obvious(&bytes));
        let largest = vec![0xFF; 65_534];
        assert_eq!(Sum::default().add_bytes(&largest).finish(), obvious(&largest));
    }

    #[test]
    fn incremental_update_equals_a_new_sum() {
        let mut bytes = [0x12, 0x34, 0xab, 0xcd, 0, 1];
        let old = obvious(&bytes);
        bytes[2..4].copy_from_slice(&0x0542u16.to_be_bytes());
        assert_eq!(update(old, 0xabcd, 0x0542), obvious(&bytes));
    }
}
