//! From tun to the link: route, cut, clamp, seal straight into the batch.

use std::net::SocketAddr;

use ginnel_datapath::inner;
use ginnel_datapath::key::SealError;
use ginnel_datapath::mss;
use ginnel_datapath::peer::Peer;
use ginnel_datapath::route::Routes;
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::stats::{Drop, Stats};
use ginnel_datapath::vnet::VnetHeader;

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
    pub(crate) now: u64,
}

impl Outbound<'_> {
    /// Takes one read from tun: a packet or a super-packet.
    pub(crate) fn packet(&mut self, header: VnetHeader, packet: &mut [u8]) {
        let Some(destination) = inner::destination(packet) else {
            self.unassigned.drop(Drop::NotIp, 1);
            return;
        };
        let peer = self.routes.lookup(destination).and_then(|peer_id| self.peers.get(peer_id));
        let Some(peer) = peer else {
            self.unassigned.drop(Drop::NoRoute, 1);
            return;
        };
        let Ok(plan) = segment::plan(header, packet) else {
            peer.stats.drop(Drop::Malformed, 1);
            return;
        };
        let (count, bytes) = match &plan {
            Plan::Whole => (1, packet.len()),
            Plan::Split(segments) => {
                (segments.count(), (0..segments.count()).map(|index| segments.len(index)).sum())
            }
        };
        peer.stats.tun_read_packets += count as u64;
        peer.stats.tun_read_bytes += bytes as u64;
        if peer.is_recursive(destination) {
            peer.stats.drop(Drop::Recursive, count as u64);
            return;
        }
        peer.clock.crossed_tun(bytes as u64, self.now);
        let Some(is_stream) = self.is_stream else { return };
        let mut lane = Lane { peer, batch: self.batch, is_stream, now: self.now };
        match plan {
            Plan::Whole => {
                let (v4, v6) = (lane.peer.config().mss_ipv4, lane.peer.config().mss_ipv6);
                mss::clamp(packet, v4, v6);
                lane.send(packet.len(), |out| out.copy_from_slice(packet));
            }
            Plan::Split(segments) => {
                for index in 0..segments.count() {
                    lane.send(segments.len(index), |out| segments.write(index, packet, out));
                }
            }
        }
        report_worn(lane.peer, self.outbox);
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
    let mut lane = Lane { peer, batch, is_stream, now };
    lane.send(payload.len(), |out| out.copy_from_slice(payload));
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
    now: u64,
}

impl Lane<'_> {
    /// Reserves a record, lets `fill` write the plaintext into it, seals and keeps it.
    fn send(&mut self, length: usize, fill: impl FnOnce(&mut [u8])) {
        let Some(layout) = self.peer.send_layout() else {
            self.peer.stats.drop(Drop::NoKey, 1);
            return;
        };
        let to = self.peer.remote;
        let frame = if self.is_stream { FRAME_LEN } else { 0 };
        let sealed = layout.sealed_len(length);
        let Some(slot) = self.batch.reserve(frame + sealed) else {
            self.peer.stats.drop(Drop::LinkFull, 1);
            return;
        };
        let record = &mut slot[frame..];
        fill(&mut record[layout.prefix..layout.prefix + length]);
        if let Err(error) = self.peer.seal(record, length) {
            let reason = match error {
                SealError::Exhausted => Drop::Exhausted,
                SealError::NoRoom | SealError::NoRandom => Drop::Malformed,
            };
            self.peer.stats.drop(reason, 1);
            return;
        }
        if self.is_stream {
            self.keep_record(sealed);
        } else {
            self.keep_datagram(sealed, to);
        }
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

    fn keep_datagram(&mut self, sealed: usize, to: Option<SocketAddr>) {
        match to {
            Some(to) => self.batch.commit_datagram(sealed, to, self.peer.config().peer_id),
            None => self.peer.stats.drop(Drop::LinkError, 1),
        }
    }
}
