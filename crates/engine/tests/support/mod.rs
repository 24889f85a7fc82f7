//! A server's engine over sockets that stand for its device and its peers.
// Each includer uses what it wants; helpers may stop at the first surprise, like tests.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::panic)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use ginnel_dataplane::datapath::cipher::Cipher;
use ginnel_dataplane::datapath::key::{Direction, Key, KeySpec, Limits};
use ginnel_dataplane::datapath::payload::PayloadSpec;
use ginnel_dataplane::datapath::peer::PeerConfig;
use ginnel_dataplane::datapath::wire::DataFormat;
use ginnel_dataplane::{Engine, LinkSpec, Rules, Transport, TunSpec};
use zeroize::Zeroizing;

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const RULES: Rules = Rules {
    client_to_client: true,
    tcp_queue_limit: 64,
    broadcast_limit: 50_000,
    vlans: None,
    stale_age: 0,
    stale_interval: 0,
};

pub struct Server {
    pub engine: Engine,
    pub tun: UnixDatagram,
    pub link: UdpSocket,
}

impl Server {
    pub fn new() -> Self {
        let (near, tun) = UnixDatagram::pair().unwrap();
        let spec = TunSpec { fd: near.as_raw_fd(), mtu: 1500, vnet_header: false, ethernet: false };
        let engine = Engine::open(Some(spec)).unwrap();
        engine.serve(RULES).unwrap();
        let link = UdpSocket::bind("127.0.0.1:0").unwrap();
        engine.attach(&LinkSpec::new(link.as_raw_fd(), Transport::Udp)).unwrap();
        tun.set_nonblocking(true).unwrap();
        Self { engine, tun, link }
    }

    pub fn add_peer(&self, peer_id: u32, link: u32, remote: Option<SocketAddr>) {
        let config = PeerConfig {
            peer_id,
            send_peer_id: peer_id,
            remote,
            link,
            replay_window: 64,
            replay_time: 15,
            ..PeerConfig::default()
        };
        self.engine.new_peer(config, PayloadSpec::default()).unwrap();
        self.engine.add_iroute(peer_id, address_of(peer_id), 32).unwrap();
    }

    /// A stream of a peer, of which only the far end stays open here.
    pub fn add_stream(&self, peer_id: u32) -> (u32, UnixStream) {
        let (near, far) = UnixStream::pair().unwrap();
        let spec = LinkSpec::new(near.as_raw_fd(), Transport::Tcp);
        let link = self.engine.add_link(&spec).unwrap();
        self.add_peer(peer_id, link, None);
        (link, far)
    }

    pub fn drops(&self, peer_id: u32, reason: &str) -> u64 {
        let stats = self.engine.stats(peer_id).unwrap();
        stats.drops().find(|(name, _)| *name == reason).map_or(0, |(_, count)| count)
    }
}

pub fn address_of(peer_id: u32) -> IpAddr {
    IpAddr::from((0x0A00_0000 + peer_id).to_be_bytes())
}

pub fn key() -> Key {
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

pub fn sealed(key: &mut Key, peer_id: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; DataFormat::V2.prefix_len()];
    packet.extend_from_slice(payload);
    key.seal(peer_id, &mut packet, payload.len()).unwrap();
    packet
}

/// An IPv4 packet that is good enough for a router.
pub fn packet(from: IpAddr, to: IpAddr, length: usize) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { panic!("IPv4 only") };
    let mut packet = vec![0; length];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    packet[9] = 253;
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet
}

pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}
