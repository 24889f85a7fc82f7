//! From the link to tun: control goes up, data is opened in place and joined for the device.

use std::net::SocketAddr;
use std::ops::Range;

use ginnel_datapath::coalesce::{Coalescer, Sink};
use ginnel_datapath::key::OpenError;
use ginnel_datapath::payload::Unwrapped;
use ginnel_datapath::payload::framing::looks_framed;
use ginnel_datapath::payload::nat::Direction;
use ginnel_datapath::peer::{Peer, drop_of};
use ginnel_datapath::stats::{Drop, Stats};
use ginnel_datapath::vnet::VnetHeader;
use ginnel_datapath::wire::{DataHeader, Kind, OCC_MAGIC, PING};
use ginnel_datapath::{ether, inner};
use ginnel_netio::sys::errno;
use ginnel_netio::tun::Tun;

use crate::bucket::Bucket;
use crate::outbound::{clamp, report_worn};
use crate::outbox::{Note, NoteKind, Outbox};
use crate::peers::{Peers, is_same};

/// A control packet holds at most 2048 bytes of TLS, a wrapped client key of 1024, and headers.
const MAX_CONTROL_LEN: usize = 4096;

/// What the way in needs of the state.
pub(crate) struct Inbound<'a> {
    pub(crate) peers: &'a mut Peers,
    pub(crate) coalescer: &'a mut Coalescer,
    pub(crate) tun: TunSink<'a>,
    pub(crate) outbox: &'a Outbox,
    pub(crate) bucket: &'a mut Bucket,
    pub(crate) unassigned: &'a mut Stats,
    pub(crate) is_ethernet: bool,
    pub(crate) now: u64,
    /// A peer that had been reported silent was heard.
    pub(crate) broke_silence: bool,
}

/// The device as the coalescer sees it; None discards.
pub(crate) struct TunSink<'a> {
    pub(crate) tun: Option<&'a Tun>,
    pub(crate) failed: u64,
    pub(crate) refused_join: bool,
    pub(crate) lost: Option<i32>,
}

impl<'a> TunSink<'a> {
    pub(crate) const fn new(tun: Option<&'a Tun>) -> Self {
        Self { tun, failed: 0, refused_join: false, lost: None }
    }
}

impl Sink for TunSink<'_> {
    fn write(&mut self, header: VnetHeader, storage: &[u8], parts: &[Range<usize>]) {
        let Some(tun) = self.tun else { return };
        if let Err(error) = tun.write(&header.encode(), storage, parts) {
            self.failed += parts.len() as u64;
            match errno(&error) {
                libc::EBADFD | libc::ENODEV => self.lost = Some(errno(&error)),
                libc::EINVAL if parts.len() > 1 => self.refused_join = true,
                _ => {}
            }
        }
    }
}

impl Inbound<'_> {
    /// Takes one packet of the link, which lies in `storage`.
    pub(crate) fn packet(
        &mut self,
        storage: &mut [u8],
        range: Range<usize>,
        from: Option<SocketAddr>,
    ) {
        match self.peers.classify(&storage[range.clone()]) {
            None => self.unassigned.drop(Drop::Malformed, 1),
            Some(Kind::Data(header)) => self.data(storage, range, header, from),
            Some(Kind::Control { hard_reset }) => {
                if range.len() > MAX_CONTROL_LEN {
                    self.unassigned.drop(Drop::Malformed, 1);
                } else if hard_reset && !self.bucket.take(self.now) {
                    self.unassigned.drop(Drop::Flood, 1);
                } else {
                    let is_peer = from.is_none_or(|from| !self.peers.is_free(from));
                    if !self.outbox.push_control(&storage[range], from, is_peer) {
                        self.unassigned.drop(Drop::ControlFull, 1);
                    }
                }
            }
        }
    }

    /// Writes what the coalescer still holds; to be called before the storage is reused.
    pub(crate) fn finish(&mut self, storage: &mut [u8]) {
        self.coalescer.finish(storage, &mut self.tun);
        if self.tun.refused_join {
            self.coalescer.disable();
        }
        self.unassigned.drop(Drop::TunError, self.tun.failed);
    }

    fn data(
        &mut self,
        storage: &mut [u8],
        range: Range<usize>,
        header: DataHeader,
        from: Option<SocketAddr>,
    ) {
        let moved = match self.check_source(header, from) {
            Ok(moved) => moved,
            Err(Ignored) => return,
        };
        let Some(peer) = self.peers.sender(header.peer_id, from) else { return };
        let peer_id = peer.config().peer_id;
        let packet = &mut storage[range.clone()];
        let length = packet.len() as u64;
        let plain = match peer.open(header, packet, self.now) {
            Ok(plain) => plain,
            Err(error) => {
                peer.stats.drop(drop_of(error), 1);
                report_worn(peer, self.outbox);
                let ends_stream = matches!(
                    error,
                    OpenError::Unauthentic | OpenError::Malformed | OpenError::Replayed
                );
                if from.is_none() && ends_stream {
                    let note = Note::new(NoteKind::DecryptError, peer_id);
                    self.outbox.push_note(Note { key_id: header.key_id, ..note });
                }
                return;
            }
        };
        self.broke_silence |= peer.clock.received(self.now);
        peer.stats.link_read_packets += 1;
        peer.stats.link_read_bytes += length;
        report_worn(peer, self.outbox);
        if let Some(to) = moved {
            self.peers.float(peer_id, to);
            let note = Note::new(NoteKind::Floated, peer_id);
            self.outbox.push_note(Note { remote: Some(to), ..note });
        }
        self.deliver(storage, range.start + plain.start..range.start + plain.end, peer_id);
    }

    /// Tells where the peer moved to if its packet turns out authentic.
    fn check_source(
        &mut self,
        header: DataHeader,
        from: Option<SocketAddr>,
    ) -> Result<Option<SocketAddr>, Ignored> {
        let Some(peer) = self.peers.sender(header.peer_id, from) else {
            self.unassigned.drop(Drop::NoPeer, 1);
            return Err(Ignored);
        };
        let Some(from) = from else { return Ok(None) };
        if peer.remote.is_some_and(|remote| is_same(remote, from)) {
            return Ok(None);
        }
        let allow_float = peer.config().allow_float;
        if allow_float && self.peers.is_free(from) {
            return Ok(Some(from));
        }
        if let Some(peer) = self.peers.sender(header.peer_id, Some(from)) {
            peer.stats.drop(Drop::Source, 1);
        }
        Err(Ignored)
    }

    /// Takes an opened payload: ping, OCC or an inner packet.
    fn deliver(&mut self, storage: &mut [u8], range: Range<usize>, peer_id: u32) {
        let Some(peer) = self.peers.get(peer_id) else { return };
        let accept = Accept { outbox: self.outbox, is_ethernet: self.is_ethernet, now: self.now };
        let Some(payload) = &mut peer.payload else {
            if accept.packet(peer, &mut storage[range.clone()]) {
                self.coalescer.push(storage, range, &mut self.tun);
            }
            return;
        };
        match payload.unwrap(&mut storage[range.clone()], self.now) {
            Ok(Unwrapped::Here(Range { start, end })) => {
                let range = range.start + start..range.start + end;
                if accept.packet(peer, &mut storage[range.clone()]) {
                    self.coalescer.push(storage, range, &mut self.tun);
                }
            }
            Ok(Unwrapped::Apart(mut bytes, range)) => {
                if accept.packet(peer, &mut bytes[range.clone()]) {
                    // What came before it goes first.
                    self.coalescer.finish(storage, &mut self.tun);
                    self.tun.write(VnetHeader::default(), &bytes, &[range]);
                }
            }
            Ok(Unwrapped::Unfinished) => {}
            Err(reason) => {
                let first = payload.refused;
                peer.stats.drop(reason, 1);
                if matches!(reason, Drop::Framing | Drop::Compressed) {
                    accept.report_framing(peer, first);
                }
            }
        }
    }
}

/// Looks at one payload.
struct Accept<'a> {
    outbox: &'a Outbox,
    is_ethernet: bool,
    now: u64,
}

impl Accept<'_> {
    /// True for an inner packet, which is ready for the device then.
    fn packet(&self, peer: &mut Peer, payload: &mut [u8]) -> bool {
        if payload == PING {
            return false;
        }
        if payload.starts_with(&OCC_MAGIC) {
            self.outbox.push_occ(peer.config().peer_id, payload);
            return false;
        }
        let is_whole = if self.is_ethernet {
            payload.len() >= ether::HEADER_LEN
        } else {
            inner::destination(payload).is_some()
        };
        if !is_whole {
            peer.stats.drop(Drop::NotIp, 1);
            if looks_framed(payload) {
                self.report_framing(peer, payload[0]);
            }
            return false;
        }
        clamp(peer, payload, self.is_ethernet);
        if let Some(rules) = &peer.payload {
            rules.translate(payload, Direction::In);
        }
        peer.stats.tun_write_packets += 1;
        peer.stats.tun_write_bytes += payload.len() as u64;
        peer.clock.crossed_tun(payload.len() as u64, self.now);
        true
    }

    /// Says once that the two ends do not agree on the framing.
    fn report_framing(&self, peer: &mut Peer, first: u8) {
        if !std::mem::replace(&mut peer.reported_framing, true) {
            let note = Note::new(NoteKind::BadFraming, peer.config().peer_id);
            self.outbox.push_note(Note { payload: vec![first], ..note });
        }
    }
}

/// The packet was counted and goes nowhere.
struct Ignored;
