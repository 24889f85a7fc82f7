//! ginnel's data plane: one thread between a TUN device and its links.
//!
//! [`Engine`] is the whole interface. It owns the descriptors it was given duplicates of, the keys
//! and the thread. What is a control packet goes up unread; what a peer may do is decided above.

#![forbid(unsafe_code)]

mod backlog;
mod bucket;
mod clock;
mod control;
mod device;
mod fair;
mod inbound;
mod lane;
mod links;
mod outbound;
mod outbox;
mod pace;
mod path;
mod peers;
mod state;
mod stream;
mod switch;
mod thread;
mod transmit;
mod turn;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ginnel_datapath::key::Key;
use ginnel_datapath::payload::PayloadSpec;
use ginnel_datapath::peer::{Keepalive, PeerConfig, Slot};
use ginnel_datapath::stats::Stats;
use ginnel_netio::udp;

pub use control::Control;
pub use ginnel_datapath as datapath;
pub use outbox::{Note, NoteKind};
pub use switch::Rules;

use crate::outbox::Outbox;
use crate::state::State;
use crate::thread::{Gate, Worker};

/// An open TUN device of the caller's.
#[derive(Clone, Copy, Debug)]
pub struct TunSpec {
    /// The caller's descriptor.
    pub fd: RawFd,
    /// MTU of the device.
    pub mtu: usize,
    /// Each packet has a 10-byte vnet header.
    pub vnet_header: bool,
    /// A tap device: what crosses it are Ethernet frames. A client's are all of its one peer.
    pub ethernet: bool,
}

/// A link: a socket of the caller's, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct LinkSpec<'a> {
    /// The caller's descriptor.
    pub fd: RawFd,
    /// How packets are framed.
    pub transport: Transport,
    /// Of a stream: bytes that were read already.
    pub unread: &'a [u8],
    /// Of a stream: bytes that leave before anything else.
    pub unsent: &'a [u8],
    /// Of datagrams: what is before each packet, both ways: the header that a SOCKS relay wants,
    /// which names the peer. The peer's address is then the relay's.
    pub front: &'a [u8],
    /// Of datagrams: which of our addresses they come to, and leave from, is told.
    pub is_multihomed: bool,
}

impl LinkSpec<'_> {
    /// A link that nothing more is known of.
    pub const fn new(fd: RawFd, transport: Transport) -> Self {
        Self { fd, transport, unread: &[], unsent: &[], front: &[], is_multihomed: false }
    }
}

/// A hardware address that a peer sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The address.
    pub mac: [u8; 6],
    /// Its VLAN; 0 where there are none.
    pub vlan: u16,
    /// Whose it is.
    pub peer_id: u32,
    /// Seconds since it was last seen.
    pub age: u64,
}

/// How packets of the link are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams of a bound socket that is not connected.
    Udp,
    /// Records of a connected stream.
    Tcp,
}

/// A running data plane. Dropping it closes it.
///
/// Every call takes effect before it returns. Errors carry the number the operating system uses
/// for the case: `ENOENT` for an unknown peer, `EEXIST` for one that is there already, `EINVAL` for
/// a key or prefix that cannot be, `EBADF` after `close`.
pub struct Engine(Mutex<Option<Running>>);

struct Running {
    gate: Arc<Gate>,
    outbox: Arc<Outbox>,
    worker: Worker,
}

impl Engine {
    /// Opens the device, or none, and starts the thread.
    pub fn open(tun: Option<TunSpec>) -> io::Result<Self> {
        let outbox = Arc::new(Outbox::new()?);
        let gate = Arc::new(Gate::new(State::new(tun, Arc::clone(&outbox))?)?);
        let worker = Worker::start(Arc::clone(&gate))?;
        Ok(Self(Mutex::new(Some(Running { gate, outbox, worker }))))
    }

    /// Starts to read the first link, instead of an earlier one.
    pub fn attach(&self, link: &LinkSpec<'_>) -> io::Result<()> {
        self.change(|state| state.attach(link))?
    }

    /// Starts to read one more link of a server, and returns its number.
    pub fn add_link(&self, link: &LinkSpec<'_>) -> io::Result<u32> {
        self.change(|state| state.add_link(link))?
    }

    /// Stops reading a link.
    pub fn remove_link(&self, link: u32) -> io::Result<()> {
        self.change(|state| state.remove_link(link))?
    }

    /// Makes this a server's data plane; before the first peer.
    pub fn serve(&self, rules: Rules) -> io::Result<()> {
        self.change(|state| state.serve(rules))?
    }

    /// Lets so many hard resets pass in so many seconds.
    pub fn limit_resets(&self, count: u32, seconds: u32) -> io::Result<()> {
        self.change(|state| state.limit_resets(count, seconds))
    }

    /// Gives back what was taken for resets that turned out genuine.
    pub fn credit_resets(&self, count: u32) -> io::Result<()> {
        self.change(|state| state.credit_resets(count))
    }

    /// Every address learnt on tap.
    pub fn learned(&self) -> io::Result<Vec<Learned>> {
        self.change(|state| state.learned())
    }

    /// Adds a peer without keys, and what is done to its payloads.
    pub fn new_peer(&self, config: PeerConfig, payload: PayloadSpec) -> io::Result<()> {
        self.change(|state| state.new_peer(config, payload))?
    }

    /// Sets the limits and restarts their timers.
    pub fn set_peer(&self, peer_id: u32, limits: Keepalive) -> io::Result<()> {
        self.change(|state| state.set_peer(peer_id, limits))?
    }

    /// Changes what is done to a peer's payloads, from the next packet on.
    pub fn set_payload(&self, peer_id: u32, payload: PayloadSpec) -> io::Result<()> {
        self.change(|state| state.set_payload(peer_id, payload))?
    }

    /// Changes the MSS limits of a peer's SYNs of both families, and how long packets for it may
    /// be that the device brings, from the next packet on.
    pub fn set_path(
        &self,
        peer_id: u32,
        mss: (u16, u16),
        inner_mtu: Option<u16>,
    ) -> io::Result<()> {
        self.change(|state| state.set_path(peer_id, mss, inner_mtu))?
    }

    /// Forgets a peer with its keys and routes.
    pub fn del_peer(&self, peer_id: u32) -> io::Result<()> {
        self.change(|state| state.del_peer(peer_id))?
    }

    /// The replay window that keys of the peer are made with: ids and seconds.
    pub fn replay_of(&self, peer_id: u32) -> io::Result<(usize, u64)> {
        self.change(|state| {
            let config = state.peer(peer_id)?.config();
            Ok((config.replay_window, config.replay_time))
        })?
    }

    /// Puts a key into a slot, or empties it.
    pub fn set_key(&self, peer_id: u32, slot: Slot, key: Option<Key>) -> io::Result<()> {
        self.change(|state| state.set_key(peer_id, slot, key))?
    }

    /// Exchanges the slots.
    pub fn swap_keys(&self, peer_id: u32) -> io::Result<()> {
        self.change(|state| state.peer(peer_id).map(ginnel_datapath::peer::Peer::swap_keys))?
    }

    /// Sends packets from tun for the prefix to the peer.
    pub fn add_iroute(&self, peer_id: u32, network: IpAddr, length: u8) -> io::Result<()> {
        self.change(|state| state.add_iroute(peer_id, network, length))?
    }

    /// Takes a prefix from the peer, if it has it.
    pub fn del_iroute(&self, peer_id: u32, network: IpAddr, length: u8) -> io::Result<()> {
        self.change(|state| state.del_iroute(peer_id, network, length))?
    }

    /// Counters of a peer.
    pub fn stats(&self, peer_id: u32) -> io::Result<Stats> {
        self.change(|state| state.peer(peer_id).map(|peer| peer.stats))?
    }

    /// Drops that belong to no peer.
    pub fn unassigned(&self) -> io::Result<Stats> {
        self.change(|state| state.unassigned)
    }

    /// Names of the kernel offloads in use.
    pub fn offloads(&self) -> io::Result<Vec<&'static str>> {
        self.change(|state| state.offloads(udp::probe()))
    }

    /// Sends a control packet by a link, before any queued data, or drops it; from an address of
    /// ours, if one is named.
    pub fn send_control(
        &self,
        packet: &[u8],
        to: Option<SocketAddr>,
        link: u32,
        local: Option<IpAddr>,
    ) -> io::Result<()> {
        self.change(|state| state.send_control(packet, to, link, local))
    }

    /// Seals a payload with the primary key and sends it; nothing without one.
    pub fn send_inner(&self, peer_id: u32, payload: &[u8]) -> io::Result<()> {
        self.change(|state| state.send_inner(peer_id, payload))?
    }

    /// A descriptor that is readable while a list has something; -1 once closed.
    pub fn fileno(&self) -> RawFd {
        self.lock().as_ref().map_or(-1, |running| running.outbox.number())
    }

    /// Drains the reports.
    pub fn notes(&self) -> Vec<Note> {
        self.outbox().map_or_else(Vec::new, |outbox| outbox.take_notes())
    }

    /// Drains up to `limit` control packets.
    pub fn control(&self, limit: usize) -> Vec<Control> {
        self.outbox().map_or_else(Vec::new, |outbox| outbox.take_control(limit))
    }

    /// Ends the thread, wipes the keys and closes the descriptors. Later calls give `EBADF`.
    pub fn close(&self) {
        let running = self.lock().take();
        if let Some(Running { gate, worker, .. }) = running {
            gate.close();
            worker.join();
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> io::Result<R> {
        let gate = self.lock().as_ref().map(|running| Arc::clone(&running.gate));
        gate.ok_or_else(|| io::Error::from_raw_os_error(libc::EBADF))?.with(change)
    }

    fn outbox(&self) -> Option<Arc<Outbox>> {
        self.lock().as_ref().map(|running| Arc::clone(&running.outbox))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}
