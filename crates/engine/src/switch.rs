//! Whom a server's packet is for: routes on tun, learnt addresses and VLANs on tap.
//!
//! Facts: OpenVPN's manual on `client-to-client` and `vlan-tagging`. A frame for an address that
//! nobody was heard from goes to nobody, as there.

use std::net::IpAddr;

use ginnel_datapath::learn::{Lesson, Station, Stations};
use ginnel_datapath::peer::Peer;
use ginnel_datapath::route::Routes;
use ginnel_datapath::stats::Drop;
use ginnel_datapath::vlan::{self, Dress, Vlans};
use ginnel_datapath::{ether, inner};

use crate::bucket::Bucket;
use crate::outbox::{Note, NoteKind, Outbox};
use crate::peers::Peers;

const GROUP_BIT: u8 = 0x01;
/// Between two reports on one peer's bad sources.
const BAD_SOURCE_PAUSE_MS: u64 = 1000;

/// How a server treats its peers.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Packets of one peer for another do not pass the device.
    pub client_to_client: bool,
    /// Data records that wait for one slow stream.
    pub tcp_queue_limit: usize,
    /// Copies a second that are made of what peers send to all.
    pub broadcast_limit: u32,
    /// VLANs of the tap device, if it has any.
    pub vlans: Option<Vlans>,
    /// Seconds after which a silent address is forgotten; 0 is never.
    pub stale_age: u32,
    /// Seconds between looks for such; 0 is `stale_age`.
    pub stale_interval: u32,
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// To one peer.
    Peer(u32),
    /// To every peer of the VLAN, but the one it came from.
    All { vlan: u16 },
}

/// Where a packet of a peer goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Other peers.
    pub(crate) target: Option<Target>,
    /// The device, and how it gets the packet.
    pub(crate) dress: Option<Dress>,
    pub(crate) vlan: u16,
}

pub(crate) struct Switch {
    pub(crate) rules: Rules,
    pub(crate) stations: Stations,
    is_ethernet: bool,
    broadcasts: Bucket,
    /// When stale addresses are looked for next.
    pub(crate) stale_at: u64,
}

impl Switch {
    pub(crate) fn new(rules: Rules, is_ethernet: bool, now: u64) -> Self {
        let broadcasts = Bucket::new(rules.broadcast_limit, 1, now);
        let stations = Stations::default();
        let mut made = Self { rules, stations, is_ethernet, broadcasts, stale_at: 0 };
        made.schedule(now);
        made
    }

    /// A packet of the device: whom it is for, and where it begins now.
    pub(crate) fn judge_devices(
        &self,
        routes: &Routes,
        packet: &mut [u8],
    ) -> Result<(Target, usize), Drop> {
        if !self.is_ethernet {
            let address = inner::destination(packet).ok_or(Drop::NotIp)?;
            if address.is_multicast() {
                return Ok((Target::All { vlan: 0 }, 0));
            }
            return Ok((Target::Peer(routes.lookup(address).ok_or(Drop::NoRoute)?), 0));
        }
        if packet.len() < ether::HEADER_LEN {
            return Err(Drop::Malformed);
        }
        let (vlan, start) = match self.rules.vlans {
            None => (0, 0),
            Some(vlans) => vlans.untag(packet).map_err(|refused| match refused {
                vlan::Refused::Malformed => Drop::Malformed,
                vlan::Refused::Vlan => Drop::Vlan,
            })?,
        };
        let frame = &packet[start..];
        if frame[0] & GROUP_BIT != 0 {
            return Ok((Target::All { vlan }, start));
        }
        let owner = station(frame, 0, vlan).and_then(|station| self.stations.find(station));
        Ok((Target::Peer(owner.ok_or(Drop::NoRoute)?), start))
    }

    /// Where a packet of a peer goes, after `check_source`.
    pub(crate) fn judge_peers(&self, routes: &Routes, peer: &Peer, packet: &[u8]) -> Verdict {
        let vlan = self.vlan_of(peer);
        let (is_for_all, owner) = if self.is_ethernet {
            let is_for_all = packet[0] & GROUP_BIT != 0;
            (is_for_all, station(packet, 0, vlan).and_then(|station| self.stations.find(station)))
        } else {
            let address = inner::destination(packet);
            (
                address.is_some_and(|address| address.is_multicast()),
                address.and_then(|address| routes.lookup(address)),
            )
        };
        let dress = match self.rules.vlans {
            Some(vlans) if self.is_ethernet => vlans.dress(vlan),
            _ => Some(Dress::AsItIs),
        };
        match (self.rules.client_to_client, is_for_all, owner) {
            (true, true, _) => Verdict { target: Some(Target::All { vlan }), dress, vlan },
            (true, false, Some(owner)) => {
                Verdict { target: Some(Target::Peer(owner)), dress: None, vlan }
            }
            _ => Verdict { target: None, dress, vlan },
        }
    }

    /// Tells whether the source of a packet is its peer's; learns it on tap.
    pub(crate) fn check_source(
        &mut self,
        routes: &Routes,
        peer: &mut Peer,
        packet: &[u8],
        outbox: &Outbox,
        now: u64,
    ) -> Result<(), Drop> {
        let peer_id = peer.config().peer_id;
        if !self.is_ethernet {
            let source = inner::source(packet).ok_or(Drop::NotIp)?;
            if routes.lookup(source) == Some(peer_id) {
                return Ok(());
            }
            report_source(peer, source, outbox, now);
            return Err(Drop::SourceAddress);
        }
        if self.rules.vlans.is_some() && vlan::tag_of(packet).is_some_and(|number| number != 0) {
            return Err(Drop::Vlan);
        }
        let vlan = self.vlan_of(peer);
        let source = station(packet, 6, vlan).ok_or(Drop::Malformed)?;
        // Asked only when there is something to learn, so that known senders take no lock.
        let may_learn = self.stations.find(source) == Some(peer_id) || outbox.has_room();
        let terms = (peer.config().max_learned, may_learn);
        let kind = match self.stations.learn(peer_id, source, terms, now) {
            Ok(Lesson::Known) => return Ok(()),
            Ok(Lesson::Learned) => NoteKind::Learned,
            Ok(Lesson::Moved) => NoteKind::Relearned,
            Err(_) => {
                push_bad_source(peer, source.mac.to_vec(), outbox, now);
                return Err(Drop::SourceAddress);
            }
        };
        push_station(outbox, kind, peer_id, source);
        Ok(())
    }

    /// True when so many copies may be made of what a peer sends to all.
    pub(crate) fn may_copy(&mut self, copies: usize, now: u64) -> bool {
        self.broadcasts.take_many(copies as u64, now)
    }

    /// How many peers get what is for all of a VLAN.
    pub(crate) fn count_members(&self, peers: &Peers, vlan: u16) -> usize {
        if self.has_vlans() { peers.in_vlan(vlan) } else { peers.len() }
    }

    /// True when a peer gets what is for all of a VLAN.
    pub(crate) fn is_member(&self, peer: &Peer, vlan: u16) -> bool {
        self.vlan_of(peer) == vlan
    }

    /// Forgets what went stale, if it is time to.
    pub(crate) fn age(&mut self, outbox: &Outbox, now: u64) {
        if now < self.stale_at {
            return;
        }
        let age = u64::from(self.rules.stale_age) * 1000;
        self.stations.forget_stale(age, now, |peer_id, station| {
            let has_room = outbox.has_room();
            if has_room {
                push_station(outbox, NoteKind::Forgotten, peer_id, station);
            }
            has_room
        });
        self.schedule(now);
    }

    fn schedule(&mut self, now: u64) {
        let Rules { stale_age, stale_interval, .. } = self.rules;
        let interval = if stale_interval > 0 { stale_interval } else { stale_age };
        self.stale_at = if stale_age > 0 { now + u64::from(interval) * 1000 } else { u64::MAX };
    }

    fn vlan_of(&self, peer: &Peer) -> u16 {
        if self.has_vlans() { peer.config().vlan } else { 0 }
    }

    fn has_vlans(&self) -> bool {
        self.is_ethernet && self.rules.vlans.is_some()
    }
}

/// The station whose address is at an offset of a frame.
fn station(frame: &[u8], at: usize, vlan: u16) -> Option<Station> {
    frame.get(at..)?.first_chunk::<6>().map(|mac| Station { mac: *mac, vlan })
}

fn push_station(outbox: &Outbox, kind: NoteKind, peer_id: u32, station: Station) {
    let payload = station.mac.to_vec();
    outbox.push_note(Note { payload, vlan: station.vlan, ..Note::new(kind, peer_id) });
}

fn report_source(peer: &mut Peer, source: IpAddr, outbox: &Outbox, now: u64) {
    match source {
        IpAddr::V4(v4) => push_bad_source(peer, v4.octets().to_vec(), outbox, now),
        // Every IPv6 host has a link-local address and uses it at times.
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {}
        IpAddr::V6(v6) => push_bad_source(peer, v6.octets().to_vec(), outbox, now),
    }
}

fn push_bad_source(peer: &mut Peer, payload: Vec<u8>, outbox: &Outbox, now: u64) {
    if peer.bad_source_at.is_some_and(|last| now < last + BAD_SOURCE_PAUSE_MS) {
        return;
    }
    peer.bad_source_at = Some(now);
    let note = Note::new(NoteKind::BadSource, peer.config().peer_id);
    outbox.push_note(Note { payload, ..note });
}
