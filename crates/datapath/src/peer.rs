//! One peer: its two key slots, address, counters and keepalive deadlines. No I/O.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use crate::key::{Key, OpenError, SealError};
use crate::payload::Payload;
use crate::stats::{Drop, Stats};
use crate::wire::{DataHeader, Layout};

/// A place for a key: packets are sealed with the primary, and opened with either by key-id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The key we seal with.
    Primary,
    /// The key before or after it.
    Secondary,
}

/// What a peer is added with; only the MSS limits change later.
#[derive(Clone, Copy, Debug, Default)]
pub struct PeerConfig {
    /// The handle of the peer.
    pub peer_id: u32,
    /// The peer-id in packets we send.
    pub send_peer_id: u32,
    /// Where its packets go and come from; None on TCP.
    pub remote: Option<SocketAddr>,
    /// An authenticated packet may move the peer to another address.
    pub allow_float: bool,
    /// MSS limit of IPv4 SYNs; 0 for none.
    pub mss_ipv4: u16,
    /// MSS limit of IPv6 SYNs; 0 for none.
    pub mss_ipv6: u16,
    /// Size of the replay windows of its keys.
    pub replay_window: usize,
    /// Backtrack time of the replay windows in seconds.
    pub replay_time: u64,
    /// Drop packets from tun that are addressed to `remote` itself.
    pub drop_recursive: bool,
    /// The number of the link that it came by.
    pub link: u32,
    /// Which of our addresses its packets leave from; None leaves that to the kernel.
    pub local: Option<IpAddr>,
    /// How many hardware addresses are learnt from it at most.
    pub max_learned: usize,
    /// Its VLAN, where there are any.
    pub vlan: u16,
}

/// Limits in seconds; 0 switches one off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Keepalive {
    /// Ping after this long without sending.
    pub ping_interval: u32,
    /// Silent after this long without an authenticated packet.
    pub ping_timeout: u32,
    /// Inactive when too few bytes crossed the tun side within this time.
    pub inactive_seconds: u32,
    /// How many bytes are enough.
    pub inactive_bytes: u64,
}

/// What a deadline brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a ping now.
    Ping,
    /// The peer has been silent for too long; once until it is heard again.
    Silent,
    /// Too little traffic; once.
    Inactive,
}

/// Deadlines counted from coarse instants that packets leave behind.
#[derive(Clone, Copy, Debug)]
pub struct KeepaliveClock {
    limits: Keepalive,
    sent_at: u64,
    received_at: u64,
    active_at: u64,
    moved: u64,
    silent: bool,
    inactive: bool,
}

impl KeepaliveClock {
    /// All limits start to count now.
    pub fn new(limits: Keepalive, now_ms: u64) -> Self {
        Self {
            limits,
            sent_at: now_ms,
            received_at: now_ms,
            active_at: now_ms,
            moved: 0,
            silent: false,
            inactive: false,
        }
    }

    /// Something was sent to the peer.
    pub fn sent(&mut self, now_ms: u64) {
        self.sent_at = now_ms;
    }

    /// An authenticated packet came; true when that ends a silence, so that a deadline is new.
    pub fn received(&mut self, now_ms: u64) -> bool {
        self.received_at = now_ms;
        std::mem::take(&mut self.silent)
    }

    /// User data crossed the tun side.
    pub fn crossed_tun(&mut self, bytes: u64, now_ms: u64) {
        self.moved += bytes;
        if self.moved >= self.limits.inactive_bytes {
            self.moved = 0;
            self.active_at = now_ms;
        }
    }

    /// What is due; reports come once, a ping counts as sent.
    pub fn due(&mut self, now_ms: u64) -> impl Iterator<Item = Due> + use<> {
        let passed = |start: u64, seconds: u32| seconds > 0 && now_ms >= deadline(start, seconds);
        let ping = passed(self.sent_at, self.limits.ping_interval);
        if ping {
            self.sent_at = now_ms;
        }
        let silent = !self.silent && passed(self.received_at, self.limits.ping_timeout);
        self.silent |= silent;
        let inactive = !self.inactive && passed(self.active_at, self.limits.inactive_seconds);
        self.inactive |= inactive;
        [(ping, Due::Ping), (silent, Due::Silent), (inactive, Due::Inactive)]
            .into_iter()
            .filter_map(|(is_due, due)| is_due.then_some(due))
    }

    /// The earliest instant at which something may be due, in milliseconds.
    pub fn next_deadline(&self) -> Option<u64> {
        let at = |seconds: u32, start: u64, done: bool| {
            (seconds > 0 && !done).then(|| deadline(start, seconds))
        };
        [
            at(self.limits.ping_interval, self.sent_at, false),
            at(self.limits.ping_timeout, self.received_at, self.silent),
            at(self.limits.inactive_seconds, self.active_at, self.inactive),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

fn deadline(start: u64, seconds: u32) -> u64 {
    start + u64::from(seconds) * 1000
}

/// A peer with its keys and counters.
pub struct Peer {
    config: PeerConfig,
    /// Where its packets go now; differs from the configuration after a float.
    pub remote: Option<SocketAddr>,
    /// Counters; they survive key changes.
    pub stats: Stats,
    /// Keepalive deadlines.
    pub clock: KeepaliveClock,
    /// What is done to payloads beside sealing; None, for most, is nothing.
    pub payload: Option<Box<Payload>>,
    /// It was said already that the peer's compression framing is not ours.
    pub reported_framing: bool,
    /// The number of the link that it is on now.
    pub link: u32,
    /// Its link is a stream, which is its alone.
    pub on_stream: bool,
    /// Which of our addresses its packets leave from.
    pub local: Option<IpAddr>,
    /// When its clock is looked at next; a mark of the caller's.
    pub due_at: u64,
    /// When a bad inner source was last reported; a mark of the caller's.
    pub bad_source_at: Option<u64>,
    /// When a packet too long for the path was last reported; a mark of the caller's.
    pub too_long_at: Option<u64>,
    /// How long a packet inside may be; None for any length.
    pub inner_mtu: Option<u16>,
    /// When all answers to longer ones are paid for; a mark of the caller's.
    pub answers_until: u64,
    primary: Option<Key>,
    secondary: Option<Key>,
}

impl Peer {
    /// A peer without keys.
    pub fn new(config: PeerConfig, payload: Option<Payload>, now_ms: u64) -> Self {
        Self {
            config,
            remote: config.remote,
            stats: Stats::default(),
            clock: KeepaliveClock::new(Keepalive::default(), now_ms),
            payload: payload.map(Box::new),
            reported_framing: false,
            link: config.link,
            on_stream: false,
            local: config.local,
            due_at: u64::MAX,
            bad_source_at: None,
            too_long_at: None,
            inner_mtu: None,
            answers_until: 0,
            primary: None,
            secondary: None,
        }
    }

    /// What the peer was added with, and its MSS limits.
    pub const fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Sets the MSS limits of IPv4 and IPv6 SYNs.
    pub const fn set_mss(&mut self, ipv4: u16, ipv6: u16) {
        self.config.mss_ipv4 = ipv4;
        self.config.mss_ipv6 = ipv6;
    }

    /// Puts a key into a slot, or empties it. What it held is wiped.
    pub fn set_key(&mut self, slot: Slot, key: Option<Key>) {
        match slot {
            Slot::Primary => self.primary = key,
            Slot::Secondary => self.secondary = key,
        }
    }

    /// Exchanges the slots.
    pub fn swap_keys(&mut self) {
        std::mem::swap(&mut self.primary, &mut self.secondary);
    }

    /// Where a plaintext lies in the packets we seal; None without a primary key.
    pub fn send_layout(&self) -> Option<Layout> {
        self.primary.as_ref().map(Key::layout)
    }

    /// Seals `length` bytes of plaintext in place, in a packet of the primary key's layout.
    pub fn seal(&mut self, packet: &mut [u8], length: usize) -> Result<(), SealError> {
        let key = self.primary.as_mut().ok_or(SealError::Exhausted)?;
        key.seal(self.config.send_peer_id, packet, length)
    }

    /// Opens in place with the key that the header names.
    pub fn open(
        &mut self,
        header: DataHeader,
        packet: &mut [u8],
        now_ms: u64,
    ) -> Result<Range<usize>, OpenError> {
        [self.primary.as_mut(), self.secondary.as_mut()]
            .into_iter()
            .flatten()
            .find(|key| key.key_id() == header.key_id)
            .ok_or(OpenError::NoKey)?
            .open(header, packet, now_ms)
    }

    /// The key-ids that came near a limit since the last call.
    pub fn worn_keys(&mut self) -> impl Iterator<Item = u8> {
        [self.primary.as_mut(), self.secondary.as_mut()]
            .into_iter()
            .flatten()
            .filter_map(|key| key.take_nears_limit().then(|| key.key_id()))
    }

    /// True for packets from tun that would go around in a circle.
    pub fn is_recursive(&self, destination: IpAddr) -> bool {
        self.config.drop_recursive && self.remote.is_some_and(|remote| remote.ip() == destination)
    }
}

/// The reason an unopened packet is counted under.
pub const fn drop_of(error: OpenError) -> Drop {
    match error {
        OpenError::Malformed => Drop::Malformed,
        OpenError::Replayed => Drop::Replay,
        OpenError::Unauthentic => Drop::Auth,
        OpenError::NoKey => Drop::NoKey,
        OpenError::Exhausted => Drop::Exhausted,
    }
}
