//! The TUN device, if there is one, with what it is waited for.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use ginnel_datapath::vnet::{self, VnetHeader};
use ginnel_netio::event::{Epoll, Interest};
use ginnel_netio::tun::{MAX_READ, Offloads, Tun};

use crate::TunSpec;

pub(crate) const TUN_TOKEN: u64 = 1;

pub(crate) struct Device {
    tun: Option<Tun>,
    is_ethernet: bool,
    interest: Interest,
    buffer: Vec<u8>,
}

impl Device {
    /// Opens the device and waits for its packets; None discards what is written.
    pub(crate) fn open(spec: Option<TunSpec>, epoll: &Epoll) -> io::Result<Self> {
        let is_ethernet = spec.is_some_and(|spec| spec.ethernet);
        let tun = spec.map(|spec| Tun::open(spec.fd, spec.vnet_header)).transpose()?;
        if let Some(tun) = &tun {
            epoll.add(tun.as_fd(), TUN_TOKEN, Interest::READ)?;
        }
        Ok(Self { tun, is_ethernet, interest: Interest::READ, buffer: vec![0; MAX_READ] })
    }

    pub(crate) const fn tun(&self) -> Option<&Tun> {
        self.tun.as_ref()
    }

    /// True when packets are Ethernet frames.
    pub(crate) const fn is_ethernet(&self) -> bool {
        self.is_ethernet
    }

    pub(crate) fn offloads(&self) -> Offloads {
        self.tun.as_ref().map_or(Offloads::default(), Tun::offloads)
    }

    /// Reads one packet with its vnet header, where there is one. None without a device.
    pub(crate) fn read(&mut self) -> Option<io::Result<(VnetHeader, &mut [u8])>> {
        let tun = self.tun.as_ref()?;
        Some(tun.read(&mut self.buffer).map(|Range { start, end }| {
            let (front, packet) = self.buffer[..end].split_at_mut(start);
            let header = front.first_chunk::<{ vnet::LEN }>().map(VnetHeader::decode);
            (header.unwrap_or_default(), packet)
        }))
    }

    /// Writes a packet of our own, such as an ICMP error; it is lost when the device refuses it.
    pub(crate) fn answer(&self, packet: &[u8]) {
        if let Some(tun) = &self.tun {
            let whole = 0..packet.len();
            // Its sender learns by waiting, then, as it would without an answer.
            let _ = tun.write(&VnetHeader::default().encode(), packet, &[whole]);
        }
    }

    /// Waits for packets, or for nothing but the end of the device.
    pub(crate) fn watch(&mut self, epoll: &Epoll, readable: bool) {
        let wanted = Interest { readable, writable: false };
        if let Some(tun) = &self.tun
            && self.interest != wanted
            && epoll.change(tun.as_fd(), TUN_TOKEN, wanted).is_ok()
        {
            self.interest = wanted;
        }
    }

    /// Gives the device up; false when there is none.
    pub(crate) fn close(&mut self, epoll: &Epoll) -> bool {
        let Some(tun) = self.tun.take() else { return false };
        // Fails only if the descriptor is gone already; dropping the device closes it.
        let _ = epoll.remove(tun.as_fd());
        true
    }
}
