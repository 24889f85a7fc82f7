//! The batch of sealed packets on its way to the link: one buffer, filled and sent as a whole.

use std::net::{IpAddr, SocketAddr};

use ginnel_netio::udp::{Group, MAX_BYTES, MAX_SEGMENTS};

/// Two super-packets cut and sealed.
const CAPACITY: usize = 192 * 1024;
/// Enough for any one read from tun, cut at an ordinary MSS and sealed.
const RESERVE: usize = 80 * 1024;

/// Sealed packets, one after the other, in groups that one send takes.
pub(crate) struct Batch {
    storage: Vec<u8>,
    length: usize,
    groups: Vec<Group>,
    sent: usize,
    /// What is before the packet in each datagram.
    front: Vec<u8>,
}

impl Batch {
    /// An empty batch whose datagrams all begin with `front`.
    pub(crate) fn new(front: &[u8]) -> Self {
        Self {
            storage: vec![0; CAPACITY],
            length: 0,
            groups: Vec::with_capacity(256),
            sent: 0,
            front: front.to_vec(),
        }
    }

    /// What each datagram begins with; it is filled in when the datagram is kept.
    pub(crate) fn front(&self) -> &[u8] {
        &self.front
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// True while another read from tun may be taken.
    pub(crate) fn has_room(&self) -> bool {
        CAPACITY - self.length >= RESERVE
    }

    /// The next `length` bytes to fill; None when the batch is full.
    pub(crate) fn reserve(&mut self, length: usize) -> Option<&mut [u8]> {
        self.storage.get_mut(self.length..self.length + length)
    }

    /// Keeps what was reserved last as a datagram of a type of service, from an address of ours.
    pub(crate) fn commit(
        &mut self,
        length: usize,
        (to, local): (SocketAddr, Option<IpAddr>),
        owner: u32,
        tos: u8,
    ) {
        let start = self.length;
        self.storage[start..start + self.front.len()].copy_from_slice(&self.front);
        self.length += length;
        if let Some(group) = self.groups.last_mut() {
            let held = group.range.len();
            let joins = group.to == to
                && group.owner == owner
                && group.tos == tos
                && group.local == local
                && length <= group.segment
                && held.is_multiple_of(group.segment)
                && held / group.segment < MAX_SEGMENTS
                && held + length <= MAX_BYTES;
            if joins {
                group.range.end += length;
                return;
            }
        }
        let range = start..start + length;
        self.groups.push(Group { range, segment: length, to, owner, tos, local });
    }

    /// The bytes, and the groups that are not sent yet.
    pub(crate) fn pending(&self) -> (&[u8], &[Group]) {
        (&self.storage[..self.length], &self.groups[self.sent..])
    }

    /// Notes that groups are done with; empties the batch when it was the last.
    pub(crate) fn advance(&mut self, groups: usize) {
        self.sent += groups;
        if self.sent == self.groups.len() {
            self.clear();
        }
    }

    fn clear(&mut self) {
        self.groups.clear();
        self.sent = 0;
        self.length = 0;
    }
}
