//! Everything one data plane holds, and what callers do with it; the thread's part is in `turn`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ginnel_datapath::coalesce::Coalescer;
use ginnel_datapath::key::Key;
use ginnel_datapath::payload::{Payload, PayloadSpec};
use ginnel_datapath::peer::{Keepalive, KeepaliveClock, Peer, PeerConfig, Slot};
use ginnel_datapath::route::Routes;
use ginnel_datapath::stats::Stats;
use ginnel_netio::event::Epoll;

use crate::backlog::Backlog;
use crate::bucket::Bucket;
use crate::clock::Clock;
use crate::control::Acquaintances;
use crate::device::Device;
use crate::fair::{self, Incoming, Outgoing};
use crate::lane::{Ways, report_worn, send_payload};
use crate::links::{FIRST_LINK, Link, Links, Open};
use crate::outbox::Outbox;
use crate::pace::Pace;
use crate::peers::Peers;
use crate::switch::{Rules, Switch};
use crate::{Learned, LinkSpec, Transport, TunSpec};

pub(crate) const WAKE_TOKEN: u64 = 0;
const DEFAULT_MTU: usize = 1500;
/// How much longer than our device's MTU a packet of the peer may become.
const INNER_SLACK: usize = 128;
/// Hard resets, seconds: how many pass unless the caller says otherwise.
const MAX_RESETS: (u32, u32) = (100, 10);

pub(crate) struct State {
    pub(crate) epoll: Arc<Epoll>,
    pub(crate) unassigned: Stats,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) device: Device,
    mtu: usize,
    pub(crate) links: Links,
    pub(crate) coalescer: Coalescer,
    pub(crate) peers: Peers,
    pub(crate) routes: Routes,
    /// Of a server.
    pub(crate) switch: Option<Switch>,
    pub(crate) bucket: Bucket,
    pub(crate) acquaintances: Acquaintances,
    pub(crate) clock: Clock,
    /// What streams are read into.
    pub(crate) incoming: Vec<u8>,
    /// A client's peer has a limit on what it is sent.
    pub(crate) has_shaper: bool,
    pub(crate) pace: Pace,
    /// What waits for peers, and from them, while a server has too much to do.
    pub(crate) outgoing: Backlog<Outgoing>,
    pub(crate) arrived: Backlog<Incoming>,
}

impl State {
    pub(crate) fn new(tun: Option<TunSpec>, outbox: Arc<Outbox>) -> io::Result<Self> {
        let epoll = Arc::new(Epoll::new()?);
        let mtu = tun.map_or(DEFAULT_MTU, |spec| spec.mtu);
        let device = Device::open(tun, &epoll)?;
        let granted = device.offloads();
        Ok(Self {
            epoll,
            unassigned: Stats::default(),
            outbox,
            device,
            mtu,
            links: Links::default(),
            coalescer: Coalescer::new(granted.tso, granted.uso),
            peers: Peers::default(),
            routes: Routes::default(),
            switch: None,
            bucket: Bucket::new(MAX_RESETS.0, MAX_RESETS.1, 0),
            acquaintances: Acquaintances::default(),
            clock: Clock::new(),
            incoming: Vec::new(),
            has_shaper: false,
            pace: Pace::default(),
            outgoing: Backlog::new(fair::LIMIT),
            arrived: Backlog::new(fair::LIMIT),
        })
    }

    // --- links ---

    pub(crate) fn attach(&mut self, spec: &LinkSpec<'_>) -> io::Result<()> {
        let open = open_of(spec)?;
        self.links.put(&self.epoll, FIRST_LINK, spec.fd, &open, self.mtu)?;
        self.peers.set_stream(FIRST_LINK, self.links.is_stream(FIRST_LINK));
        self.settle();
        Ok(())
    }

    pub(crate) fn add_link(&mut self, spec: &LinkSpec<'_>) -> io::Result<u32> {
        if self.switch.is_none() || !spec.front.is_empty() {
            return Err(invalid());
        }
        let open = open_of(spec)?;
        let link = self.links.add(&self.epoll, spec.fd, &open, self.mtu)?;
        self.settle();
        Ok(link)
    }

    pub(crate) fn remove_link(&mut self, link: u32) -> io::Result<()> {
        if !self.links.remove(&self.epoll, link) {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        self.settle();
        Ok(())
    }

    pub(crate) fn serve(&mut self, rules: Rules) -> io::Result<()> {
        if !self.peers.is_empty() {
            return Err(invalid());
        }
        self.switch = Some(Switch::new(rules, self.device.is_ethernet(), self.clock.now));
        self.links.is_serving = true;
        Ok(())
    }

    pub(crate) fn limit_resets(&mut self, count: u32, seconds: u32) {
        self.bucket = Bucket::new(count, seconds, self.clock.now);
    }

    pub(crate) fn credit_resets(&mut self, count: u32) {
        self.bucket.give(count);
    }

    pub(crate) fn learned(&self) -> Vec<Learned> {
        let stations = self.switch.iter().flat_map(|switch| switch.stations.all());
        stations
            .map(|(station, entry)| Learned {
                mac: station.mac,
                vlan: station.vlan,
                peer_id: entry.peer_id,
                age: self.clock.now.saturating_sub(entry.seen_at) / 1000,
            })
            .collect()
    }

    // --- peers ---

    pub(crate) fn new_peer(&mut self, config: PeerConfig, spec: PayloadSpec) -> io::Result<()> {
        if self.switch.is_some() && !self.links.has(config.link) {
            return Err(io::Error::from_raw_os_error(libc::ENOTCONN));
        }
        let payload = self.payload_of(spec);
        let mut peer = Peer::new(config, payload, self.clock.now);
        peer.on_stream = self.links.is_stream(config.link);
        if self.peers.add(peer) { Ok(()) } else { Err(io::Error::from_raw_os_error(libc::EEXIST)) }
    }

    pub(crate) fn set_payload(&mut self, peer_id: u32, spec: PayloadSpec) -> io::Result<()> {
        let payload = self.payload_of(spec);
        self.peer(peer_id)?.payload = payload.map(Box::new);
        self.settle();
        Ok(())
    }

    pub(crate) fn set_path(
        &mut self,
        peer_id: u32,
        (mss_ipv4, mss_ipv6): (u16, u16),
        inner_mtu: Option<u16>,
    ) -> io::Result<()> {
        let peer = self.peer(peer_id)?;
        peer.set_mss(mss_ipv4, mss_ipv6);
        peer.inner_mtu = inner_mtu;
        Ok(())
    }

    fn payload_of(&mut self, spec: PayloadSpec) -> Option<Payload> {
        self.has_shaper |= spec.shaper > 0 && self.switch.is_none();
        let limit = self.mtu.max(DEFAULT_MTU) + INNER_SLACK;
        (!spec.is_empty()).then(|| Payload::new(spec, limit, self.device.is_ethernet()))
    }

    pub(crate) fn set_peer(&mut self, peer_id: u32, limits: Keepalive) -> io::Result<()> {
        let now = self.clock.now;
        self.peer(peer_id)?.clock = KeepaliveClock::new(limits, now);
        self.peers.schedule(peer_id);
        Ok(())
    }

    pub(crate) fn del_peer(&mut self, peer_id: u32) -> io::Result<()> {
        self.routes.remove_peer(peer_id);
        self.outgoing.forget(peer_id);
        self.arrived.forget(peer_id);
        if let Some(switch) = &mut self.switch {
            switch.stations.remove_peer(peer_id);
        }
        if self.peers.remove(peer_id) { Ok(()) } else { Err(unknown_peer()) }
    }

    pub(crate) fn peer(&mut self, peer_id: u32) -> io::Result<&mut Peer> {
        self.peers.get(peer_id).ok_or_else(unknown_peer)
    }

    pub(crate) fn set_key(&mut self, peer_id: u32, slot: Slot, key: Option<Key>) -> io::Result<()> {
        self.peers.set_key(peer_id, slot, key).ok_or_else(unknown_peer)
    }

    pub(crate) fn add_iroute(
        &mut self,
        peer_id: u32,
        network: IpAddr,
        length: u8,
    ) -> io::Result<()> {
        self.peer(peer_id)?;
        self.routes
            .add(network, length, peer_id)
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
    }

    pub(crate) fn del_iroute(
        &mut self,
        peer_id: u32,
        network: IpAddr,
        length: u8,
    ) -> io::Result<()> {
        self.peer(peer_id)?;
        self.routes.remove(network, length, peer_id).map_err(|_| invalid())
    }

    pub(crate) fn offloads(&mut self, udp: (bool, bool)) -> Vec<&'static str> {
        let tun = self.device.offloads();
        let (segment, gro) = match self.links.get(FIRST_LINK) {
            Some(Link::Udp(link)) => (link.udp.can_segment(), link.udp.has_gro()),
            Some(Link::Tcp(_)) => (false, false),
            None => udp,
        };
        [(tun.tso, "tun-tso"), (tun.uso, "tun-uso"), (segment, "udp-gso"), (gro, "udp-gro")]
            .into_iter()
            .filter_map(|(used, name)| used.then_some(name))
            .collect()
    }

    // --- packets of the caller's ---

    pub(crate) fn send_control(
        &mut self,
        packet: &[u8],
        to: Option<SocketAddr>,
        link: u32,
        local: Option<IpAddr>,
    ) {
        if let Err(reason) = self.links.send_control(link, packet, to, local) {
            self.unassigned.drop(reason, 1);
            return;
        }
        let is_stream = self.links.is_stream(link);
        let place = (link, if is_stream { None } else { to });
        let peer = self.peers.at(place);
        if let Some(peer) = peer.and_then(|peer_id| self.peers.get(peer_id)) {
            peer.clock.sent(self.clock.now);
        } else if self.switch.is_some() && !is_stream {
            self.acquaintances.meet(place);
        }
        if is_stream {
            self.flush();
            self.settle();
        }
    }

    pub(crate) fn send_inner(&mut self, peer_id: u32, payload: &[u8]) -> io::Result<()> {
        let ways = self.ways();
        let peer = self.peers.get(peer_id).ok_or_else(unknown_peer)?;
        if peer.send_layout().is_some() {
            send_payload(peer, &mut self.links, payload, ways);
            report_worn(peer, &self.outbox);
            peer.clock.sent(self.clock.now);
            self.flush();
            self.settle();
        }
        Ok(())
    }

    /// How packets get into links now.
    pub(crate) fn ways(&self) -> Ways {
        Ways {
            is_ethernet: self.device.is_ethernet(),
            queue_limit: self.switch.as_ref().map(|switch| switch.rules.tcp_queue_limit),
            now: self.clock.now,
        }
    }
}

fn open_of<'a>(spec: &LinkSpec<'a>) -> io::Result<Open<'a>> {
    match spec.transport {
        Transport::Udp if !(spec.unread.is_empty() && spec.unsent.is_empty()) => Err(invalid()),
        Transport::Udp => Ok(Open::Udp { front: spec.front, is_multihomed: spec.is_multihomed }),
        Transport::Tcp => Ok(Open::Tcp { unread: spec.unread, unsent: spec.unsent }),
    }
}

fn invalid() -> io::Error {
    io::Error::from_raw_os_error(libc::EINVAL)
}

fn unknown_peer() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}
