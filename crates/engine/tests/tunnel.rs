//! Two engines joined by real sockets; socket pairs stand for TUN devices, so no rights are needed.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use ginnel_dataplane::datapath::checksum::pseudo_header;
use ginnel_dataplane::datapath::cipher::Cipher;
use ginnel_dataplane::datapath::key::{Direction, Key, KeySpec, Limits};
use ginnel_dataplane::datapath::payload::PayloadSpec;
use ginnel_dataplane::datapath::peer::{Keepalive, PeerConfig, Slot};
use ginnel_dataplane::datapath::stats::Stats;
use ginnel_dataplane::datapath::vnet::{GSO_UDP, NEEDS_CHECKSUM, VnetHeader};
use ginnel_dataplane::datapath::wire::DataFormat;
use ginnel_dataplane::{Engine, LinkSpec, NoteKind, Transport, TunSpec};
use zeroize::Zeroizing;

const PEER: u32 = 3;
const DEADLINE: Duration = Duration::from_secs(10);
const VNET_LEN: usize = 10;
/// The header of a SOCKS relay for 192.0.2.7:1194.
const FRONT: &[u8] = b"\0\0\0\x01\xc0\0\x02\x07\x04\xaa";

/// An engine, the far end of its device, and which half of the key it sends with.
struct Node {
    engine: Engine,
    tun: UnixDatagram,
    _device: UnixDatagram,
    is_first: bool,
}

impl Node {
    fn new(is_first: bool, vnet_header: bool) -> Self {
        let (tun, device) = UnixDatagram::pair().unwrap();
        tun.set_read_timeout(Some(DEADLINE)).unwrap();
        tun.set_write_timeout(Some(DEADLINE)).unwrap();
        let spec = TunSpec { fd: device.as_raw_fd(), mtu: 1500, vnet_header, ethernet: false };
        Self { engine: Engine::open(Some(spec)).unwrap(), tun, _device: device, is_first }
    }

    fn add_peer(&self, remote: Option<SocketAddr>, format: DataFormat) {
        self.engine
            .new_peer(
                PeerConfig {
                    peer_id: PEER,
                    send_peer_id: PEER,
                    remote,
                    allow_float: false,
                    mss_ipv4: 0,
                    mss_ipv6: 0,
                    replay_window: 64,
                    replay_time: 15,
                    drop_recursive: true,
                    ..PeerConfig::default()
                },
                PayloadSpec::default(),
            )
            .unwrap();
        self.engine.add_iroute(PEER, "0.0.0.0".parse().unwrap(), 0).unwrap();
        self.engine.set_key(PEER, Slot::Primary, Some(self.key(0, format))).unwrap();
    }

    fn key(&self, key_id: u8, format: DataFormat) -> Key {
        let iv = if format == DataFormat::Epoch { 0 } else { 8 };
        let half = |seed: u8| Direction {
            cipher_key: Zeroizing::new(vec![seed + key_id * 2; 32]),
            implicit_iv: Zeroizing::new(vec![seed; iv]),
            ..Direction::default()
        };
        let (send, receive) = if self.is_first { (half(1), half(2)) } else { (half(2), half(1)) };
        Key::new(&KeySpec {
            key_id,
            suite: Cipher::Aes256Gcm.into(),
            format,
            send,
            receive,
            replay_window: 64,
            replay_time: 15,
            packet_time: 0,
            limits: Limits::default(),
        })
        .unwrap()
    }

    fn inject(&self, packet: &[u8]) {
        self.tun.send(packet).unwrap();
    }

    fn delivered(&self) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let length = self.tun.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    fn stats(&self) -> Stats {
        self.engine.stats(PEER).unwrap()
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// An IPv4 UDP packet with a right checksum.
fn packet(number: u32, length: usize) -> Vec<u8> {
    let mut udp = vec![0x12, 0x34, 0x23, 0x45, 0, 0, 0, 0];
    udp.extend_from_slice(&number.to_be_bytes());
    udp.resize(8 + length.max(4), 0x5A);
    let udp_len = udp.len() as u16;
    udp[4..6].copy_from_slice(&udp_len.to_be_bytes());
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 17, 0, 0, 10, 8, 0, 1, 10, 8, 0, 2];
    ip[2..4].copy_from_slice(&(20 + udp_len).to_be_bytes());
    let sum = pseudo_header(&ip[12..20], 17, udp.len()).add_bytes(&udp).finish();
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    ip.extend_from_slice(&udp);
    ip
}

fn udp_pair(format: DataFormat, vnet_header: bool) -> (Node, Node) {
    relayed_pair(b"", format, vnet_header)
}

/// Two engines with the same front before each packet, as a relay would turn one into the other.
fn relayed_pair(front: &[u8], format: DataFormat, vnet_header: bool) -> (Node, Node) {
    let sockets = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
    let nodes = [true, false].map(|is_first| Node::new(is_first, vnet_header));
    for (index, node) in nodes.iter().enumerate() {
        let fd = sockets[index].as_raw_fd();
        if front.is_empty() {
            node.engine.attach(&LinkSpec::new(fd, Transport::Udp)).unwrap();
        } else {
            node.engine.attach(&LinkSpec { front, ..LinkSpec::new(fd, Transport::Udp) }).unwrap();
        }
        node.add_peer(Some(sockets[1 - index].local_addr().unwrap()), format);
    }
    nodes.into()
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let far = listener.accept().unwrap().0;
    for end in [&near, &far] {
        end.set_read_timeout(Some(DEADLINE)).unwrap();
    }
    (near, far)
}

#[test]
fn packets_cross_both_ways_in_every_format() {
    for format in [DataFormat::V1, DataFormat::V2, DataFormat::Epoch] {
        let (one, other) = udp_pair(format, false);
        for number in 0..100 {
            let (there, back) = (packet(number, 100), packet(number, 1200));
            one.inject(&there);
            assert_eq!(other.delivered(), there);
            other.inject(&back);
            assert_eq!(one.delivered(), back);
        }
        assert_eq!(one.stats().tun_read_packets, 100);
        assert_eq!(other.stats().link_read_packets, 100);
        assert_eq!(other.stats().drops().count(), 0);
    }
}

#[test]
fn a_super_packet_arrives_as_its_segments() {
    // Each segment carries the front of its own.
    for front in [&b""[..], FRONT] {
        super_packet_crosses(relayed_pair(front, DataFormat::V2, true));
    }
}

fn super_packet_crosses((one, other): (Node, Node)) {
    let whole = packet(9, 50 * 1200 + 77);
    let header = VnetHeader {
        flags: NEEDS_CHECKSUM,
        gso_type: GSO_UDP,
        header_len: 28,
        gso_size: 1200,
        checksum_start: 20,
        checksum_offset: 6,
    };
    let mut begun = whole.clone();
    let sum = pseudo_header(&whole[12..20], 17, whole.len() - 20).fold();
    begun[26..28].copy_from_slice(&sum.to_be_bytes());
    one.inject(&[&header.encode()[..], &begun].concat());
    let mut payload = vec![];
    for _ in 0..51 {
        let out = other.delivered();
        assert_eq!(out[..VNET_LEN], VnetHeader::default().encode());
        let inner = &out[VNET_LEN..];
        let checksum = pseudo_header(&inner[12..20], 17, inner.len() - 20).add_bytes(&inner[20..]);
        assert_eq!(checksum.finish(), 0);
        payload.extend_from_slice(&inner[28..]);
    }
    assert_eq!(payload, &whole[28..]);
    assert_eq!(one.stats().tun_read_packets, 51);
    assert_eq!(one.stats().link_write_packets, 51);
}

#[test]
fn a_relay_gets_its_front_and_only_what_bears_it_is_taken() {
    let (relay, own) = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).into();
    relay.set_read_timeout(Some(DEADLINE)).unwrap();
    let to = own.local_addr().unwrap();
    let node = Node::new(true, false);
    node.engine
        .attach(&LinkSpec { front: FRONT, ..LinkSpec::new(own.as_raw_fd(), Transport::Udp) })
        .unwrap();
    node.add_peer(Some(relay.local_addr().unwrap()), DataFormat::V2);
    let mut buffer = [0; 2048];
    node.inject(&packet(1, 300));
    let data = relay.recv(&mut buffer).unwrap();
    assert_eq!(data, FRONT.len() + 24 + 328);
    assert_eq!(&buffer[..FRONT.len()], FRONT);
    node.engine.send_control(b"\x20control", Some(relay.local_addr().unwrap()), 0, None).unwrap();
    let control = relay.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..control], [FRONT, b"\x20control"].concat());
    for datagram in [&b"\x20naked"[..], b"", b"\0\0\0\x01\xc0\0\x02\x07\x04"] {
        relay.send_to(datagram, to).unwrap();
    }
    relay.send_to(&[FRONT, b"\x20answer"].concat(), to).unwrap();
    let mut taken = vec![];
    wait_for("the answer", || {
        taken.extend(node.engine.control(64));
        !taken.is_empty()
    });
    assert_eq!(taken[0].payload, b"\x20answer");
    assert_eq!(taken.len(), 1);
    let dropped: Vec<_> = node.engine.unassigned().unwrap().drops().collect();
    assert_eq!(dropped, [("malformed", 3)]);
}

#[test]
fn keys_change_under_traffic_without_a_loss() {
    let (one, other) = udp_pair(DataFormat::V2, false);
    for round in 1..=200u32 {
        let key_id = (round % 7 + 1) as u8;
        for node in [&one, &other] {
            let key = node.key(key_id, DataFormat::V2);
            node.engine.set_key(PEER, Slot::Secondary, Some(key)).unwrap();
        }
        one.inject(&packet(round * 2, 64));
        one.engine.swap_keys(PEER).unwrap();
        one.inject(&packet(round * 2 + 1, 64));
        assert_eq!(other.delivered(), packet(round * 2, 64));
        assert_eq!(other.delivered(), packet(round * 2 + 1, 64));
        other.engine.swap_keys(PEER).unwrap();
    }
    assert_eq!(other.stats().drops().count(), 0);
}

#[test]
fn records_of_a_stream_survive_any_cut() {
    let (near, mut far) = tcp_pair();
    let (one, other) = (Node::new(true, false), Node::new(false, false));
    one.engine.attach(&LinkSpec::new(near.as_raw_fd(), Transport::Tcp)).unwrap();
    one.add_peer(None, DataFormat::V2);
    one.inject(&packet(1, 300));
    one.engine.send_control(b"\x20control", None, 0, None).unwrap();
    let mut record = vec![0; 2 + 24 + 328 + 2 + 8];
    far.read_exact(&mut record).unwrap();
    // The same bytes to the other engine: a part as read ahead, the rest byte by byte.
    let (mut feed, link) = tcp_pair();
    other.add_peer(None, DataFormat::V2);
    other
        .engine
        .attach(&LinkSpec {
            unread: &record[..100],
            ..LinkSpec::new(link.as_raw_fd(), Transport::Tcp)
        })
        .unwrap();
    feed.set_nodelay(true).unwrap();
    for byte in &record[100..] {
        feed.write_all(&[*byte]).unwrap();
    }
    assert_eq!(other.delivered(), packet(1, 300));
    let mut control = vec![];
    wait_for("the control packet", || {
        control.extend(other.engine.control(64));
        !control.is_empty()
    });
    assert_eq!((control[0].payload.as_slice(), control[0].source), (&b"\x20control"[..], None));
}

#[test]
fn control_overtakes_data_that_waits_for_a_full_stream() {
    let (near, mut far) = tcp_pair();
    let one = Node::new(true, false);
    one.engine.attach(&LinkSpec::new(near.as_raw_fd(), Transport::Tcp)).unwrap();
    one.add_peer(None, DataFormat::V2);
    // Fill the stream until the engine stops to read its device.
    one.tun.set_nonblocking(true).unwrap();
    let mut number = 0u32;
    let mut idle_since = Instant::now();
    while idle_since.elapsed() < Duration::from_millis(300) {
        if one.tun.send(&packet(number, 1300)).is_ok() {
            number += 1;
            idle_since = Instant::now();
        }
    }
    let sent_before = one.stats().link_write_packets;
    assert!(sent_before < u64::from(number), "the device's own queue holds the rest");
    one.engine.send_control(b"\x20urgent", None, 0, None).unwrap();
    let (mut at, mut found) = (0u64, None);
    while found.is_none() {
        let mut frame = [0; 2];
        far.read_exact(&mut frame).unwrap();
        let mut record = vec![0; usize::from(u16::from_be_bytes(frame))];
        far.read_exact(&mut record).unwrap();
        if record == b"\x20urgent" {
            found = Some(at);
        } else {
            assert_eq!((record[0], record.len()), (0x48, 24 + 1328), "records stay whole");
        }
        at += 1;
    }
    // At most the records sealed before the call came first, and never those still in the device.
    assert!(found <= Some(sent_before), "{found:?} {sent_before}");
}

#[test]
fn a_bad_length_or_the_end_of_a_stream_ends_the_link() {
    for (bytes, errno) in [(&b"\0\0"[..], libc::EBADMSG), (b"\xFF\xFF", libc::EBADMSG), (b"", 0)] {
        let (mut far, near) = tcp_pair();
        let one = Node::new(true, false);
        one.engine.attach(&LinkSpec::new(near.as_raw_fd(), Transport::Tcp)).unwrap();
        far.write_all(bytes).unwrap();
        drop(far);
        let mut notes = vec![];
        wait_for("the report", || {
            notes.extend(one.engine.notes());
            !notes.is_empty()
        });
        assert_eq!((notes[0].kind, notes[0].errno), (NoteKind::LinkLost, errno));
    }
}

#[test]
fn a_flood_of_hard_resets_is_cut_and_other_control_is_not() {
    let (one, _other) = udp_pair(DataFormat::V2, false);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    one.engine.attach(&LinkSpec::new(target.as_raw_fd(), Transport::Udp)).unwrap();
    let to = target.local_addr().unwrap();
    let (mut resets, mut markers) = (0, 0);
    for round in 1..=300 {
        stranger.send_to(b"\x38reset", to).unwrap();
        stranger.send_to(b"\x20marker", to).unwrap();
        wait_for("the marker", || {
            for packet in one.engine.control(64) {
                assert_eq!(packet.source, Some(stranger.local_addr().unwrap()));
                if packet.payload[0] == 0x38 {
                    resets += 1;
                } else {
                    markers += 1;
                }
            }
            markers == round
        });
    }
    // 100 at once and 10 a second: far fewer than 300 unless this took twenty seconds.
    assert!((100..290).contains(&resets), "{resets}");
}

#[test]
fn callers_get_their_turn_under_load() {
    let (one, other) = udp_pair(DataFormat::V2, false);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            one.tun.set_nonblocking(true).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // A full queue is what this is for.
                let _ = one.tun.send(&packet(number, 1000));
                number += 1;
            }
        });
        scope.spawn(|| {
            let mut buffer = [0; 2048];
            other.tun.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // Only to make room.
                let _ = other.tun.recv(&mut buffer);
            }
        });
        let start = Instant::now();
        while one.stats().tun_read_packets == 0 {
            assert!(start.elapsed() < DEADLINE, "nothing was read");
        }
        let start = Instant::now();
        for _ in 0..500 {
            one.stats();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(start.elapsed() < 4 * DEADLINE, "{:?}", start.elapsed());
    });
}

#[test]
fn a_set_limit_wakes_a_sleeping_engine() {
    let (one, _other) = udp_pair(DataFormat::V2, false);
    one.engine.set_peer(PEER, Keepalive { ping_timeout: 1, ..Keepalive::default() }).unwrap();
    let mut notes = vec![];
    wait_for("silence", || {
        notes.extend(one.engine.notes());
        !notes.is_empty()
    });
    assert_eq!((notes[0].kind, notes[0].peer_id), (NoteKind::Silent, PEER));
}

#[test]
fn calls_after_close_say_so() {
    let (one, _other) = udp_pair(DataFormat::V2, false);
    one.engine.close();
    one.engine.close();
    assert_eq!(one.engine.fileno(), -1);
    assert!(one.engine.notes().is_empty() && one.engine.control(9).is_empty());
    let error = one.engine.stats(PEER).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EBADF));
}

#[test]
fn impossible_calls_are_refused() {
    let (one, _other) = udp_pair(DataFormat::V2, false);
    let errno = |result: std::io::Result<()>| result.unwrap_err().raw_os_error();
    assert_eq!(errno(one.engine.swap_keys(99)), Some(libc::ENOENT));
    assert_eq!(errno(one.engine.del_peer(99)), Some(libc::ENOENT));
    assert_eq!(errno(one.engine.attach(&LinkSpec::new(-1, Transport::Udp))), Some(libc::EBADF));
    let network = "10.0.0.0".parse().unwrap();
    assert_eq!(errno(one.engine.add_iroute(PEER, network, 33)), Some(libc::EINVAL));
    assert_eq!(errno(one.engine.add_iroute(99, network, 8)), Some(libc::ENOENT));
    let mut config = PeerConfig {
        peer_id: PEER,
        send_peer_id: 0,
        remote: None,
        allow_float: true,
        mss_ipv4: 0,
        mss_ipv6: 0,
        replay_window: 0,
        replay_time: 0,
        drop_recursive: false,
        ..PeerConfig::default()
    };
    assert_eq!(errno(one.engine.new_peer(config, PayloadSpec::default())), Some(libc::EEXIST));
    config.peer_id = 4;
    one.engine.new_peer(config, PayloadSpec::default()).unwrap();
}
