//! Everything one data plane holds; the thread and the callers take turns with it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, RawFd};
use std::sync::Arc;

use ginnel_datapath::coalesce::Coalescer;
use ginnel_datapath::key::Key;
use ginnel_datapath::payload::{Payload, PayloadSpec};
use ginnel_datapath::peer::{Due, Keepalive, KeepaliveClock, Peer, PeerConfig, Slot};
use ginnel_datapath::route::Routes;
use ginnel_datapath::stats::{Drop, Stats};
use ginnel_datapath::vnet::{self, VnetHeader};
use ginnel_datapath::wire::{PING, UNDEFINED_PEER_ID};
use ginnel_netio::event::{Epoll, Ready};
use ginnel_netio::socket::take_error;
use ginnel_netio::sys::{errno, is_retry};
use ginnel_netio::udp::{Outcome, drain_errors};

use crate::bucket::Bucket;
use crate::clock::Clock;
use crate::device::{Device, TUN_TOKEN};
use crate::inbound::{Inbound, TunSink};
use crate::link::{Link, Lost};
use crate::outbound::{Outbound, report_worn, send_payload};
use crate::outbox::{Note, NoteKind, Outbox};
use crate::peers::Peers;
use crate::port::Port;
use crate::transmit::Batch;
use crate::{Transport, TunSpec};

pub(crate) const WAKE_TOKEN: u64 = 0;
/// Most reads from tun before one send.
const TUN_READS: usize = 64;
const DEFAULT_MTU: usize = 1500;
/// How much longer than our device's MTU a packet of the peer may become.
const INNER_SLACK: usize = 128;
const MAX_ERRORS: usize = 64;

pub(crate) struct State {
    pub(crate) epoll: Arc<Epoll>,
    pub(crate) unassigned: Stats,
    outbox: Arc<Outbox>,
    device: Device,
    mtu: usize,
    port: Port,
    batch: Batch,
    coalescer: Coalescer,
    peers: Peers,
    routes: Routes,
    bucket: Bucket,
    clock: Clock,
    /// A peer has a limit on what it is sent.
    has_shaper: bool,
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
            port: Port::new(),
            batch: Batch::new(),
            coalescer: Coalescer::new(granted.tso, granted.uso),
            peers: Peers::default(),
            routes: Routes::default(),
            bucket: Bucket::new(),
            clock: Clock::new(),
            has_shaper: false,
        })
    }

    // --- calls from above ---

    pub(crate) fn attach(
        &mut self,
        fd: RawFd,
        transport: Transport,
        unread: &[u8],
        unsent: &[u8],
    ) -> io::Result<()> {
        if transport == Transport::Udp && !(unread.is_empty() && unsent.is_empty()) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let link = Link::open(fd, transport, (unread, unsent), self.mtu)?;
        self.attach_link(link, !unread.is_empty())
    }

    pub(crate) fn attach_relayed(&mut self, fd: RawFd, front: &[u8]) -> io::Result<()> {
        let link = Link::open_relayed(fd, front, self.mtu)?;
        self.attach_link(link, false)
    }

    fn attach_link(&mut self, link: Link, has_unread: bool) -> io::Result<()> {
        self.batch.restart(link.front());
        self.port.attach(&self.epoll, link, has_unread)?;
        self.settle();
        Ok(())
    }

    pub(crate) fn new_peer(&mut self, config: PeerConfig, spec: PayloadSpec) -> io::Result<()> {
        let payload = self.payload_of(spec);
        if self.peers.add(Peer::new(config, payload, self.clock.now)) {
            Ok(())
        } else {
            Err(io::Error::from_raw_os_error(libc::EEXIST))
        }
    }

    pub(crate) fn set_payload(&mut self, peer_id: u32, spec: PayloadSpec) -> io::Result<()> {
        let payload = self.payload_of(spec);
        self.peer(peer_id)?.payload = payload.map(Box::new);
        self.settle();
        Ok(())
    }

    fn payload_of(&mut self, spec: PayloadSpec) -> Option<Payload> {
        self.has_shaper |= spec.shaper > 0;
        let limit = self.mtu.max(DEFAULT_MTU) + INNER_SLACK;
        (!spec.is_empty()).then(|| Payload::new(spec, limit, self.device.is_ethernet()))
    }

    pub(crate) fn set_peer(&mut self, peer_id: u32, limits: Keepalive) -> io::Result<()> {
        let now = self.clock.now;
        let peer = self.peer(peer_id)?;
        peer.clock = KeepaliveClock::new(limits, now);
        let deadline = peer.clock.next_deadline().unwrap_or(u64::MAX);
        self.clock.arm(deadline);
        Ok(())
    }

    pub(crate) fn del_peer(&mut self, peer_id: u32) -> io::Result<()> {
        self.routes.remove_peer(peer_id);
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

    pub(crate) fn offloads(&self, udp: (bool, bool)) -> Vec<&'static str> {
        let tun = self.device.offloads();
        let (segment, gro) = match &self.port.link {
            Some(Link::Udp(link)) => (link.udp.can_segment(), link.udp.has_gro()),
            Some(Link::Tcp(_)) => (false, false),
            None => udp,
        };
        [(tun.tso, "tun-tso"), (tun.uso, "tun-uso"), (segment, "udp-gso"), (gro, "udp-gro")]
            .into_iter()
            .filter_map(|(used, name)| used.then_some(name))
            .collect()
    }

    pub(crate) fn send_control(&mut self, packet: &[u8], to: Option<SocketAddr>) {
        let taken = match (&mut self.port.link, to) {
            (Some(Link::Udp(link)), Some(to)) => link.send_control(packet, to),
            (Some(Link::Tcp(link)), _) => link.send_control(packet),
            _ => false,
        };
        if !taken {
            self.unassigned.drop(Drop::LinkFull, 1);
            return;
        }
        let now = self.clock.now;
        if let Some(peer) = self.peers.at(to) {
            peer.clock.sent(now);
        }
        if matches!(self.port.link, Some(Link::Tcp(_))) {
            self.flush();
            self.settle();
        }
    }

    pub(crate) fn send_inner(&mut self, peer_id: u32, payload: &[u8]) -> io::Result<()> {
        let is_stream = self.port.is_stream();
        let peer = self.peers.get(peer_id).ok_or_else(unknown_peer)?;
        if let Some(is_stream) = is_stream
            && peer.send_layout().is_some()
        {
            send_payload(peer, &mut self.batch, is_stream, payload, self.clock.now);
            report_worn(peer, &self.outbox);
            peer.clock.sent(self.clock.now);
            self.flush();
            self.settle();
        }
        Ok(())
    }

    // --- the thread's side ---

    /// Reads the clock; once a batch, not once a packet.
    pub(crate) fn read_clock(&mut self) {
        self.clock.read();
    }

    /// How long the thread may wait, in milliseconds.
    pub(crate) fn wait_ms(&self) -> i32 {
        if self.port.has_unread() { 0 } else { self.clock.wait_ms() }
    }

    /// Does what is ready, once.
    pub(crate) fn turn(&mut self, ready: &[Ready]) {
        if self.port.take_unread() {
            self.read_link();
        }
        for ready in ready {
            match ready.token {
                TUN_TOKEN => self.tun_ready(*ready),
                token if self.port.is_token(token) => self.link_ready(*ready),
                _ => {}
            }
        }
        if self.clock.is_due() {
            self.run_timers();
        }
        self.settle();
    }

    fn link_ready(&mut self, ready: Ready) {
        if ready.writable {
            self.flush();
        }
        if ready.readable {
            self.read_link();
        }
        if ready.failed || ready.hung_up {
            match &self.port.link {
                Some(Link::Udp(link)) => {
                    take_error(link.udp.as_fd());
                    let errors = drain_errors(link.udp.as_fd(), MAX_ERRORS);
                    self.unassigned.drop(Drop::LinkError, errors as u64);
                    if ready.hung_up {
                        self.lose_link(Lost(libc::ESHUTDOWN));
                    }
                }
                Some(Link::Tcp(_)) if !ready.readable => self.read_link(),
                _ => {}
            }
        }
    }

    fn read_link(&mut self) {
        let Some(mut link) = self.port.link.take() else { return };
        let mut inbound = Inbound {
            peers: &mut self.peers,
            coalescer: &mut self.coalescer,
            tun: TunSink::new(self.device.tun()),
            outbox: &self.outbox,
            bucket: &mut self.bucket,
            unassigned: &mut self.unassigned,
            is_ethernet: self.device.is_ethernet(),
            now: self.clock.now,
            broke_silence: false,
        };
        let result = match &mut link {
            Link::Udp(udp) => read_datagrams(udp, &mut inbound),
            Link::Tcp(tcp) => read_records(tcp, &mut inbound),
        };
        if inbound.broke_silence {
            // Its limit counts again: let the timers find the next deadline.
            self.clock.arm(self.clock.now);
        }
        let tun_lost = inbound.tun.lost;
        self.port.link = Some(link);
        if let Some(number) = tun_lost {
            self.lose_tun(number);
        }
        if let Err(lost) = result {
            self.lose_link(lost);
        }
    }

    fn tun_ready(&mut self, ready: Ready) {
        if !ready.readable && (ready.failed || ready.hung_up) {
            self.lose_tun(libc::EIO);
            return;
        }
        if ready.readable && !self.must_wait() {
            self.read_tun();
        }
    }

    fn read_tun(&mut self) {
        let is_stream = self.port.is_stream();
        let mut outbound = Outbound {
            peers: &mut self.peers,
            routes: &self.routes,
            batch: &mut self.batch,
            outbox: &self.outbox,
            unassigned: &mut self.unassigned,
            is_stream,
            is_ethernet: self.device.is_ethernet(),
            now: self.clock.now,
        };
        let mut lost = None;
        let mut answers = Vec::new();
        for _ in 0..TUN_READS {
            if !outbound.batch.has_room()
                || (self.has_shaper && shaped_until(outbound.peers, outbound.now).is_some())
            {
                break;
            }
            let Some(result) = self.device.read() else { break };
            match result {
                Ok((front, packet)) => {
                    let header = front.first_chunk::<{ vnet::LEN }>().map(VnetHeader::decode);
                    answers.extend(outbound.packet(header.unwrap_or_default(), packet));
                }
                Err(error) if is_retry(&error) => break,
                Err(error) => {
                    lost = Some(errno(&error));
                    break;
                }
            }
        }
        for answer in answers.iter().filter(|answer| !answer.is_empty()) {
            self.device.answer(answer);
        }
        self.flush();
        if let Some(number) = lost {
            self.lose_tun(number);
        }
    }

    /// True while nothing more may be read from tun.
    fn must_wait(&mut self) -> bool {
        self.port.is_blocked(&self.batch) || self.shaped_until().is_some()
    }

    fn shaped_until(&mut self) -> Option<u64> {
        if self.has_shaper { shaped_until(&mut self.peers, self.clock.now) } else { None }
    }

    /// Sends the batch as far as the link takes it.
    fn flush(&mut self) {
        let Some(link) = &mut self.port.link else {
            self.batch.clear();
            return;
        };
        let (peers, now) = (&mut self.peers, self.clock.now);
        let result = link.flush(&mut self.batch, |owner, outcome| {
            if let Some(peer) = peers.get(owner) {
                count_sent(peer, outcome, now);
            }
        });
        if let Err(lost) = result {
            self.lose_link(lost);
        }
    }

    fn run_timers(&mut self) {
        let is_stream = self.port.is_stream();
        let mut next = u64::MAX;
        for peer in self.peers.all() {
            for due in peer.clock.due(self.clock.now) {
                let kind = match due {
                    Due::Ping => {
                        if let Some(is_stream) = is_stream
                            && peer.send_layout().is_some()
                        {
                            send_payload(peer, &mut self.batch, is_stream, &PING, self.clock.now);
                        }
                        continue;
                    }
                    Due::Silent => NoteKind::Silent,
                    Due::Inactive => NoteKind::Inactive,
                };
                self.outbox.push_note(Note::new(kind, peer.config().peer_id));
            }
            report_worn(peer, &self.outbox);
            next = next.min(peer.clock.next_deadline().unwrap_or(u64::MAX));
        }
        self.clock.next_timer = next;
        self.flush();
    }

    // --- descriptors ---

    /// Waits for what can be done now, and for nothing else.
    fn settle(&mut self) {
        let blocked = self.port.is_blocked(&self.batch);
        let shaped = self.shaped_until();
        if let Some(until) = shaped {
            self.clock.arm(until);
        }
        self.device.watch(&self.epoll, !blocked && shaped.is_none());
        self.port.watch(&self.epoll, blocked);
    }

    fn lose_link(&mut self, lost: Lost) {
        if self.port.detach(&self.epoll) {
            self.batch.clear();
            self.note_lost(NoteKind::LinkLost, lost.0);
        }
    }

    fn lose_tun(&mut self, number: i32) {
        if self.device.close(&self.epoll) {
            self.note_lost(NoteKind::TunLost, number);
        }
    }

    fn note_lost(&self, kind: NoteKind, errno: i32) {
        self.outbox.push_note(Note { errno, ..Note::new(kind, UNDEFINED_PEER_ID) });
    }
}

/// When the limit of a client's one peer lets more be sent; None when it does now.
fn shaped_until(peers: &mut Peers, now: u64) -> Option<u64> {
    let ready_at = peers.lone()?.payload.as_ref()?.shaper?.ready_at();
    (ready_at > now).then_some(ready_at)
}

fn unknown_peer() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

fn count_sent(peer: &mut Peer, outcome: Outcome, now: u64) {
    peer.stats.link_write_packets += outcome.packets;
    peer.stats.link_write_bytes += outcome.bytes;
    peer.stats.drop(Drop::TooBig, outcome.too_big);
    peer.stats.drop(Drop::LinkError, outcome.refused);
    if outcome.packets > 0 {
        peer.clock.sent(now);
    }
}

fn read_datagrams(link: &mut crate::link::UdpLink, inbound: &mut Inbound<'_>) -> Result<(), Lost> {
    if let Err(error) = link.receiver.receive(&link.udp) {
        if is_retry(&error) {
            return Ok(());
        }
        let number = errno(&error);
        if matches!(number, libc::EBADF | libc::ENOTSOCK) {
            return Err(Lost(number));
        }
        // An ICMP error that surfaces here is not the end.
        inbound.unassigned.drop(Drop::LinkError, 1);
        return Ok(());
    }
    inbound.unassigned.drop(Drop::Malformed, link.receiver.malformed());
    let front = &link.front;
    let (messages, storage) = link.receiver.messages();
    for message in messages {
        let mut start = message.range.start;
        loop {
            let end = (start + message.segment).min(message.range.end);
            if storage[start..end].starts_with(front) {
                inbound.packet(storage, start + front.len()..end, Some(message.from));
            } else {
                inbound.unassigned.drop(Drop::Malformed, 1);
            }
            start = end;
            if start >= message.range.end {
                break;
            }
        }
    }
    inbound.finish(storage);
    Ok(())
}

fn read_records(link: &mut crate::link::TcpLink, inbound: &mut Inbound<'_>) -> Result<(), Lost> {
    // What was read before is looked at even when the stream has ended.
    let received = link.receive();
    let mut used = 0;
    let framing = loop {
        match link.record(used) {
            Ok(Some(range)) => {
                used = range.end;
                inbound.packet(link.incoming(), range, None);
            }
            Ok(None) => break Ok(()),
            Err(lost) => break Err(lost),
        }
    };
    inbound.finish(link.incoming());
    link.consume(used);
    framing?;
    received.map(|_| ())
}
