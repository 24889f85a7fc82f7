//! From the device, or from another peer, to the links: route, cut, and seal into what is sent.

use ginnel_datapath::peer::Peer;
use ginnel_datapath::route::Routes;
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::stats::{Drop, Stats};
use ginnel_datapath::vnet::VnetHeader;
use ginnel_datapath::{ether, inner};
use ginnel_netio::event::Epoll;
use ginnel_netio::udp::Outcome;

use crate::fair::Outgoing;
use crate::lane::{self, Cargo, Ways, report_worn};
use crate::links::Links;
use crate::outbox::Outbox;
use crate::path::{self, report_too_long};
use crate::peers::Peers;
use crate::switch::{Switch, Target};

/// Carries packets to peers.
pub(crate) struct Carrier<'a> {
    pub(crate) peers: &'a mut Peers,
    pub(crate) links: &'a mut Links,
    pub(crate) epoll: &'a Epoll,
    pub(crate) outbox: &'a Outbox,
    pub(crate) ways: Ways,
}

/// What the way out of the device needs of the state.
pub(crate) struct Outbound<'a> {
    pub(crate) carrier: Carrier<'a>,
    pub(crate) routes: &'a Routes,
    pub(crate) switch: Option<&'a Switch>,
    pub(crate) unassigned: &'a mut Stats,
}

impl Outbound<'_> {
    /// Whom one read from tun is for, and where it begins.
    pub(crate) fn judge(&mut self, packet: &mut [u8]) -> Option<(Target, usize)> {
        let found = match self.switch {
            Some(switch) => switch.judge_devices(self.routes, packet),
            None => self.of_client(packet).map(|peer_id| (Target::Peer(peer_id), 0)),
        };
        found.map_err(|reason| self.unassigned.drop(reason, 1)).ok()
    }

    /// Takes one read from tun, a packet or a super-packet, to whom it is for. Returns what has to be
    /// written back to tun, where a packet is answered instead of sent.
    pub(crate) fn carry(
        &mut self,
        target: Target,
        header: VnetHeader,
        packet: &mut [u8],
    ) -> Option<Vec<u8>> {
        let Ok(plan) = segment::plan(header, packet) else {
            match target {
                Target::Peer(peer_id) => {
                    self.carrier.peers.get(peer_id)?.stats.drop(Drop::Malformed, 1);
                }
                Target::All { .. } => self.unassigned.drop(Drop::Malformed, 1),
            }
            return None;
        };
        match (target, self.switch) {
            (Target::Peer(peer_id), _) => self.carrier.take_from_device(peer_id, plan, packet),
            (Target::All { vlan }, Some(switch)) => {
                for peer_id in self.carrier.members(switch, vlan, None) {
                    self.carrier.take_from_device(peer_id, plan, packet);
                }
                None
            }
            (Target::All { .. }, None) => None,
        }
    }

    /// Whose a client's packet from the device is; on tap the only peer's.
    fn of_client(&mut self, packet: &[u8]) -> Result<u32, Drop> {
        if self.carrier.ways.is_ethernet {
            if packet.len() < ether::HEADER_LEN {
                return Err(Drop::Malformed);
            }
            let lone = self.carrier.peers.lone().ok_or(Drop::NoRoute)?;
            return Ok(lone.config().peer_id);
        }
        let destination = inner::destination(packet).ok_or(Drop::NotIp)?;
        self.routes.lookup(destination).ok_or(Drop::NoRoute)
    }
}

impl Carrier<'_> {
    /// Takes a packet of the device to a peer; returns what answers it instead.
    fn take_from_device(&mut self, peer_id: u32, plan: Plan, packet: &mut [u8]) -> Option<Vec<u8>> {
        let ways = self.ways;
        let peer = self.ready(peer_id)?;
        let (count, bytes) = count_read(peer, &plan, packet);
        if is_recursive(peer, packet, ways.is_ethernet) {
            peer.stats.drop(Drop::Recursive, count);
            return None;
        }
        if let Some(answer) = peer.payload.as_ref().and_then(|payload| payload.refuse(packet)) {
            peer.stats.drop(Drop::BlockedIpv6, count);
            return Some(answer);
        }
        let parts = match path::fit(peer, plan, packet, ways) {
            Ok(parts) => parts,
            Err(answer) => return Some(answer),
        };
        peer.clock.crossed_tun(bytes, ways.now);
        self.send_fitting(peer_id, plan, packet, parts);
        None
    }

    /// Counts a read from tun that had to go for others.
    pub(crate) fn lose(&mut self, peer_id: u32, mut lost: Outgoing) {
        let Some(peer) = self.peers.get(peer_id) else { return };
        let count = segment::plan(lost.header, &mut lost.packet)
            .map_or(1, |plan| count_read(peer, &plan, &lost.packet).0);
        peer.stats.drop(Drop::Overload, count);
    }

    /// Takes a packet of one peer to another; returns what answers it instead.
    pub(crate) fn take_from_peer(&mut self, peer_id: u32, packet: &mut [u8]) -> Option<Vec<u8>> {
        let ways = self.ways;
        let peer = self.ready(peer_id)?;
        if is_recursive(peer, packet, ways.is_ethernet) {
            return None;
        }
        match path::fit(peer, Plan::Whole, packet, ways) {
            Ok(parts) => {
                self.send_fitting(peer_id, Plan::Whole, packet, parts);
                None
            }
            Err(answer) => Some(answer),
        }
    }

    /// The peers of a VLAN, but for one.
    pub(crate) fn members(&self, switch: &Switch, vlan: u16, but: Option<u32>) -> Vec<u32> {
        self.peers
            .all()
            .filter(|peer| switch.is_member(peer, vlan))
            .map(|peer| peer.config().peer_id)
            .filter(|peer_id| Some(*peer_id) != but)
            .collect()
    }

    /// Makes room in a peer's link and returns the peer.
    fn ready(&mut self, peer_id: u32) -> Option<&mut Peer> {
        let link = self.peers.get(peer_id)?.link;
        let (peers, outbox, now) = (&mut *self.peers, self.outbox, self.ways.now);
        self.links.make_room(self.epoll, link, |owner, outcome| {
            count_sent(peers, owner, outcome, outbox, now);
        });
        self.peers.get(peer_id)
    }

    /// Sends a packet, or the parts that it was cut into.
    fn send_fitting(&mut self, peer_id: u32, plan: Plan, packet: &mut [u8], parts: Vec<Vec<u8>>) {
        if parts.is_empty() {
            self.send(peer_id, plan, packet);
            return;
        }
        for mut part in parts {
            if self.ready(peer_id).is_some() {
                self.send(peer_id, Plan::Whole, &mut part);
            }
        }
    }

    fn send(&mut self, peer_id: u32, plan: Plan, packet: &mut [u8]) {
        let Some(peer) = self.peers.get(peer_id) else { return };
        let tos = peer.payload.as_ref().map_or(0, |payload| payload.tos_of(packet));
        let cargo = match plan {
            Plan::Whole => Cargo::Whole(packet),
            Plan::Split(segments) => Cargo::Split(segments, packet),
        };
        lane::send(peer, self.links, cargo, self.ways, tos);
        report_worn(peer, self.outbox);
    }
}

/// Counts what the device gave for a peer; packets and bytes.
fn count_read(peer: &mut Peer, plan: &Plan, packet: &[u8]) -> (u64, u64) {
    let (count, bytes) = match plan {
        Plan::Whole => (1, packet.len()),
        Plan::Split(segments) => {
            (segments.count(), (0..segments.count()).map(|index| segments.len(index)).sum())
        }
    };
    let (count, bytes) = (count as u64, bytes as u64);
    peer.stats.tun_read_packets += count;
    peer.stats.tun_read_bytes += bytes;
    (count, bytes)
}

/// True for a packet that would go around in a circle.
fn is_recursive(peer: &Peer, packet: &[u8], is_ethernet: bool) -> bool {
    let at = if is_ethernet { ether::ip_offset(packet) } else { Some(0) };
    let destination = at.and_then(|at| inner::destination(&packet[at..]));
    destination.is_some_and(|destination| peer.is_recursive(destination))
}

/// Counts what became of a peer's datagrams, and reports that they are too long for the path.
pub(crate) fn count_sent(
    peers: &mut Peers,
    owner: u32,
    outcome: Outcome,
    outbox: &Outbox,
    now: u64,
) {
    let Some(peer) = peers.get(owner) else { return };
    peer.stats.link_write_packets += outcome.packets;
    peer.stats.link_write_bytes += outcome.bytes;
    peer.stats.drop(Drop::TooBig, outcome.too_big);
    peer.stats.drop(Drop::LinkError, outcome.refused);
    if outcome.packets > 0 {
        peer.clock.sent(now);
    }
    if outcome.too_big > 0 {
        report_too_long(peer, outbox, now);
    }
}
