//! The 10-byte `virtio_net_hdr` in front of packets of a TUN device opened with `IFF_VNET_HDR`.
//!
//! Its fields are in the byte order of the host.

/// Length of the header.
pub const LEN: usize = 10;
/// `flags`: the checksum from `checksum_start` on is only begun.
pub const NEEDS_CHECKSUM: u8 = 1;
/// `gso_type`: an ordinary packet.
pub const GSO_NONE: u8 = 0;
/// `gso_type`: TCP over IPv4.
pub const GSO_TCP4: u8 = 1;
/// `gso_type`: TCP over IPv6.
pub const GSO_TCP6: u8 = 4;
/// `gso_type`: UDP datagrams of equal length.
pub const GSO_UDP: u8 = 5;
/// Bit of `gso_type`: the first segment carries CWR.
pub const GSO_ECN: u8 = 0x80;

/// The header, decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    /// `NEEDS_CHECKSUM` or 0.
    pub flags: u8,
    /// One of the `GSO_` values.
    pub gso_type: u8,
    /// Length of all headers of the packet.
    pub header_len: u16,
    /// Payload bytes of each segment.
    pub gso_size: u16,
    /// Where the checksummed part starts.
    pub checksum_start: u16,
    /// Where the checksum lies, counted from `checksum_start`.
    pub checksum_offset: u16,
}

impl VnetHeader {
    /// Decodes the header.
    pub fn decode(bytes: &[u8; LEN]) -> Self {
        let [flags, gso_type, h0, h1, g0, g1, s0, s1, o0, o1] = *bytes;
        Self {
            flags,
            gso_type,
            header_len: u16::from_ne_bytes([h0, h1]),
            gso_size: u16::from_ne_bytes([g0, g1]),
            checksum_start: u16::from_ne_bytes([s0, s1]),
            checksum_offset: u16::from_ne_bytes([o0, o1]),
        }
    }

    /// Encodes the header.
    pub fn encode(self) -> [u8; LEN] {
        let [h0, h1] = self.header_len.to_ne_bytes();
        let [g0, g1] = self.gso_size.to_ne_bytes();
        let [s0, s1] = self.checksum_start.to_ne_bytes();
        let [o0, o1] = self.checksum_offset.to_ne_bytes();
        [self.flags, self.gso_type, h0, h1, g0, g1, s0, s1, o0, o1]
    }
}
