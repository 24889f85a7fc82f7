//! From a link to the device: control goes up, data is opened in place and joined for the device.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use ginnel_datapath::coalesce::{Coalescer, Sink};
use ginnel_datapath::key::OpenError;
use ginnel_datapath::payload::Unwrapped;
use ginnel_datapath::payload::framing::looks_framed;
use ginnel_datapath::payload::nat::Direction;
use ginnel_datapath::peer::{Peer, drop_of};
use ginnel_datapath::route::Routes;
use ginnel_datapath::stats::{Drop, Stats};
use ginnel_datapath::vlan::{self, Dress};
use ginnel_datapath::vnet::VnetHeader;
use ginnel_datapath::wire::{DataHeader, Kind, OCC_MAGIC, PING};
use ginnel_datapath::{ether, inner};
use ginnel_netio::sys::errno;
use ginnel_netio::tun::Tun;
use ginnel_netio::udp::Received;

use crate::backlog::Backlog;
use crate::bucket::Bucket;
use crate::control::{Acquaintances, Control, Standing};
use crate::fair::Incoming;
use crate::lane::{clamp, report_worn, send_payload};
use crate::outbound::Carrier;
use crate::outbox::{Note, NoteKind};
use crate::peers::is_same;
use crate::switch::{Switch, Target, Verdict};

/// A control packet holds at most 2048 bytes of TLS, a wrapped client key of 1024, and headers.
const MAX_CONTROL_LEN: usize = 4096;

/// What the way in needs of the state.
pub(crate) struct Inbound<'a> {
    pub(crate) carrier: Carrier<'a>,
    pub(crate) routes: &'a Routes,
    /// Of a server.
    pub(crate) switch: Option<&'a mut Switch>,
    pub(crate) coalescer: &'a mut Coalescer,
    pub(crate) tun: TunSink<'a>,
    pub(crate) bucket: &'a mut Bucket,
    pub(crate) acquaintances: &'a Acquaintances,
    pub(crate) unassigned: &'a mut Stats,
    /// What waits its turn.
    pub(crate) backlog: &'a mut Backlog<Incoming>,
    /// The link that is read.
    pub(crate) link: u32,
}

/// Where a datagram came from, and which of our addresses it came to.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) from: SocketAddr,
    pub(crate) local: Option<IpAddr>,
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
    /// Takes what the kernel joined, which lies in `storage`; each packet begins with `front`.
    pub(crate) fn message(&mut self, storage: &mut [u8], message: &Received, front: &[u8]) {
        let way = Some(Way { from: message.from, local: message.local });
        let mut start = message.range.start;
        loop {
            let end = (start + message.segment).min(message.range.end);
            if storage[start..end].starts_with(front) {
                self.packet(storage, start + front.len()..end, way);
            } else {
                self.unassigned.drop(Drop::Malformed, 1);
            }
            start = end;
            if start >= message.range.end {
                break;
            }
        }
    }

    /// The peer that says to have sent a data packet, if it is where its packets come from.
    pub(crate) fn settled_sender(&mut self, packet: &[u8], from: SocketAddr) -> Option<u32> {
        let peers = &mut *self.carrier.peers;
        let Some(Kind::Data(header)) = peers.classify(packet) else { return None };
        let peer_id = peers.sender(header.peer_id, (self.link, Some(from)))?;
        peers.get(peer_id).filter(|peer| is_at(peer, self.link, from)).map(|_| peer_id)
    }

    /// Takes one packet of the link, which lies in `storage`; on a stream it has no way.
    pub(crate) fn packet(&mut self, storage: &mut [u8], range: Range<usize>, way: Option<Way>) {
        match self.carrier.peers.classify(&storage[range.clone()]) {
            None => self.unassigned.drop(Drop::Malformed, 1),
            Some(Kind::Data(header)) => self.data(storage, range, header, way),
            Some(Kind::Control { hard_reset }) => {
                self.control(&storage[range], hard_reset, way);
            }
        }
    }

    /// Writes what the coalescer still holds; to be called before the storage is reused.
    pub(crate) fn finish(&mut self, storage: &mut [u8]) {
        self.coalescer.finish(storage, &mut self.tun);
        if self.tun.refused_join {
            self.coalescer.disable();
        }
        self.unassigned.drop(Drop::TunError, std::mem::take(&mut self.tun.failed));
    }

    fn control(&mut self, packet: &[u8], hard_reset: bool, way: Option<Way>) {
        if packet.len() > MAX_CONTROL_LEN {
            self.unassigned.drop(Drop::Malformed, 1);
            return;
        }
        // Who has a stream has shown that its address is its own.
        let counts = hard_reset && way.is_some();
        if counts && !self.bucket.take(self.carrier.ways.now) {
            self.unassigned.drop(Drop::Flood, 1);
            return;
        }
        let source = way.map(|way| way.from);
        let place = (self.link, source);
        let is_client = self.switch.is_none() && way.is_none();
        let standing = if is_client || self.carrier.peers.at(place).is_some() {
            Standing::Peer
        } else if way.is_none() || self.acquaintances.knows(&place) {
            Standing::Acquaintance
        } else {
            Standing::Stranger
        };
        let local = way.and_then(|way| way.local);
        let control = Control { payload: packet.to_vec(), source, link: self.link, local };
        if !self.carrier.outbox.push_control(control, standing) {
            self.unassigned.drop(Drop::ControlFull, 1);
            if counts {
                self.bucket.give(1);
            }
        }
    }

    fn data(
        &mut self,
        storage: &mut [u8],
        range: Range<usize>,
        header: DataHeader,
        way: Option<Way>,
    ) {
        let place = (self.link, way.map(|way| way.from));
        let peers = &mut *self.carrier.peers;
        // A client's lone peer, its server, is meant whatever the packet says.
        let lone = if self.switch.is_none() { peers.lone_id() } else { None };
        let sender = lone.or_else(|| peers.sender(header.peer_id, place));
        let Some(peer) = sender.and_then(|peer_id| peers.get(peer_id)) else {
            self.unassigned.drop(Drop::NoPeer, 1);
            return;
        };
        let peer_id = peer.config().peer_id;
        let moved = way.map(|way| way.from).filter(|from| !is_at(peer, self.link, *from));
        if moved.is_some_and(|from| !self.may_move(peer_id, from)) {
            return;
        }
        let Some(peer) = self.carrier.peers.get(peer_id) else { return };
        let packet = &mut storage[range.clone()];
        let length = packet.len() as u64;
        let now = self.carrier.ways.now;
        let plain = match peer.open(header, packet, now) {
            Ok(plain) => plain,
            Err(error) => {
                peer.stats.drop(drop_of(error), 1);
                report_worn(peer, self.carrier.outbox);
                let ends_stream = matches!(
                    error,
                    OpenError::Unauthentic | OpenError::Malformed | OpenError::Replayed
                );
                if way.is_none() && ends_stream {
                    let note = Note::new(NoteKind::DecryptError, peer_id);
                    let (key_id, link) = (header.key_id, self.link);
                    self.carrier.outbox.push_note(Note { key_id, link, ..note });
                }
                return;
            }
        };
        let broke_silence = peer.clock.received(now);
        peer.stats.link_read_packets += 1;
        peer.stats.link_read_bytes += length;
        report_worn(peer, self.carrier.outbox);
        let local = way.and_then(|way| way.local);
        if local.is_some() {
            peer.local = local;
        }
        if broke_silence {
            self.carrier.peers.schedule(peer_id);
        }
        if let Some(to) = moved {
            self.carrier.peers.float(peer_id, self.link, to);
            let note = Note::new(NoteKind::Floated, peer_id);
            let link = self.link;
            self.carrier.outbox.push_note(Note { remote: Some(to), link, local, ..note });
        }
        self.deliver(storage, range.start + plain.start..range.start + plain.end, peer_id);
    }

    /// Tells whether a peer may have moved to an address, if its packet turns out authentic; counts
    /// the packet if not.
    fn may_move(&mut self, peer_id: u32, from: SocketAddr) -> bool {
        let is_free = self.carrier.peers.at((self.link, Some(from))).is_none();
        let Some(peer) = self.carrier.peers.get(peer_id) else { return false };
        let may_move = is_free && peer.config().allow_float && !peer.on_stream;
        if !may_move {
            peer.stats.drop(Drop::Source, 1);
        }
        may_move
    }

    /// Takes an opened payload: ping, OCC or an inner packet.
    fn deliver(&mut self, storage: &mut [u8], range: Range<usize>, peer_id: u32) {
        let now = self.carrier.ways.now;
        let Some(peer) = self.carrier.peers.get(peer_id) else { return };
        let Some(payload) = &mut peer.payload else {
            self.inner(storage, range, peer_id);
            return;
        };
        match payload.unwrap(&mut storage[range.clone()], now) {
            Ok(Unwrapped::Here(Range { start, end })) => {
                self.inner(storage, range.start + start..range.start + end, peer_id);
            }
            Ok(Unwrapped::Apart(mut bytes, range)) => {
                if let Some(way) = self.judge(peer_id, &mut bytes[range.clone()]) {
                    // What came before it goes first.
                    self.coalescer.finish(storage, &mut self.tun);
                    write(&mut self.tun, &bytes[range], way);
                }
            }
            Ok(Unwrapped::Unfinished) => {}
            Err(reason) => {
                let first = payload.refused;
                peer.stats.drop(reason, 1);
                if matches!(reason, Drop::Framing | Drop::Compressed) {
                    self.report_framing(peer_id, first);
                }
            }
        }
    }

    /// Takes a payload that lies in the storage.
    fn inner(&mut self, storage: &mut [u8], range: Range<usize>, peer_id: u32) {
        match self.judge(peer_id, &mut storage[range.clone()]) {
            None => {}
            Some((Dress::AsItIs, _)) => self.coalescer.push(storage, range, &mut self.tun),
            Some(tagged) => {
                self.coalescer.finish(storage, &mut self.tun);
                write(&mut self.tun, &storage[range], tagged);
            }
        }
    }

    /// Looks at a payload and sends it to the peers it is for; returns how the device gets it, if
    /// it does.
    fn judge(&mut self, peer_id: u32, payload: &mut [u8]) -> Option<(Dress, u16)> {
        if payload == PING {
            return None;
        }
        if payload.starts_with(&OCC_MAGIC) {
            self.carrier.outbox.push_occ(peer_id, payload);
            return None;
        }
        let ways = self.carrier.ways;
        let peer = self.carrier.peers.get(peer_id)?;
        let is_whole = if ways.is_ethernet {
            payload.len() >= ether::HEADER_LEN
        } else {
            inner::destination(payload).is_some()
        };
        if !is_whole {
            peer.stats.drop(Drop::NotIp, 1);
            if looks_framed(payload) {
                self.report_framing(peer_id, payload[0]);
            }
            return None;
        }
        let Some(switch) = self.switch.as_deref_mut() else {
            clamp(peer, payload, ways.is_ethernet);
            if let Some(rules) = &peer.payload {
                rules.translate(payload, Direction::In);
            }
            count_written(peer, payload, ways.now);
            return Some((Dress::AsItIs, 0));
        };
        let checked =
            switch.check_source(self.routes, peer, payload, self.carrier.outbox, ways.now);
        if let Err(reason) = checked {
            peer.stats.drop(reason, 1);
            return None;
        }
        if let Some(answer) = peer.payload.as_ref().and_then(|rules| rules.refuse(payload)) {
            peer.stats.drop(Drop::BlockedIpv6, 1);
            send_payload(peer, self.carrier.links, &answer, ways);
            return None;
        }
        clamp(peer, payload, ways.is_ethernet);
        let Verdict { target, dress, vlan } = switch.judge_peers(self.routes, peer, payload);
        if dress.is_some() {
            count_written(peer, payload, ways.now);
        } else if target.is_some() {
            peer.clock.crossed_tun(payload.len() as u64, ways.now);
        }
        match target {
            None => {}
            Some(Target::Peer(to)) => {
                if let Some(answer) = self.carrier.take_from_peer(to, payload)
                    && let Some(peer) = self.carrier.peers.get(peer_id)
                {
                    send_payload(peer, self.carrier.links, &answer, ways);
                }
            }
            Some(Target::All { vlan }) => {
                // Counted before anybody is looked at: a flood costs the same with many peers.
                let copies = switch.count_members(self.carrier.peers, vlan).saturating_sub(1);
                if switch.may_copy(copies, ways.now) {
                    for to in self.carrier.members(switch, vlan, Some(peer_id)) {
                        // What is for many is not answered.
                        self.carrier.take_from_peer(to, payload);
                    }
                } else if let Some(peer) = self.carrier.peers.get(peer_id) {
                    peer.stats.drop(Drop::BroadcastFlood, 1);
                }
            }
        }
        dress.map(|dress| (dress, vlan))
    }

    /// Says once that the two ends do not agree on the framing.
    fn report_framing(&mut self, peer_id: u32, first: u8) {
        let Some(peer) = self.carrier.peers.get(peer_id) else { return };
        if !std::mem::replace(&mut peer.reported_framing, true) {
            let note = Note::new(NoteKind::BadFraming, peer_id);
            self.carrier.outbox.push_note(Note { payload: vec![first], ..note });
        }
    }
}

/// True when a datagram of a link comes from where the peer is.
fn is_at(peer: &Peer, link: u32, from: SocketAddr) -> bool {
    peer.link == link && peer.remote.is_some_and(|remote| is_same(remote, from))
}

fn count_written(peer: &mut Peer, payload: &[u8], now: u64) {
    peer.stats.tun_write_packets += 1;
    peer.stats.tun_write_bytes += payload.len() as u64;
    peer.clock.crossed_tun(payload.len() as u64, now);
}

/// Writes a packet to the device as it wants to have it.
fn write(tun: &mut TunSink<'_>, packet: &[u8], (dress, vlan): (Dress, u16)) {
    let tagged = match dress {
        Dress::AsItIs => None,
        Dress::Tag => Some(vlan::tagged(packet, vlan)),
    };
    let packet = tagged.as_deref().unwrap_or(packet);
    let whole = 0..packet.len();
    tun.write(VnetHeader::default(), packet, &[whole]);
}
