//! First bytes of link packets: which are data, for which key and peer (protocol-facts 1 and 9).
//!
//! Control packets are told apart by their opcode and are not looked at any further.

/// Opcode of a data packet without a peer-id.
pub const DATA_V1: u8 = 6;
/// Opcode of a data packet that names a peer-id.
pub const DATA_V2: u8 = 9;
/// The peer-id that means none was assigned.
pub const UNDEFINED_PEER_ID: u32 = 0x00FF_FFFF;
/// Length of every AEAD tag.
pub const TAG_LEN: usize = 16;
const HARD_RESETS: [u8; 5] = [1, 2, 7, 8, 10];

/// Payload of a keepalive ping, sent inside the data channel (protocol-facts 12).
pub const PING: [u8; 16] = [
    0x2a, 0x18, 0x7b, 0xf3, 0x64, 0x1e, 0xb4, 0xcb, 0x07, 0xed, 0x2d, 0x0a, 0x98, 0x1f, 0xc7, 0x48,
];
/// First bytes of an OCC message inside the data channel (protocol-facts 12).
pub const OCC_MAGIC: [u8; 16] = [
    0x28, 0x7f, 0x34, 0x6b, 0xd4, 0xef, 0x7a, 0x81, 0x2d, 0x56, 0xb8, 0xd3, 0xaf, 0xc5, 0x45, 0x9c,
];

/// Layout of data packets (protocol-facts 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataFormat {
    /// `op(1)` in front; AEAD: `packet-id(4) tag(16) ciphertext`, AD = packet-id.
    V1,
    /// `op(1) peer-id(3)` in front; AEAD: as V1, AD = the first 8 bytes.
    V2,
    /// AEAD only: `op(1) peer-id(3) epoch(2) counter(6) ciphertext tag(16)`, AD = the first 12 bytes.
    Epoch,
    /// Without TLS: nothing in front, long packet-ids, no AEAD.
    Static,
}

impl DataFormat {
    /// Bytes that name key and peer.
    pub const fn header_len(self) -> usize {
        match self {
            Self::V1 => 1,
            Self::V2 | Self::Epoch => 4,
            Self::Static => 0,
        }
    }

    /// Bytes before the ciphertext of an AEAD cipher.
    pub const fn prefix_len(self) -> usize {
        match self {
            Self::V1 | Self::V2 => self.header_len() + 4 + TAG_LEN,
            Self::Epoch => 12,
            Self::Static => 0,
        }
    }

    /// Bytes after the ciphertext of an AEAD cipher.
    pub const fn suffix_len(self) -> usize {
        match self {
            Self::V1 | Self::V2 | Self::Static => 0,
            Self::Epoch => TAG_LEN,
        }
    }
}

/// Where a plaintext lies in its packet, and how long the packet becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes before the plaintext.
    pub prefix: usize,
    /// Bytes after the plaintext, padding not counted.
    pub suffix: usize,
    /// How many bytes of `prefix` are padded together with the plaintext.
    pub inner: usize,
    /// Length of the blocks that plaintexts are padded to; 0 when they are not.
    pub block: usize,
}

impl Layout {
    /// The layout of an AEAD cipher in a format.
    pub const fn of_aead(format: DataFormat) -> Self {
        Self { prefix: format.prefix_len(), suffix: format.suffix_len(), inner: 0, block: 0 }
    }

    /// Length of the packet that carries so many bytes of plaintext.
    pub const fn sealed_len(&self, plaintext: usize) -> usize {
        if self.block == 0 {
            return self.prefix + plaintext + self.suffix;
        }
        let padded = ((self.inner + plaintext) / self.block + 1) * self.block;
        self.prefix - self.inner + padded + self.suffix
    }
}

/// What the header of a data packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Three-bit number of the negotiation whose key sealed the packet.
    pub key_id: u8,
    /// The peer-id, or None in `DATA_V1`.
    pub peer_id: Option<u32>,
}

/// A packet from the link, told apart by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A data packet.
    Data(DataHeader),
    /// Anything else; `hard_reset` marks packets that would open a new session.
    Control {
        /// The packet asks for a new session, so it costs whoever answers.
        hard_reset: bool,
    },
}

/// Tells what a packet is; None when it is too short to say.
pub fn classify(packet: &[u8]) -> Option<Kind> {
    let first = *packet.first()?;
    let key_id = first & 0x07;
    match first >> 3 {
        DATA_V1 => Some(Kind::Data(DataHeader { key_id, peer_id: None })),
        DATA_V2 => {
            let [_, high, middle, low, ..] = *packet else { return None };
            let peer_id = u32::from_be_bytes([0, high, middle, low]);
            Some(Kind::Data(DataHeader { key_id, peer_id: Some(peer_id) }))
        }
        opcode => Some(Kind::Control { hard_reset: HARD_RESETS.contains(&opcode) }),
    }
}

/// First byte of a data packet with the given opcode.
pub const fn first_byte(opcode: u8, key_id: u8) -> u8 {
    (opcode << 3) | (key_id & 0x07)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_packets_name_key_and_peer() {
        let header = DataHeader { key_id: 3, peer_id: Some(0x01_0203) };
        assert_eq!(classify(&[0x4b, 1, 2, 3, 9]), Some(Kind::Data(header)));
        let header = DataHeader { key_id: 5, peer_id: None };
        assert_eq!(classify(&[0x35]), Some(Kind::Data(header)));
    }

    #[test]
    fn short_packets_are_not_told() {
        assert_eq!(classify(&[]), None);
        assert_eq!(classify(&[0x48, 0, 0]), None);
    }

    #[test]
    fn hard_resets_are_marked() {
        for opcode in 0..32u8 {
            if opcode == DATA_V1 || opcode == DATA_V2 {
                continue;
            }
            let expected = [1, 2, 7, 8, 10].contains(&opcode);
            assert_eq!(classify(&[opcode << 3]), Some(Kind::Control { hard_reset: expected }));
        }
    }
}
