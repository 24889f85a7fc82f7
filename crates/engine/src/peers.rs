//! All peers, found by peer-id or by the address their packets come from.

use std::collections::HashMap;
use std::net::SocketAddr;

use ginnel_datapath::key::Key;
use ginnel_datapath::peer::{Peer, Slot};
use ginnel_datapath::wire::{self, DataFormat, DataHeader, Kind};

#[derive(Default)]
pub(crate) struct Peers {
    by_id: HashMap<u32, Peer>,
    by_address: HashMap<SocketAddr, u32>,
    /// The link belongs to one peer without TLS, whose packets have no header.
    is_headerless: bool,
}

impl Peers {
    /// Adds a peer; false when its id is taken.
    pub(crate) fn add(&mut self, peer: Peer) -> bool {
        let peer_id = peer.config().peer_id;
        if self.by_id.contains_key(&peer_id) {
            return false;
        }
        if let Some(remote) = peer.remote {
            self.by_address.insert(plain(remote), peer_id);
        }
        self.by_id.insert(peer_id, peer);
        true
    }

    pub(crate) fn remove(&mut self, peer_id: u32) -> bool {
        self.by_address.retain(|_, owner| *owner != peer_id);
        let is_known = self.by_id.remove(&peer_id).is_some();
        self.is_headerless &= !self.by_id.is_empty();
        is_known
    }

    /// Puts a key into a slot, or empties it; None when there is no such peer.
    pub(crate) fn set_key(&mut self, peer_id: u32, slot: Slot, key: Option<Key>) -> Option<()> {
        let peer = self.by_id.get_mut(&peer_id)?;
        self.is_headerless |= key.as_ref().is_some_and(|key| key.format() == DataFormat::Static);
        peer.set_key(slot, key);
        Some(())
    }

    /// Tells what a packet of the link is; None when it is too short to say.
    pub(crate) fn classify(&self, packet: &[u8]) -> Option<Kind> {
        if self.is_headerless {
            return Some(Kind::Data(DataHeader { key_id: 0, peer_id: None }));
        }
        wire::classify(packet)
    }

    pub(crate) fn get(&mut self, peer_id: u32) -> Option<&mut Peer> {
        self.by_id.get_mut(&peer_id)
    }

    /// The one peer of a client; None when there are several.
    pub(crate) fn lone(&mut self) -> Option<&mut Peer> {
        if self.by_id.len() == 1 { self.by_id.values_mut().next() } else { None }
    }

    pub(crate) fn all(&mut self) -> impl Iterator<Item = &mut Peer> {
        self.by_id.values_mut()
    }

    /// Whose packet it is. A lone peer, a client's server, is meant whatever the packet says.
    pub(crate) fn sender(
        &mut self,
        peer_id: Option<u32>,
        source: Option<SocketAddr>,
    ) -> Option<&mut Peer> {
        if self.by_id.len() == 1 {
            return self.by_id.values_mut().next();
        }
        let peer_id = match peer_id {
            Some(peer_id) => peer_id,
            None => *self.by_address.get(&plain(source?))?,
        };
        self.by_id.get_mut(&peer_id)
    }

    /// The peer at an address; the lone peer of a stream, which has none.
    pub(crate) fn at(&mut self, address: Option<SocketAddr>) -> Option<&mut Peer> {
        let Some(address) = address else { return self.by_id.values_mut().next() };
        let peer_id = *self.by_address.get(&plain(address))?;
        self.by_id.get_mut(&peer_id)
    }

    /// True when no peer has the address.
    pub(crate) fn is_free(&self, address: SocketAddr) -> bool {
        !self.by_address.contains_key(&plain(address))
    }

    /// Moves a peer that authenticated from another address.
    pub(crate) fn float(&mut self, peer_id: u32, to: SocketAddr) {
        self.by_address.retain(|_, owner| *owner != peer_id);
        self.by_address.insert(plain(to), peer_id);
        if let Some(peer) = self.by_id.get_mut(&peer_id) {
            peer.remote = Some(to);
        }
    }
}

/// Addresses compare without flow label, and without a scope that only one side knows.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip(), address.port())
}

/// True when two addresses are the same place; a scope of 0 fits any.
pub(crate) fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    let scope = |address: SocketAddr| match address {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    let scopes = (scope(one), scope(other));
    plain(one) == plain(other) && (scopes.0 == scopes.1 || scopes.0 == 0 || scopes.1 == 0)
}
