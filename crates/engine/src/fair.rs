//! When packets of several peers wait at once, all that waits is read into queues, one for each
//! peer, and leaves them by turns: in the kernel's one queue who has most in it gets most.
//!
//! As long as one peer's packets wait, or none, nothing is kept: reading is then the queue.

use ginnel_datapath::stats::Drop;
use ginnel_datapath::vnet::VnetHeader;
use ginnel_netio::sys::{errno, is_retry};
use ginnel_netio::udp::{MAX_BYTES, Received, Receiver};

use crate::backlog::{Backlog, Item};
use crate::device::Device;
use crate::inbound::Inbound;
use crate::outbound::Outbound;
use crate::switch::Target;

/// Bytes that wait for peers, or from them; more than all windows of a hundred busy streams.
pub(crate) const LIMIT: usize = 16 << 20;
/// Most reads of the device in one turn, so that callers do not wait for long.
const DRAIN_READS: usize = 256;
/// As many batches of a link.
pub(crate) const DRAIN_BATCHES: usize = 4;
/// Bytes of one turn that are opened: less than a batch that is worth keeping brings in.
pub(crate) const OPENED_BYTES: usize = 128 * 1024;

/// One read from tun for a peer.
pub(crate) struct Outgoing {
    pub(crate) header: VnetHeader,
    pub(crate) packet: Vec<u8>,
}

/// Packets that came from a peer together.
pub(crate) struct Incoming {
    pub(crate) link: u32,
    pub(crate) message: Received,
    pub(crate) bytes: Vec<u8>,
}

impl Item for Outgoing {
    fn len(&self) -> usize {
        self.packet.len()
    }

    fn join(&mut self, next: Self) -> Option<Self> {
        Some(next)
    }
}

impl Item for Incoming {
    fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Packets that the kernel did not join, because others came in between.
    fn join(&mut self, next: Self) -> Option<Self> {
        let (mine, other) = (&self.message, &next.message);
        let fits = self.link == next.link
            && (mine.from, mine.local, mine.segment) == (other.from, other.local, other.segment)
            && self.bytes.len().is_multiple_of(mine.segment)
            && self.bytes.len() + next.bytes.len() <= MAX_BYTES;
        if !fits {
            return Some(next);
        }
        self.bytes.extend_from_slice(&next.bytes);
        self.message.range = 0..self.bytes.len();
        None
    }
}

/// Keeps what the device has for peers; what is for all goes at once. Returns the error that ends
/// the device.
pub(crate) fn keep_reads(
    device: &mut Device,
    backlog: &mut Backlog<Outgoing>,
    outbound: &mut Outbound<'_>,
) -> Option<i32> {
    for _ in 0..DRAIN_READS {
        match device.read()? {
            Ok((header, packet)) => match outbound.judge(packet) {
                Some((Target::Peer(peer_id), start)) => {
                    let kept = Outgoing { header, packet: packet[start..].to_vec() };
                    backlog.push(peer_id, kept);
                    while let Some((peer_id, lost)) = backlog.overflow() {
                        outbound.carrier.lose(peer_id, lost);
                    }
                }
                Some((target, start)) => {
                    outbound.carry(target, header, &mut packet[start..]);
                }
                None => {}
            },
            Err(error) if is_retry(&error) => return None,
            Err(error) => return Some(errno(&error)),
        }
    }
    None
}

/// Keeps a receiver's data packets of peers that are where they were; all else is looked at now.
pub(crate) fn keep_datagrams(receiver: &mut Receiver, inbound: &mut Inbound<'_>) {
    inbound.unassigned.drop(Drop::Malformed, receiver.malformed());
    let (messages, storage) = receiver.messages();
    for message in messages {
        let packets = &storage[message.range.clone()];
        let first = &packets[..message.segment.min(packets.len())];
        let Some(peer_id) = inbound.settled_sender(first, message.from) else {
            inbound.message(storage, message, &[]);
            continue;
        };
        let (link, bytes) = (inbound.link, packets.to_vec());
        let message = Received { range: 0..bytes.len(), ..message.clone() };
        inbound.backlog.push(peer_id, Incoming { link, message, bytes });
        while let Some((peer_id, lost)) = inbound.backlog.overflow() {
            let count = lost.bytes.len().div_ceil(lost.message.segment);
            if let Some(peer) = inbound.carrier.peers.get(peer_id) {
                peer.stats.drop(Drop::Overload, count as u64);
            }
        }
    }
    inbound.finish(storage);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::net::{IpAddr, SocketAddr, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::sync::Arc;

    use ginnel_datapath::cipher::Cipher;
    use ginnel_datapath::key::{Direction, Key, KeySpec, Limits};
    use ginnel_datapath::payload::PayloadSpec;
    use ginnel_datapath::peer::{PeerConfig, Slot};
    use ginnel_datapath::wire::DataFormat;
    use ginnel_netio::event::Ready;
    use zeroize::Zeroizing;

    use super::*;
    use crate::device::TUN_TOKEN;
    use crate::outbox::Outbox;
    use crate::state::State;
    use crate::switch::Rules;
    use crate::{LinkSpec, Transport, TunSpec};

    const RULES: Rules = Rules {
        client_to_client: false,
        tcp_queue_limit: 64,
        broadcast_limit: 100,
        vlans: None,
        stale_age: 0,
        stale_interval: 0,
    };
    const LINK_TOKEN: u64 = 2;

    /// A server with the peers 1 and 2, whose turns are asked for.
    struct Served {
        state: State,
        tun: UdpSocket,
        link: SocketAddr,
        peers: [(UdpSocket, Key); 2],
    }

    fn bound() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn key() -> Key {
        let half = || Direction {
            cipher_key: Zeroizing::new(vec![7; 32]),
            implicit_iv: Zeroizing::new(vec![9; 8]),
            ..Direction::default()
        };
        Key::new(&KeySpec {
            key_id: 0,
            suite: Cipher::Aes256Gcm.into(),
            format: DataFormat::V2,
            send: half(),
            receive: half(),
            replay_window: 64,
            replay_time: 15,
            packet_time: 0,
            limits: Limits::default(),
        })
        .unwrap()
    }

    fn address_of(peer_id: u32) -> IpAddr {
        IpAddr::from([10, 0, 0, peer_id as u8])
    }

    /// An IPv4 packet between a peer and the host.
    fn packet(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
        let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { unreachable!() };
        let mut packet = vec![0; length];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        packet[9] = 253;
        packet[12..16].copy_from_slice(&from.octets());
        packet[16..20].copy_from_slice(&to.octets());
        packet
    }

    impl Served {
        fn new() -> Self {
            let (near, tun, link) = (bound(), bound(), bound());
            near.connect(tun.local_addr().unwrap()).unwrap();
            tun.connect(near.local_addr().unwrap()).unwrap();
            let spec =
                TunSpec { fd: near.as_raw_fd(), mtu: 1500, vnet_header: false, ethernet: false };
            let mut state = State::new(Some(spec), Arc::new(Outbox::new().unwrap())).unwrap();
            state.serve(RULES).unwrap();
            state.attach(&LinkSpec::new(link.as_raw_fd(), Transport::Udp)).unwrap();
            let peers = [1, 2].map(|peer_id| {
                let socket = bound();
                let remote = Some(socket.local_addr().unwrap());
                let config = PeerConfig {
                    peer_id,
                    send_peer_id: peer_id,
                    remote,
                    replay_window: 64,
                    replay_time: 15,
                    ..PeerConfig::default()
                };
                state.new_peer(config, PayloadSpec::default()).unwrap();
                state.add_iroute(peer_id, address_of(peer_id), 32).unwrap();
                state.set_key(peer_id, Slot::Primary, Some(key())).unwrap();
                (socket, key())
            });
            Self { state, tun, link: link.local_addr().unwrap(), peers }
        }

        /// Puts packets for a peer into the device.
        fn inject(&self, peer_id: u32, count: usize) {
            for _ in 0..count {
                self.tun.send(&packet(address_of(9), address_of(peer_id), 600)).unwrap();
            }
        }

        /// Has a peer send packets of two lengths in turns, which are not joined.
        fn arrive(&mut self, peer_id: u32, count: usize) {
            let (socket, key) = &mut self.peers[peer_id as usize - 1];
            for number in 0..count {
                let inner = packet(address_of(peer_id), address_of(9), 1300 + number % 2);
                let mut sealed = vec![0; DataFormat::V2.prefix_len()];
                sealed.extend_from_slice(&inner);
                key.seal(peer_id, &mut sealed, inner.len()).unwrap();
                socket.send_to(&sealed, self.link).unwrap();
            }
        }

        fn turn(&mut self, token: u64) {
            self.state.turn(&[Ready { token, readable: true, ..Ready::default() }]);
        }

        fn sent(&mut self, peer_id: u32) -> u64 {
            self.state.peer(peer_id).unwrap().stats.link_write_packets
        }

        /// Whose packets the device has, in their order.
        fn delivered(&self) -> Vec<u8> {
            let mut buffer = [0; 2048];
            std::iter::from_fn(|| self.tun.recv(&mut buffer).ok().map(|_| buffer[15])).collect()
        }

        fn turn_until_all_is_out(&mut self) {
            while self.state.wait_ms() == 0 {
                self.state.turn(&[]);
            }
        }
    }

    #[test]
    fn a_peer_with_little_does_not_wait_behind_one_with_much() {
        let mut it = Served::new();
        it.inject(2, 1);
        it.inject(1, 63);
        it.inject(1, 40);
        it.turn(TUN_TOKEN);
        assert_eq!((it.sent(1), it.sent(2)), (63, 1), "in the order of the device");
        assert!(it.state.outgoing.is_in_use(), "of two peers, and there is more");
        it.inject(1, 60);
        it.inject(2, 5);
        it.turn(TUN_TOKEN);
        assert_eq!((it.sent(1), it.sent(2)), (63 + 59, 6), "its turn came");
        it.turn_until_all_is_out();
        assert_eq!((it.sent(1), it.sent(2)), (163, 6));
        assert!(!it.state.outgoing.is_in_use());
    }

    #[test]
    fn one_peers_packets_are_not_kept() {
        let mut it = Served::new();
        it.inject(1, 100);
        it.turn(TUN_TOKEN);
        assert!(!it.state.outgoing.is_in_use());
        assert_eq!(it.sent(1), 64);
    }

    #[test]
    fn what_arrives_from_several_peers_is_opened_by_turns() {
        let mut it = Served::new();
        it.arrive(2, 1);
        it.arrive(1, 34);
        it.arrive(2, 5);
        it.turn(LINK_TOKEN);
        assert_eq!(it.delivered(), [2, 1, 1, 1], "a full batch, in the order of the link");
        assert!(it.state.arrived.is_in_use());
        it.turn(LINK_TOKEN);
        it.turn_until_all_is_out();
        let order = it.delivered();
        assert_eq!(order.len(), 36);
        let last = order.iter().rposition(|peer| *peer == 2).unwrap();
        assert!(last < 24, "before the last of who sent much: {order:?}");
        assert!(it.state.arrived.is_empty());
    }

    #[test]
    fn nothing_is_left_of_a_peer_that_is_gone() {
        let mut it = Served::new();
        it.state.outgoing.want(true);
        it.state.arrived.want(true);
        it.inject(1, 100);
        it.turn(TUN_TOKEN);
        assert!(!it.state.outgoing.is_empty());
        it.state.del_peer(1).unwrap();
        assert!(it.state.outgoing.is_empty());
        assert_eq!(it.sent(2), 0);
    }

    #[test]
    fn packets_that_follow_each_other_are_joined() {
        let from = SocketAddr::from(([192, 0, 2, 1], 1194));
        let item = |link, length: usize, segment| Incoming {
            link,
            message: Received { range: 0..length, segment, from, local: None },
            bytes: vec![7; length],
        };
        let mut first = item(0, 2000, 1000);
        assert!(first.join(item(0, 1000, 1000)).is_none());
        assert_eq!((first.message.range.clone(), first.bytes.len()), (0..3000, 3000));
        assert!(first.join(item(1, 1000, 1000)).is_some(), "of another link");
        assert!(first.join(item(0, 999, 999)).is_some(), "of another length");
        assert!(first.join(item(0, 63_000, 1000)).is_some(), "too much");
        assert!(first.join(item(0, 1500, 1000)).is_none(), "the last may be short");
        assert!(first.join(item(0, 1000, 1000)).is_some(), "nothing after a short one");
    }
}
