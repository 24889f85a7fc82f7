//! From tun to the link: route, cut, clamp, seal straight into the batch.

use std::net::{IpAddr, SocketAddr};

use ginnel_datapath::key::SealError;
use ginnel_datapath::payload::{Payload, Shape};
use ginnel_datapath::peer::Peer;
use ginnel_datapath::route::Routes;
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::stats::{Drop, Stats};
use ginnel_datapath::vnet::VnetHeader;
use ginnel_datapath::{ether, inner, mss};

use crate::link::FRAME_LEN;
use crate::outbox::{Note, NoteKind, Outbox};
use crate::peers::Peers;
use crate::transmit::Batch;

/// What the way out needs of the state.
pub(crate) struct Outbound<'a> {
    pub(crate) peers: &'a mut Peers,
    pub(crate) routes: &'a Routes,
    pub(crate) batch: &'a mut Batch,
    pub(crate) outbox: &'a Outbox,
    pub(crate) unassigned: &'a mut Stats,
    /// None while no link is attached.
    pub(crate) is_stream: Option<bool>,
    pub(crate) is_ethernet: bool,
    pub(crate) now: u64,
}

impl Outbound<'_> {
    /// Takes one read from tun: a packet or a super-packet. Returns what has to be written back to
    /// tun, where a packet is answered instead of sent.
    pub(crate) fn packet(&mut self, header: VnetHeader, packet: &mut [u8]) -> Option<Vec<u8>> {
        let (peer, destination) = match find(self.peers, self.routes, packet, self.is_ethernet) {
            Ok(found) => found,
            Err(reason) => {
                self.unassigned.drop(reason, 1);
                return None;
            }
        };
        let Ok(plan) = segment::plan(header, packet) else {
            peer.stats.drop(Drop::Malformed, 1);
            return None;
        };
        let (count, bytes) = match &plan {
            Plan::Whole => (1, packet.len()),
            Plan::Split(segments) => {
                (segments.count(), (0..segments.count()).map(|index| segments.len(index)).sum())
            }
        };
        peer.stats.tun_read_packets += count as u64;
        peer.stats.tun_read_bytes += bytes as u64;
        if destination.is_some_and(|destination| peer.is_recursive(destination)) {
            peer.stats.drop(Drop::Recursive, count as u64);
            return None;
        }
        let mut tos = 0;
        if let Some(payload) = &peer.payload {
            if let Some(answer) = payload.refuse(packet) {
                peer.stats.drop(Drop::BlockedIpv6, count as u64);
                return Some(answer);
            }
            tos = payload.tos_of(packet);
        }
        peer.clock.crossed_tun(bytes as u64, self.now);
        let is_stream = self.is_stream?;
        let mut lane = Lane { peer, batch: self.batch, is_stream, tos, now: self.now };
        let first = packet[0];
        match plan {
            Plan::Whole => {
                clamp(lane.peer, packet, self.is_ethernet);
                lane.send(first, packet.len(), |out| out.copy_from_slice(packet));
            }
            Plan::Split(segments) => {
                for index in 0..segments.count() {
                    let length = segments.len(index);
                    lane.send(first, length, |out| segments.write(index, packet, out));
                }
            }
        }
        report_worn(lane.peer, self.outbox);
        None
    }
}

/// Whose packet it is, and where to; the latter is not known of every Ethernet frame.
fn find<'a>(
    peers: &'a mut Peers,
    routes: &Routes,
    packet: &[u8],
    is_ethernet: bool,
) -> Result<(&'a mut Peer, Option<IpAddr>), Drop> {
    if is_ethernet {
        if packet.len() < ether::HEADER_LEN {
            return Err(Drop::Malformed);
        }
        let destination = ether::ip_offset(packet).and_then(|at| inner::destination(&packet[at..]));
        return Ok((peers.lone().ok_or(Drop::NoRoute)?, destination));
    }
    let destination = inner::destination(packet).ok_or(Drop::NotIp)?;
    let peer_id = routes.lookup(destination).ok_or(Drop::NoRoute)?;
    Ok((peers.get(peer_id).ok_or(Drop::NoRoute)?, Some(destination)))
}

/// Lowers the MSS of a SYN that crosses the tunnel, in a packet or in a frame.
pub(crate) fn clamp(peer: &Peer, packet: &mut [u8], is_ethernet: bool) {
    let at = if is_ethernet { ether::ip_offset(packet) } else { Some(0) };
    if let Some(at) = at {
        mss::clamp(&mut packet[at..], peer.config().mss_ipv4, peer.config().mss_ipv6);
    }
}

/// Seals a payload of our own for a peer: a ping, an OCC message.
pub(crate) fn send_payload(
    peer: &mut Peer,
    batch: &mut Batch,
    is_stream: bool,
    payload: &[u8],
    now: u64,
) {
    let Some(first) = payload.first() else { return };
    let mut lane = Lane { peer, batch, is_stream, tos: 0, now };
    lane.send(*first, payload.len(), |out| out.copy_from_slice(payload));
}

/// Reports keys that came near a limit.
pub(crate) fn report_worn(peer: &mut Peer, outbox: &Outbox) {
    let peer_id = peer.config().peer_id;
    for key_id in peer.worn_keys() {
        outbox.push_note(Note { key_id, ..Note::new(NoteKind::KeyExhausted, peer_id) });
    }
}

/// One peer's way into the batch.
struct Lane<'a> {
    peer: &'a mut Peer,
    batch: &'a mut Batch,
    is_stream: bool,
    tos: u8,
    now: u64,
}

impl Lane<'_> {
    /// Sends a packet that `fill` writes and that begins with the byte `first`.
    fn send(&mut self, first: u8, length: usize, fill: impl FnOnce(&mut [u8])) {
        // Taken out and put back, because the rest of the peer is needed meanwhile.
        let Some(mut payload) = self.peer.payload.take() else {
            self.seal(length, fill);
            return;
        };
        self.send_wrapped(&mut payload, first, length, fill);
        self.peer.payload = Some(payload);
    }

    /// Sends a packet with framing, fragment header and so on.
    fn send_wrapped(
        &mut self,
        payload: &mut Payload,
        first: u8,
        length: usize,
        fill: impl FnOnce(&mut [u8]),
    ) {
        let room = payload.room(first);
        let framed = room.0 + length + room.1;
        let sent = match payload.shape(framed) {
            Ok(Shape::Whole(header)) => self.seal(header + framed, |out| {
                let (header, out) = out.split_at_mut(header);
                header.fill(0);
                fill(&mut out[room.0..room.0 + length]);
                payload.frame(out, room);
            }),
            Ok(Shape::Cut(cut)) => {
                let mut scratch = std::mem::take(&mut payload.scratch);
                scratch.clear();
                scratch.resize(framed, 0);
                fill(&mut scratch[room.0..room.0 + length]);
                payload.frame(&mut scratch, room);
                let parts = (0..cut.count()).map(|index| {
                    let (header, range) = cut.part(index);
                    self.seal(header.len() + range.len(), |out| {
                        let (front, out) = out.split_at_mut(header.len());
                        front.copy_from_slice(&header);
                        out.copy_from_slice(&scratch[range]);
                    })
                });
                let sent = parts.sum();
                payload.scratch = scratch;
                sent
            }
            Err(reason) => {
                self.peer.stats.drop(reason, 1);
                0
            }
        };
        if let Some(shaper) = &mut payload.shaper {
            shaper.charge(sent, self.now);
        }
    }

    /// Reserves a record, lets `fill` write the plaintext into it, seals and keeps it. Returns its
    /// length on the link; 0 when it was dropped.
    fn seal(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> usize {
        let Some(layout) = self.peer.send_layout() else {
            self.peer.stats.drop(Drop::NoKey, 1);
            return 0;
        };
        let to = self.peer.remote;
        let frame = if self.is_stream { FRAME_LEN } else { self.batch.front_len() };
        let sealed = layout.sealed_len(length);
        let Some(slot) = self.batch.reserve(frame + sealed) else {
            self.peer.stats.drop(Drop::LinkFull, 1);
            return 0;
        };
        let record = &mut slot[frame..];
        fill(&mut record[layout.prefix..layout.prefix + length]);
        if let Err(error) = self.peer.seal(record, length) {
            let reason = match error {
                SealError::Exhausted => Drop::Exhausted,
                SealError::NoRoom | SealError::NoRandom => Drop::Malformed,
            };
            self.peer.stats.drop(reason, 1);
            return 0;
        }
        if self.is_stream {
            self.keep_record(sealed);
        } else {
            self.keep_datagram(frame + sealed, to);
        }
        sealed
    }

    fn keep_record(&mut self, sealed: usize) {
        let Ok(length) = u16::try_from(sealed) else {
            self.peer.stats.drop(Drop::TooBig, 1);
            return;
        };
        if let Some(frame) = self.batch.reserve(FRAME_LEN) {
            frame.copy_from_slice(&length.to_be_bytes());
        }
        self.batch.commit_record(FRAME_LEN + sealed);
        self.peer.stats.link_write_packets += 1;
        self.peer.stats.link_write_bytes += sealed as u64;
        self.peer.clock.sent(self.now);
    }

    fn keep_datagram(&mut self, length: usize, to: Option<SocketAddr>) {
        match to {
            Some(to) => {
                self.batch.commit_datagram(length, to, self.peer.config().peer_id, self.tos);
            }
            None => self.peer.stats.drop(Drop::LinkError, 1),
        }
    }
}
