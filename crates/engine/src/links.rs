//! All links: their sockets, what waits in them, and what they are waited for.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use ginnel_datapath::hash::QuickMap;
use ginnel_datapath::stats::Drop;
use ginnel_netio::event::{Epoll, Interest};
use ginnel_netio::udp::{Outcome, Receiver, Udp};

use crate::stream::{Lost, MIN_RECORD, Pool, RECORD_SLACK, Stream};
use crate::transmit::Batch;

/// The link of `attach`; the others are numbered from here on.
pub(crate) const FIRST_LINK: u32 = 0;
/// Tokens count from here and are never used again, so that an event of an earlier link is not
/// taken for a present one's.
const FIRST_TOKEN: u64 = 2;

pub(crate) enum Link {
    Udp(Box<UdpLink>),
    Tcp(Box<Stream>),
}

pub(crate) struct UdpLink {
    pub(crate) udp: Udp,
    /// Taken out while its packets are looked at.
    input: Option<Box<Receiver>>,
    pub(crate) batch: Batch,
}

pub(crate) struct Entry {
    pub(crate) link: Link,
    token: u64,
    interest: Interest,
    /// It is in the list of those that have something to send.
    is_dirty: bool,
    /// The socket has not taken everything.
    is_waiting: bool,
}

#[derive(Default)]
pub(crate) struct Links {
    entries: QuickMap<u32, Entry>,
    by_token: QuickMap<u64, u32>,
    /// Datagram links, of which there are few.
    datagrams: Vec<u32>,
    last_token: u64,
    last_id: u32,
    dirty: Vec<u32>,
    /// Attached with bytes of which the descriptor tells nothing.
    unread: Vec<u32>,
    /// Broke while something was queued.
    lost: Vec<(u32, Lost)>,
    pub(crate) pool: Pool,
    /// A slow stream holds up nobody; otherwise there is but one link, and all waits for it.
    pub(crate) is_serving: bool,
}

/// How a socket becomes a link.
pub(crate) enum Open<'a> {
    /// Datagrams, each with `front` before the packet: a relay's header that names the peer.
    Udp { front: &'a [u8], is_multihomed: bool },
    /// A stream with bytes that were read already, and such as leave first.
    Tcp { unread: &'a [u8], unsent: &'a [u8] },
}

impl Links {
    /// Adds one more link and returns its number.
    pub(crate) fn add(
        &mut self,
        epoll: &Epoll,
        fd: RawFd,
        open: &Open<'_>,
        mtu: usize,
    ) -> io::Result<u32> {
        let id = self.last_id + 1;
        self.put(epoll, id, fd, open, mtu)?;
        self.last_id = id;
        Ok(id)
    }

    /// Starts to wait for a link, instead of an earlier one of the number.
    pub(crate) fn put(
        &mut self,
        epoll: &Epoll,
        id: u32,
        fd: RawFd,
        open: &Open<'_>,
        mtu: usize,
    ) -> io::Result<()> {
        let link = match open {
            Open::Udp { front, is_multihomed } => {
                let udp = Udp::open(fd, *is_multihomed)?;
                let receiver = Receiver::new(udp.has_gro(), (mtu + RECORD_SLACK).max(MIN_RECORD));
                let input = Some(Box::new(receiver));
                Link::Udp(Box::new(UdpLink { udp, input, batch: Batch::new(front) }))
            }
            Open::Tcp { unread, unsent } => {
                Link::Tcp(Box::new(Stream::open(fd, (unread, unsent), mtu)?))
            }
        };
        self.remove(epoll, id);
        if let Link::Udp(link) = &link {
            link.udp.resume();
        }
        let token = FIRST_TOKEN + self.last_token;
        epoll.add(link.as_fd(), token, Interest::READ)?;
        self.last_token += 1;
        if matches!(link, Link::Udp(_)) {
            self.datagrams.push(id);
        }
        let interest = Interest::READ;
        self.entries
            .insert(id, Entry { link, token, interest, is_dirty: false, is_waiting: false });
        self.by_token.insert(token, id);
        if let Open::Tcp { unread, unsent } = open {
            if !unread.is_empty() {
                self.unread.push(id);
            }
            if !unsent.is_empty() {
                self.soil(id);
            }
        }
        Ok(())
    }

    /// Gives a link up; false when there is none of that number.
    pub(crate) fn remove(&mut self, epoll: &Epoll, id: u32) -> bool {
        let Some(entry) = self.entries.remove(&id) else { return false };
        // Fails only if the descriptor is gone already; dropping the link closes it.
        let _ = epoll.remove(entry.link.as_fd());
        self.by_token.remove(&entry.token);
        self.datagrams.retain(|other| *other != id);
        self.unread.retain(|other| *other != id);
        true
    }

    /// The link that an event is of.
    pub(crate) fn of_token(&self, token: u64) -> Option<u32> {
        self.by_token.get(&token).copied()
    }

    pub(crate) fn has(&self, id: u32) -> bool {
        self.entries.contains_key(&id)
    }

    pub(crate) fn is_stream(&self, id: u32) -> bool {
        self.entries.get(&id).is_some_and(|entry| matches!(entry.link, Link::Tcp(_)))
    }

    pub(crate) fn get(&mut self, id: u32) -> Option<&mut Link> {
        self.entries.get_mut(&id).map(|entry| &mut entry.link)
    }

    /// A link, with the buffers for its queue.
    pub(crate) fn with_pool(&mut self, id: u32) -> Option<(&mut Link, &mut Pool)> {
        Some((&mut self.entries.get_mut(&id)?.link, &mut self.pool))
    }

    /// The receiver of a datagram link, with its socket; to be given back with `restore`.
    pub(crate) fn take_receiver(&mut self, id: u32) -> Option<(Box<Receiver>, &UdpLink)> {
        match self.get(id)? {
            Link::Udp(link) => Some((link.input.take()?, link)),
            Link::Tcp(_) => None,
        }
    }

    pub(crate) fn restore(&mut self, id: u32, receiver: Box<Receiver>) {
        if let Some(Link::Udp(link)) = self.get(id) {
            link.input = Some(receiver);
        }
    }

    pub(crate) fn has_unread(&self) -> bool {
        !self.unread.is_empty()
    }

    /// The links that came with bytes, once.
    pub(crate) fn take_unread(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.unread)
    }

    /// Sends a control packet, before data on a stream; fails with why it is not taken.
    pub(crate) fn send_control(
        &mut self,
        id: u32,
        packet: &[u8],
        to: Option<SocketAddr>,
        local: Option<IpAddr>,
    ) -> Result<(), Drop> {
        let is_taken = match (self.get(id).ok_or(Drop::NoLink)?, to) {
            (Link::Udp(link), Some(to)) => link.send_control(packet, to, local),
            (Link::Udp(_), None) => false,
            (Link::Tcp(stream), _) => {
                let is_taken = stream.send_control(packet);
                self.soil(id);
                is_taken
            }
        };
        if is_taken { Ok(()) } else { Err(Drop::LinkFull) }
    }

    /// Notes that a link has something to send.
    pub(crate) fn soil(&mut self, id: u32) {
        if let Some(entry) = self.entries.get_mut(&id)
            && !std::mem::replace(&mut entry.is_dirty, true)
        {
            self.dirty.push(id);
        }
    }

    /// Notes that a link broke; `take_lost` tells.
    pub(crate) fn note_lost(&mut self, id: u32, lost: Lost) {
        self.lost.push((id, lost));
    }

    pub(crate) fn take_lost(&mut self) -> Vec<(u32, Lost)> {
        std::mem::take(&mut self.lost)
    }

    /// True while one more read from tun fits, whichever datagram link it is for.
    pub(crate) fn has_room(&self) -> bool {
        let fits = |id: &u32| match self.entries.get(id).map(|entry| &entry.link) {
            Some(Link::Udp(link)) => link.batch.has_room(),
            Some(Link::Tcp(stream)) => stream.has_room(),
            None => true,
        };
        if self.is_serving { self.datagrams.iter().all(fits) } else { fits(&FIRST_LINK) }
    }

    /// True while a link has to take what waits before more is read from tun.
    pub(crate) fn is_blocked(&self) -> bool {
        let waits = |id: &u32| self.entries.get(id).is_some_and(|entry| entry.is_waiting);
        if self.is_serving { self.datagrams.iter().any(waits) } else { waits(&FIRST_LINK) }
    }

    /// Sends what was queued, as far as the sockets take it; `report` tells what became of it.
    pub(crate) fn flush(&mut self, epoll: &Epoll, mut report: impl FnMut(u32, Outcome)) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            self.flush_one(epoll, id, &mut report);
        }
        self.dirty = dirty;
    }

    fn flush_one(&mut self, epoll: &Epoll, id: u32, report: &mut impl FnMut(u32, Outcome)) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        entry.is_dirty = false;
        entry.is_waiting = match &mut entry.link {
            Link::Udp(link) => {
                link.flush(report);
                !link.batch.is_empty()
            }
            Link::Tcp(stream) => match stream.flush(&mut self.pool) {
                Ok(()) => stream.is_waiting(),
                Err(lost) => {
                    self.lost.push((id, lost));
                    false
                }
            },
        };
        let wanted = Interest { readable: true, writable: entry.is_waiting };
        if entry.interest != wanted && epoll.change(entry.link.as_fd(), entry.token, wanted).is_ok()
        {
            entry.interest = wanted;
        }
    }

    /// Makes room for one more packet in a datagram link, if the socket takes what is there.
    pub(crate) fn make_room(
        &mut self,
        epoll: &Epoll,
        id: u32,
        mut report: impl FnMut(u32, Outcome),
    ) {
        let is_full = matches!(self.get(id), Some(Link::Udp(link)) if !link.batch.has_room());
        if is_full {
            self.flush_one(epoll, id, &mut report);
            self.soil(id);
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(link) => link.udp.as_fd(),
            Self::Tcp(stream) => stream.as_fd(),
        }
    }
}

impl UdpLink {
    fn flush(&mut self, report: &mut impl FnMut(u32, Outcome)) {
        let (storage, groups) = self.batch.pending();
        if groups.is_empty() {
            return;
        }
        let done =
            self.udp.send_groups(storage, groups, |group, outcome| report(group.owner, outcome));
        self.batch.advance(done);
    }

    fn send_control(&mut self, packet: &[u8], to: SocketAddr, local: Option<IpAddr>) -> bool {
        match (self.batch.front(), local) {
            ([], None) => self.udp.send(packet, to).is_ok(),
            ([], Some(local)) => self.udp.send_from(packet, to, local).is_ok(),
            (front, _) => self.udp.send(&[front, packet].concat(), to).is_ok(),
        }
    }
}
