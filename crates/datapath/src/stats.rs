//! Counters of one peer, and the reasons packets are dropped for.

/// Why a packet was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Seen before or too old.
    Replay,
    /// Did not authenticate.
    Auth,
    /// No key with that key-id or epoch, or none to seal with.
    NoKey,
    /// Too short, or not what it should be.
    Malformed,
    /// From an address that is not the peer's.
    Source,
    /// The key's limits are reached.
    Exhausted,
    /// From tun, for the peer's own outer address.
    Recursive,
    /// The link had no room, or refused it for now.
    LinkFull,
    /// The link's socket reported an error.
    LinkError,
    /// The tun device did not take it.
    TunError,
    /// The packet is larger than the link lets through.
    TooBig,
    /// Neither IPv4 nor IPv6.
    NotIp,
    /// Names no peer, or comes from nobody's address.
    NoPeer,
    /// From tun, and no peer has a route for it.
    NoRoute,
    /// More control packets waited than are kept.
    ControlFull,
    /// More hard resets came than are handed up.
    Flood,
    /// The compression framing is not the one agreed on.
    Framing,
    /// The peer compressed, which is not allowed here.
    Compressed,
    /// Could not be decompressed, or would become too long.
    Decompression,
    /// A fragment that cannot be one.
    Fragment,
    /// IPv6 that is blocked.
    BlockedIpv6,
    /// From a peer, with an inner source that is not its own.
    SourceAddress,
    /// A frame whose VLAN, or lack of one, is not let in.
    Vlan,
    /// From a peer, for all others, and too many copies were made lately.
    BroadcastFlood,
    /// There is no link of that number, or none yet.
    NoLink,
    /// More waited than is kept while many peers sent, and most of it was this peer's.
    Overload,
}

/// All reasons with their names on the interface.
pub const DROPS: [(Drop, &str); 26] = [
    (Drop::Replay, "replay"),
    (Drop::Auth, "auth"),
    (Drop::NoKey, "no-key"),
    (Drop::Malformed, "malformed"),
    (Drop::Source, "source"),
    (Drop::Exhausted, "key-exhausted"),
    (Drop::Recursive, "recursive"),
    (Drop::LinkFull, "link-full"),
    (Drop::LinkError, "link-error"),
    (Drop::TunError, "tun-error"),
    (Drop::TooBig, "link-emsgsize"),
    (Drop::NotIp, "not-ip"),
    (Drop::NoPeer, "no-peer"),
    (Drop::NoRoute, "no-route"),
    (Drop::ControlFull, "control-full"),
    (Drop::Flood, "hard-reset-flood"),
    (Drop::Framing, "framing"),
    (Drop::Compressed, "compressed"),
    (Drop::Decompression, "decompression"),
    (Drop::Fragment, "fragment"),
    (Drop::BlockedIpv6, "blocked-ipv6"),
    (Drop::SourceAddress, "source-address"),
    (Drop::Vlan, "vlan"),
    (Drop::BroadcastFlood, "broadcast-flood"),
    (Drop::NoLink, "no-link"),
    (Drop::Overload, "overload"),
];

/// Counters since the peer was added; they survive key changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes of inner packets read from tun for this peer.
    pub tun_read_bytes: u64,
    /// Inner packets (after segmentation) read from tun for this peer.
    pub tun_read_packets: u64,
    /// Bytes of inner packets given to tun.
    pub tun_write_bytes: u64,
    /// Inner packets (before coalescing) given to tun.
    pub tun_write_packets: u64,
    /// Bytes of authenticated data packets received, with header and tag.
    pub link_read_bytes: u64,
    /// Authenticated data packets received.
    pub link_read_packets: u64,
    /// Bytes of data packets sent.
    pub link_write_bytes: u64,
    /// Data packets sent.
    pub link_write_packets: u64,
    drops: [u64; DROPS.len()],
}

impl Stats {
    /// Counts dropped packets.
    pub fn drop(&mut self, reason: Drop, packets: u64) {
        self.drops[reason as usize] += packets;
    }

    /// How many packets were dropped for the reason.
    pub fn dropped(&self, reason: Drop) -> u64 {
        self.drops[reason as usize]
    }

    /// Reasons that occurred, with their counts.
    pub fn drops(&self) -> impl Iterator<Item = (&'static str, u64)> {
        DROPS.iter().map(|(reason, name)| (*name, self.dropped(*reason))).filter(|(_, n)| *n > 0)
    }
}
