//! What the packet path needs to know of an IP packet inside the tunnel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;

/// The fixed part of an inner packet's headers, bounds checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inner {
    /// IPv6 rather than IPv4.
    pub is_ipv6: bool,
    /// Where the transport header starts (IPv6 extension headers are not walked).
    pub transport: usize,
    /// Transport protocol, or the first extension header of IPv6.
    pub protocol: u8,
    /// Length of the packet as its header says; never more than the bytes there are.
    pub length: usize,
    /// Any fragment of an IPv4 packet, the first one included.
    pub is_fragment: bool,
    /// A fragment that has no transport header.
    pub is_later_fragment: bool,
}

impl Inner {
    /// Looks at the IP header; None when it is not a whole one.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        match packet.first()? >> 4 {
            4 => Self::parse_v4(packet),
            6 => Self::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<20>()?;
        let transport = usize::from(header[0] & 0x0F) * 4;
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        if transport < 20 || length < transport || packet.len() < length {
            return None;
        }
        let fragment = u16::from_be_bytes([header[6], header[7]]);
        Some(Self {
            is_ipv6: false,
            transport,
            protocol: header[9],
            length,
            is_fragment: fragment & 0x3FFF != 0,
            is_later_fragment: fragment & 0x1FFF != 0,
        })
    }

    fn parse_v6(packet: &[u8]) -> Option<Self> {
        let header = packet.first_chunk::<40>()?;
        let length = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
        if packet.len() < length {
            return None;
        }
        Some(Self {
            is_ipv6: true,
            transport: 40,
            protocol: header[6],
            length,
            is_fragment: false,
            is_later_fragment: false,
        })
    }
}

/// Source address; None for what does not start with a whole IP header.
pub fn source(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let address = packet.first_chunk::<16>()?.last_chunk::<4>()?;
            (packet.len() >= 20).then(|| IpAddr::V4(Ipv4Addr::from(*address)))
        }
        6 => {
            let address = packet.first_chunk::<24>()?.last_chunk::<16>()?;
            (packet.len() >= 40).then(|| IpAddr::V6(Ipv6Addr::from(*address)))
        }
        _ => None,
    }
}

/// Destination address; None for what does not start with a whole IP header.
pub fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => {
            let address = packet.first_chunk::<20>()?.last_chunk::<4>()?;
            Some(IpAddr::V4(Ipv4Addr::from(*address)))
        }
        6 => {
            let address = packet.first_chunk::<40>()?.last_chunk::<16>()?;
            Some(IpAddr::V6(Ipv6Addr::from(*address)))
        }
        _ => None,
    }
}
