//! The thread's side of the state: what is ready is done, once, and then waited for again.

use ginnel_datapath::peer::Due;
use ginnel_datapath::stats::Drop;
use ginnel_datapath::vnet::{self, VnetHeader};
use ginnel_datapath::wire::{PING, UNDEFINED_PEER_ID};
use ginnel_netio::event::Ready;
use ginnel_netio::socket::take_error;
use ginnel_netio::sys::{errno, is_retry};
use ginnel_netio::udp::{Receiver, drain_errors};
use std::os::fd::AsFd;

use crate::device::TUN_TOKEN;
use crate::inbound::{Inbound, TunSink, Way};
use crate::lane::{report_worn, send_payload};
use crate::links::Link;
use crate::outbound::{Carrier, Outbound, count_sent};
use crate::outbox::{Note, NoteKind};
use crate::peers::Peers;
use crate::state::{State, WAKE_TOKEN};
use crate::stream::{Lost, record};

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
        if self.links.has_unread() {
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
        for ready in ready {
            match ready.token {
                WAKE_TOKEN => {}
                TUN_TOKEN => self.tun_ready(*ready),
                token => {
                    if let Some(link) = self.links.of_token(token) {
                        self.link_ready(link, *ready);
                    }
                }
            }
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
            self.read_datagrams(link, &mut result)
        };
        if let Some(number) = tun_lost {
            self.lose_tun(number);
        }
        if let Err(lost) = result {
            self.lose_link(link, lost);
        }
    }

    fn read_datagrams(&mut self, link: u32, result: &mut Result<(), Lost>) -> Option<i32> {
        let (mut receiver, udp) = self.links.take_receiver(link)?;
        let asked = receiver.capacity();
        let received = receiver.receive(&udp.udp);
        let front = udp.batch.front().to_vec();
        let lost = match received {
            Ok(()) => {
                let (messages, _) = receiver.messages();
                self.pace.brought(messages, self.clock.now);
                if messages.len() == asked {
                    self.pace.has_more();
                }
                let mut inbound = self.inbound(link);
                take_datagrams(&mut receiver, &front, &mut inbound);
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
        lost
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
            link,
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
        let mut lost = None;
        let mut is_empty = false;
        let mut answers = Vec::new();
        for _ in 0..TUN_READS {
            let Carrier { peers, links, .. } = &mut outbound.carrier;
            if !links.has_room() || (self.has_shaper && shaped_until(peers, ways.now).is_some()) {
                break;
            }
            let Some(result) = self.device.read() else { break };
            match result {
                Ok((front, packet)) => {
                    let header = front.first_chunk::<{ vnet::LEN }>().map(VnetHeader::decode);
                    answers.extend(outbound.packet(header.unwrap_or_default(), packet));
                }
                Err(error) if is_retry(&error) => {
                    is_empty = true;
                    break;
                }
                Err(error) => {
                    lost = Some(errno(&error));
                    break;
                }
            }
        }
        if !is_empty {
            self.pace.has_more();
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
        let way = Some(Way { from: message.from, local: message.local });
        let mut start = message.range.start;
        loop {
            let end = (start + message.segment).min(message.range.end);
            if storage[start..end].starts_with(front) {
                inbound.packet(storage, start + front.len()..end, way);
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
}
