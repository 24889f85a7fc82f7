//! One peer's way into its link: framing, fragments, sealing, straight into what is sent.

use ginnel_datapath::key::SealError;
use ginnel_datapath::payload::{Payload, Shape};
use ginnel_datapath::peer::Peer;
use ginnel_datapath::segment::Segments;
use ginnel_datapath::stats::Drop;
use ginnel_datapath::{ether, mss};

use crate::links::{Link, Links};
use crate::outbox::{Note, NoteKind, Outbox};
use crate::stream::FRAME_LEN;

/// A packet on its way to a peer: whole, or one that is cut.
pub(crate) enum Cargo<'a> {
    Whole(&'a mut [u8]),
    Split(Segments, &'a [u8]),
}

/// How packets get into links.
#[derive(Clone, Copy)]
pub(crate) struct Ways {
    pub(crate) is_ethernet: bool,
    /// How many data records may wait in a stream; None where all waits for the one link.
    pub(crate) queue_limit: Option<usize>,
    pub(crate) now: u64,
}

/// One peer's way.
pub(crate) struct Lane<'a> {
    peer: &'a mut Peer,
    link: &'a mut Link,
    pool: &'a mut crate::stream::Pool,
    ways: Ways,
    tos: u8,
}

/// Sends a packet to a peer. A link that breaks meanwhile is noted in `links`.
pub(crate) fn send(peer: &mut Peer, links: &mut Links, cargo: Cargo<'_>, ways: Ways, tos: u8) {
    let id = peer.link;
    let Some((link, pool)) = links.with_pool(id) else { return };
    if let (Link::Tcp(stream), Some(limit)) = (&mut *link, ways.queue_limit) {
        // Before anything is sealed: packet-ids of a stream have no gaps.
        match stream.admits(limit, pool) {
            Ok(true) => {}
            Ok(false) => {
                peer.stats.drop(Drop::LinkFull, cargo.count());
                return;
            }
            Err(lost) => {
                links.note_lost(id, lost);
                return;
            }
        }
    }
    let mut lane = Lane { peer, link, pool, ways, tos };
    match cargo {
        Cargo::Whole(packet) => {
            clamp(lane.peer, packet, ways.is_ethernet);
            let Some(first) = packet.first().copied() else { return };
            lane.send(first, packet.len(), |out| out.copy_from_slice(packet));
        }
        Cargo::Split(segments, packet) => {
            for index in 0..segments.count() {
                let length = segments.len(index);
                lane.send(packet[0], length, |out| segments.write(index, packet, out));
            }
        }
    }
    links.soil(id);
}

/// Seals a payload of our own for a peer: a ping, an OCC message.
pub(crate) fn send_payload(peer: &mut Peer, links: &mut Links, payload: &[u8], ways: Ways) {
    let (Some(first), id) = (payload.first(), peer.link) else { return };
    let Some((link, pool)) = links.with_pool(id) else { return };
    let mut lane = Lane { peer, link, pool, ways, tos: 0 };
    lane.send(*first, payload.len(), |out| out.copy_from_slice(payload));
    links.soil(id);
}

/// Lowers the MSS of a SYN that crosses the tunnel, in a packet or in a frame.
pub(crate) fn clamp(peer: &Peer, packet: &mut [u8], is_ethernet: bool) {
    let at = if is_ethernet { ether::ip_offset(packet) } else { Some(0) };
    if let Some(at) = at {
        mss::clamp(&mut packet[at..], peer.config().mss_ipv4, peer.config().mss_ipv6);
    }
}

/// Reports keys that came near a limit.
pub(crate) fn report_worn(peer: &mut Peer, outbox: &Outbox) {
    let peer_id = peer.config().peer_id;
    for key_id in peer.worn_keys() {
        outbox.push_note(Note { key_id, ..Note::new(NoteKind::KeyExhausted, peer_id) });
    }
}

impl Cargo<'_> {
    fn count(&self) -> u64 {
        match self {
            Self::Whole(_) => 1,
            Self::Split(segments, _) => segments.count() as u64,
        }
    }
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
            shaper.charge(sent, self.ways.now);
        }
    }

    /// Reserves a record, lets `fill` write the plaintext into it, seals and keeps it. Returns its
    /// length on the link; 0 when it was dropped.
    fn seal(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) -> usize {
        let Some(layout) = self.peer.send_layout() else {
            self.peer.stats.drop(Drop::NoKey, 1);
            return 0;
        };
        let sealed = layout.sealed_len(length);
        let (frame, slot) = match &mut *self.link {
            Link::Udp(link) => {
                let frame = link.batch.front().len();
                (frame, link.batch.reserve(frame + sealed))
            }
            Link::Tcp(stream) => (FRAME_LEN, stream.reserve(FRAME_LEN + sealed, self.pool)),
        };
        let Some(slot) = slot else {
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
        self.keep(frame, sealed);
        sealed
    }

    /// Keeps the record that was sealed.
    fn keep(&mut self, frame: usize, sealed: usize) {
        match (&mut *self.link, self.peer.remote) {
            (Link::Udp(link), Some(to)) => {
                let way = (to, self.peer.local);
                link.batch.commit(frame + sealed, way, self.peer.config().peer_id, self.tos);
            }
            (Link::Udp(_), None) => self.peer.stats.drop(Drop::LinkError, 1),
            (Link::Tcp(stream), _) => {
                let Ok(length) = u16::try_from(sealed) else {
                    self.peer.stats.drop(Drop::TooBig, 1);
                    return;
                };
                if let Some(slot) = stream.reserve(FRAME_LEN, self.pool) {
                    slot.copy_from_slice(&length.to_be_bytes());
                }
                stream.commit(FRAME_LEN + sealed);
                self.peer.stats.link_write_packets += 1;
                self.peer.stats.link_write_bytes += sealed as u64;
                self.peer.clock.sent(self.ways.now);
            }
        }
    }
}
