//! Where the link is attached, if one is, with what it is waited for.

use std::io;
use std::os::fd::AsFd;

use ginnel_netio::event::{Epoll, Interest};

use crate::link::Link;
use crate::transmit::Batch;

/// Links are numbered from here, so that an event of an earlier one is not taken for the present's.
const FIRST_LINK_TOKEN: u64 = 2;

pub(crate) struct Port {
    pub(crate) link: Option<Link>,
    interest: Interest,
    token: u64,
    /// The link was attached with bytes of which the descriptor tells nothing.
    has_unread: bool,
}

impl Port {
    pub(crate) const fn new() -> Self {
        Self { link: None, interest: Interest::READ, token: FIRST_LINK_TOKEN, has_unread: false }
    }

    /// Starts to wait for a link, instead of an earlier one.
    pub(crate) fn attach(&mut self, epoll: &Epoll, link: Link, has_unread: bool) -> io::Result<()> {
        self.detach(epoll);
        if let Link::Udp(link) = &link {
            link.udp.resume();
        }
        self.interest = Interest::READ;
        self.token += 1;
        epoll.add(link.as_fd(), self.token, self.interest)?;
        self.link = Some(link);
        self.has_unread = has_unread;
        Ok(())
    }

    /// Gives the link up; false when there is none.
    pub(crate) fn detach(&mut self, epoll: &Epoll) -> bool {
        self.has_unread = false;
        let Some(link) = self.link.take() else { return false };
        // Fails only if the descriptor is gone already; dropping the link closes it.
        let _ = epoll.remove(link.as_fd());
        true
    }

    pub(crate) const fn has_unread(&self) -> bool {
        self.has_unread
    }

    /// True once after `attach` brought bytes.
    pub(crate) fn take_unread(&mut self) -> bool {
        std::mem::take(&mut self.has_unread)
    }

    /// True for an event of the present link.
    pub(crate) const fn is_token(&self, token: u64) -> bool {
        self.token == token
    }

    /// None without a link.
    pub(crate) fn is_stream(&self) -> Option<bool> {
        self.link.as_ref().map(|link| matches!(link, Link::Tcp(_)))
    }

    /// True while the link has to take what waits before more is read from tun.
    pub(crate) fn is_blocked(&self, batch: &Batch) -> bool {
        self.link.as_ref().is_some_and(|link| link.is_waiting(batch))
    }

    /// Waits for packets, and for room when something waits for that.
    pub(crate) fn watch(&mut self, epoll: &Epoll, writable: bool) {
        let wanted = Interest { readable: true, writable };
        if let Some(link) = &self.link
            && self.interest != wanted
            && epoll.change(link.as_fd(), self.token, wanted).is_ok()
        {
            self.interest = wanted;
        }
    }
}
