//! The thread's side of the state: what is ready is done, once, and then waited for again.

use ginnel_datapath::peer::Due;
use ginnel_datapath::stats::Drop;
use ginnel_datapath::wire::{PING, UNDEFINED_PEER_ID};
use ginnel_netio::event::Ready;
use ginnel_netio::socket::take_error;
use ginnel_netio::sys::{errno, is_retry};
use ginnel_netio::udp::{Receiver, drain_errors};
use std::os::fd::AsFd;

use crate::device::TUN_TOKEN;
use crate::fair::{DRAIN_BATCHES, Incoming, OPENED_BYTES, Outgoing, keep_datagrams, keep_reads};
use crate::inbound::{Inbound, TunSink};
use crate::lane::{report_worn, send_payload};
use crate::links::{FIRST_LINK, Link};
use crate::outbound::{Carrier, Outbound, count_sent};
use crate::outbox::{Note, NoteKind};
use crate::peers::Peers;
use crate::state::{State, WAKE_TOKEN};
use crate::stream::{Lost, record};
use crate::switch::Target;

/// Most reads from tun before one send.
const TUN_READS: usize = 64;
const MAX_ERRORS: usize = 64;

impl State {
    /// Reads the clock; once a batch, not once a packet.
    pub(crate) fn read_clock(&mut self) {
        self.clock.read();
    }

    /// How long the thread may wait, in milliseconds.
    pub(crate) fn wait_ms(&mut self) -> i32 {
        let has_waiting = !self.outgoing.is_empty() && !self.must_wait();
        if self.links.has_unread() || has_waiting || !self.arrived.is_empty() {
            return 0;
        }
        let shaped = self.shaped_until().unwrap_or(u64::MAX);
        let stale = self.switch.as_ref().map_or(u64::MAX, |switch| switch.stale_at);
        self.clock.wait_ms(self.peers.next_deadline().min(shaped).min(stale))
    }

    /// Does what is ready, once.
    pub(crate) fn turn(&mut self, ready: &[Ready]) {
        for link in self.links.take_unread() {
            self.read_link(link);
        }
        let mut reads_tun = !self.outgoing.is_empty();
        for ready in ready {
            match ready.token {
                WAKE_TOKEN => {}
                TUN_TOKEN => reads_tun |= self.tun_ready(*ready),
                token => {
                    if let Some(link) = self.links.of_token(token) {
                        self.link_ready(link, *ready);
                    }
                }
            }
        }
        self.open_arrived();
        if reads_tun && !self.must_wait() {
            self.read_tun();
        }
        self.run_timers();
        self.flush();
        self.settle();
    }

    fn link_ready(&mut self, link: u32, ready: Ready) {
        if ready.writable {
            self.links.soil(link);
        }
        if ready.readable {
            self.read_link(link);
        }
        if !ready.failed && !ready.hung_up {
            return;
        }
        match self.links.get(link) {
            Some(Link::Udp(udp)) => {
                // Takes the error, so that it does not count as ready for ever.
                let error = take_error(udp.udp.as_fd());
                let errors = drain_errors(udp.udp.as_fd(), MAX_ERRORS) + usize::from(error != 0);
                self.unassigned.drop(Drop::LinkError, errors as u64);
                if ready.hung_up {
                    self.lose_link(link, Lost(libc::ESHUTDOWN));
                }
            }
            Some(Link::Tcp(_)) if !ready.readable => self.read_link(link),
            _ => {}
        }
    }

    /// Takes what a link has brought: one batch, so that every link has its turn.
    fn read_link(&mut self, link: u32) {
        let mut result = Ok(());
        let tun_lost = if self.links.is_stream(link) {
            let mut buffer = std::mem::take(&mut self.incoming);
            let lost = self.read_records(link, &mut buffer, &mut result);
            self.incoming = buffer;
            lost
        } else {
            (0..DRAIN_BATCHES)
                .map(|_| self.read_datagrams(link, &mut result))
                .find(|(_, goes_on)| !goes_on)
                .and_then(|(lost, _)| lost)
        };
        if let Some(number) = tun_lost {
            self.lose_tun(number);
        }
        if let Err(lost) = result {
            self.lose_link(link, lost);
        }
    }

    /// Takes one batch; also tells whether another one is to follow, because it is only kept.
    fn read_datagrams(&mut self, link: u32, result: &mut Result<(), Lost>) -> (Option<i32>, bool) {
        let Some((mut receiver, udp)) = self.links.take_receiver(link) else {
            return (None, false);
        };
        let asked = receiver.capacity();
        let received = receiver.receive(&udp.udp);
        let front = udp.batch.front().to_vec();
        let mut goes_on = false;
        let lost = match received {
            Ok(()) => {
                let (messages, _) = receiver.messages();
                self.pace.brought(messages, self.clock.now);
                let is_full = messages.len() == asked;
                if is_full {
                    self.pace.has_more();
                }
                goes_on = is_full && self.arrived.is_in_use();
                let is_mixed = messages.iter().any(|one| one.from != messages[0].from);
                self.arrived.want(is_full && is_mixed && self.switch.is_some());
                let mut inbound = self.inbound(link);
                if goes_on || !inbound.backlog.is_empty() {
                    keep_datagrams(&mut receiver, &mut inbound);
                } else {
                    take_datagrams(&mut receiver, &front, &mut inbound);
                }
                inbound.tun.lost
            }
            Err(error) if is_retry(&error) => None,
            Err(error) if matches!(errno(&error), libc::EBADF | libc::ENOTSOCK) => {
                *result = Err(Lost(errno(&error)));
                None
            }
            // An ICMP error that surfaces here is not the end.
            Err(_) => {
                self.unassigned.drop(Drop::LinkError, 1);
                None
            }
        };
        self.links.restore(link, receiver);
        (lost, goes_on && lost.is_none())
    }

    /// Opens some of what was kept, a peer's in its turn.
    fn open_arrived(&mut self) {
        if self.arrived.is_empty() {
            return;
        }
        let mut inbound = self.inbound(FIRST_LINK);
        let mut opened = 0;
        while opened < OPENED_BYTES
            && let Some((_, Incoming { link, message, mut bytes })) = inbound.backlog.pop()
        {
            opened += bytes.len();
            inbound.link = link;
            inbound.message(&mut bytes, &message, &[]);
            inbound.finish(&mut bytes);
        }
        let (lost, has_more) = (inbound.tun.lost, !inbound.backlog.is_empty());
        if has_more {
            self.pace.has_more();
        }
        if let Some(number) = lost {
            self.lose_tun(number);
        }
    }

    fn read_records(
        &mut self,
        link: u32,
        buffer: &mut Vec<u8>,
        result: &mut Result<(), Lost>,
    ) -> Option<i32> {
        let Some(Link::Tcp(stream)) = self.links.get(link) else { return None };
        // What was read before is looked at even when the stream has ended.
        let (filled, received) = stream.receive(buffer);
        let max_record = stream.max_record();
        let bytes = &mut buffer[..filled];
        let mut inbound = self.inbound(link);
        let mut used = 0;
        let framing = loop {
            match record(bytes, used, max_record) {
                Ok(Some(range)) => {
                    used = range.end;
                    inbound.packet(bytes, range, None);
                }
                Ok(None) => break Ok(()),
                Err(lost) => break Err(lost),
            }
        };
        inbound.finish(bytes);
        let lost = inbound.tun.lost;
        if let Some(Link::Tcp(stream)) = self.links.get(link) {
            stream.keep(&buffer[used..filled]);
        }
        *result = framing.and(received);
        lost
    }

    fn inbound(&mut self, link: u32) -> Inbound<'_> {
        let ways = self.ways();
        Inbound {
            carrier: Carrier {
                peers: &mut self.peers,
                links: &mut self.links,
                epoll: &self.epoll,
                outbox: &self.outbox,
                ways,
            },
            routes: &self.routes,
            switch: self.switch.as_mut(),
            coalescer: &mut self.coalescer,
            tun: TunSink::new(self.device.tun()),
            bucket: &mut self.bucket,
            acquaintances: &self.acquaintances,
            unassigned: &mut self.unassigned,
            backlog: &mut self.arrived,
            link,
        }
    }

    /// Tells whether the device has packets; gives it up when it is gone.
    fn tun_ready(&mut self, ready: Ready) -> bool {
        if !ready.readable && (ready.failed || ready.hung_up) {
            self.lose_tun(libc::EIO);
        }
        ready.readable
    }

    /// Takes what the device has to peers: at once, or by turns when several peers' packets wait.
    fn read_tun(&mut self) {
        let ways = self.ways();
        let mut outbound = Outbound {
            carrier: Carrier {
                peers: &mut self.peers,
                links: &mut self.links,
                epoll: &self.epoll,
                outbox: &self.outbox,
                ways,
            },
            routes: &self.routes,
            switch: self.switch.as_ref(),
            unassigned: &mut self.unassigned,
        };
        let by_turns = self.outgoing.is_in_use();
        let mut lost = None;
        let mut is_empty = false;
        let mut is_mixed = false;
        let mut first = None;
        let mut answers = Vec::new();
        if by_turns {
            lost = keep_reads(&mut self.device, &mut self.outgoing, &mut outbound);
        }
        for _ in 0..TUN_READS {
            let Carrier { peers, links, .. } = &mut outbound.carrier;
            if !links.has_room() || (self.has_shaper && shaped_until(peers, ways.now).is_some()) {
                break;
            }
            if by_turns {
                let Some((peer_id, Outgoing { header, mut packet })) = self.outgoing.pop() else {
                    is_empty = true;
                    break;
                };
                answers.extend(outbound.carry(Target::Peer(peer_id), header, &mut packet));
                continue;
            }
            match self.device.read() {
                Some(Ok((header, packet))) => {
                    let Some((target, start)) = outbound.judge(packet) else { continue };
                    is_mixed |= *first.get_or_insert(target) != target;
                    answers.extend(outbound.carry(target, header, &mut packet[start..]));
                }
                Some(Err(error)) if is_retry(&error) => {
                    is_empty = true;
                    break;
                }
                Some(Err(error)) => {
                    lost = Some(errno(&error));
                    break;
                }
                None => break,
            }
        }
        if !is_empty {
            self.pace.has_more();
        }
        self.outgoing.want(is_mixed && !is_empty && self.switch.is_some());
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
        self.links.is_blocked() || self.shaped_until().is_some()
    }

    fn shaped_until(&mut self) -> Option<u64> {
        if self.has_shaper { shaped_until(&mut self.peers, self.clock.now) } else { None }
    }

    /// Sends what was queued as far as the links take it.
    pub(crate) fn flush(&mut self) {
        let (peers, outbox, now) = (&mut self.peers, &self.outbox, self.clock.now);
        self.links.flush(&self.epoll, |owner, outcome| {
            count_sent(peers, owner, outcome, outbox, now);
        });
        for (link, lost) in self.links.take_lost() {
            self.lose_link(link, lost);
        }
    }

    fn run_timers(&mut self) {
        let (now, ways) = (self.clock.now, self.ways());
        if let Some(switch) = &mut self.switch {
            switch.age(&self.outbox, now);
        }
        while let Some(peer) = self.peers.take_due(now) {
            let peer_id = peer.config().peer_id;
            for due in peer.clock.due(now) {
                let kind = match due {
                    Due::Ping => {
                        if peer.send_layout().is_some() {
                            send_payload(peer, &mut self.links, &PING, ways);
                        }
                        continue;
                    }
                    Due::Silent => NoteKind::Silent,
                    Due::Inactive => NoteKind::Inactive,
                };
                self.outbox.push_note(Note::new(kind, peer_id));
            }
            report_worn(peer, &self.outbox);
            self.peers.schedule(peer_id);
            if !self.links.has_room() {
                self.flush();
            }
        }
    }

    // --- descriptors ---

    /// Waits for what can be done now, and for nothing else.
    pub(crate) fn settle(&mut self) {
        let may_read = !self.must_wait();
        self.device.watch(&self.epoll, may_read);
    }

    fn lose_link(&mut self, link: u32, lost: Lost) {
        if self.links.remove(&self.epoll, link) {
            let owner = if self.switch.is_some() { self.peers.at((link, None)) } else { None };
            let note = Note::new(NoteKind::LinkLost, owner.unwrap_or(UNDEFINED_PEER_ID));
            self.outbox.push_note(Note { errno: lost.0, link, ..note });
        }
    }

    fn lose_tun(&mut self, number: i32) {
        if self.device.close(&self.epoll) {
            let note = Note::new(NoteKind::TunLost, UNDEFINED_PEER_ID);
            self.outbox.push_note(Note { errno: number, ..note });
        }
    }
}

/// When the limit of a client's one peer lets more be sent; None when it does now.
fn shaped_until(peers: &mut Peers, now: u64) -> Option<u64> {
    let ready_at = peers.lone()?.payload.as_ref()?.shaper?.ready_at();
    (ready_at > now).then_some(ready_at)
}

fn take_datagrams(receiver: &mut Receiver, front: &[u8], inbound: &mut Inbound<'_>) {
    inbound.unassigned.drop(Drop::Malformed, receiver.malformed());
    let (messages, storage) = receiver.messages();
    for message in messages {
        inbound.message(storage, message, front);
    }
    inbound.finish(storage);
}
