//! Batched UDP over loopback.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used)]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use ginnel_netio::socket::set_option;
use ginnel_netio::udp::{Group, Outcome, Receiver, Udp};

fn socket(address: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 % 251) as u8).collect()
}

fn group(start: usize, end: usize, segment: usize, to: SocketAddr) -> Group {
    Group { range: start..end, segment, to, owner: 5, tos: 0, local: None }
}

/// Everything the receiver gets until `count` packets came.
fn receive(udp: &Udp, receiver: &mut Receiver, count: usize) -> Vec<(Vec<u8>, SocketAddr)> {
    let mut packets = vec![];
    let end = Instant::now() + Duration::from_secs(10);
    while packets.len() < count {
        assert!(Instant::now() < end, "{} of {count} packets came", packets.len());
        if receiver.receive(udp).is_err() {
            std::thread::yield_now();
            continue;
        }
        let (messages, storage) = receiver.messages();
        for message in messages {
            for packet in storage[message.range.clone()].chunks(message.segment) {
                packets.push((packet.to_vec(), message.from));
            }
        }
    }
    packets
}

#[test]
fn a_group_leaves_as_its_packets_and_comes_in_joined_or_not() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let (near, from) = socket(address);
        let (far, to) = socket(address);
        let bytes = pattern(40 * 1200 + 500);
        let mut sender = Udp::open(near.as_raw_fd(), false).unwrap();
        let mut receiver = Receiver::new(true, 2048);
        let udp = Udp::open(far.as_raw_fd(), false).unwrap();
        let mut total = Outcome::default();
        let done = sender.send_groups(&bytes, &[group(0, bytes.len(), 1200, to)], |group, out| {
            assert_eq!(group.owner, 5);
            total = out;
        });
        let expected = Outcome { packets: 41, bytes: bytes.len() as u64, too_big: 0, refused: 0 };
        assert_eq!((done, total), (1, expected));
        let packets = receive(&udp, &mut receiver, 41);
        let expected: Vec<_> = bytes.chunks(1200).map(|chunk| (chunk.to_vec(), from)).collect();
        assert_eq!(packets, expected);
    }
}

#[test]
fn groups_keep_their_order_and_their_targets() {
    let (near, _) = socket("127.0.0.1:0");
    let far = [0, 1].map(|_| socket("127.0.0.1:0"));
    let bytes = pattern(6000);
    let mut sender = Udp::open(near.as_raw_fd(), false).unwrap();
    let groups = [
        group(0, 1000, 1000, far[0].1),
        group(1000, 3000, 1000, far[1].1),
        group(3000, 3000, 1000, far[0].1),
        group(3000, 6000, 1500, far[0].1),
    ];
    let mut packets = 0;
    assert_eq!(sender.send_groups(&bytes, &groups, |_, out| packets += out.packets), 4);
    assert_eq!(packets, 1 + 2 + 2, "an empty group has no packets");
    let mut buffer = [0; 2000];
    for (index, expected) in [
        (0, &bytes[..1000]),
        (0, &[]),
        (0, &bytes[3000..4500]),
        (0, &bytes[4500..]),
        (1, &bytes[1000..2000]),
        (1, &bytes[2000..3000]),
    ] {
        let length = far[index].0.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], expected);
    }
}

#[test]
fn a_refused_super_packet_is_sent_in_parts_and_an_oversized_packet_is_counted() {
    let (near, _) = socket("127.0.0.1:0");
    let (far, to) = socket("127.0.0.1:0");
    // Two segments of this length are more than one send may hold: the kernel says EMSGSIZE.
    let bytes = pattern(3 * 40_000);
    let mut sender = Udp::open(near.as_raw_fd(), false).unwrap();
    let mut total = Outcome::default();
    sender.send_groups(&bytes, &[group(0, bytes.len(), 40_000, to)], |_, out| total = out);
    assert_eq!((total.packets, total.too_big), (3, 0));
    let mut buffer = vec![0; 50_000];
    for chunk in bytes.chunks(40_000) {
        let length = far.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], chunk);
    }
    sender.send_groups(&bytes, &[group(0, 66_000, 66_000, to)], |_, out| total = out);
    assert_eq!((total.packets, total.too_big), (0, 1));
    // What fits is still segmented afterwards.
    sender.send_groups(&bytes, &[group(0, 3000, 1000, to)], |_, out| total = out);
    assert_eq!((total.packets, sender.can_segment()), (3, true));
}

#[test]
fn what_cannot_be_sent_is_counted_and_does_not_stop_the_rest() {
    let (near, _) = socket("127.0.0.1:0");
    let (far, to) = socket("127.0.0.1:0");
    let mut sender = Udp::open(near.as_raw_fd(), false).unwrap();
    let bytes = pattern(100);
    let groups = [
        group(0, 100, 100, to),
        group(0, 50, 50, "[2001:db8::1]:9".parse().unwrap()),
        group(0, 500, 50, to),
        group(50, 100, 50, to),
    ];
    let mut seen = vec![];
    let done = sender.send_groups(&bytes, &groups, |_, out| seen.push((out.packets, out.refused)));
    assert_eq!((done, seen), (4, vec![(1, 0), (0, 1), (0, 10), (1, 0)]));
    let mut buffer = [0; 200];
    assert_eq!(far.recv(&mut buffer).unwrap(), 100);
    assert_eq!(far.recv(&mut buffer).unwrap(), 50);
}

#[test]
fn a_multihomed_socket_tells_and_takes_the_address_of_ours() {
    for (bound, ours) in [("0.0.0.0:0", "127.0.0.2"), ("[::]:0", "127.0.0.3"), ("[::]:0", "::1")] {
        let ours: IpAddr = ours.parse().unwrap();
        let (server, at) = socket(bound);
        let client = UdpSocket::bind((ours, 0)).unwrap();
        let mut udp = Udp::open(server.as_raw_fd(), true).unwrap();
        let mut receiver = Receiver::new(true, 2048);
        client.send_to(b"asked", (ours, at.port())).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        while receiver.receive(&udp).is_err() {
            assert!(Instant::now() < end, "nothing came");
            std::thread::yield_now();
        }
        let (messages, _) = receiver.messages();
        assert_eq!((messages.len(), messages[0].local), (1, Some(ours)));
        let from = messages[0].from;
        udp.send_from(b"answered", from, ours).unwrap();
        let bytes = pattern(3000);
        let whole = Group { local: Some(ours), ..group(0, 3000, 1000, from) };
        udp.send_groups(&bytes, &[whole], |_, out| assert_eq!(out.packets, 3));
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        for length in [8, 1000, 1000, 1000] {
            let (count, source) = client.recv_from(&mut [0; 2048]).unwrap();
            assert_eq!((count, source), (length, (ours, at.port()).into()));
        }
    }
    let (server, _) = socket("127.0.0.1:0");
    let mut udp = Udp::open(server.as_raw_fd(), true).unwrap();
    let (_, to) = socket("127.0.0.1:0");
    assert!(udp.send_from(b"x", to, "::1".parse().unwrap()).is_err());
}

#[test]
fn a_message_longer_than_its_buffer_is_counted_not_believed() {
    let (near, _) = socket("127.0.0.1:0");
    let (far, to) = socket("127.0.0.1:0");
    let udp = Udp::open(far.as_raw_fd(), false).unwrap();
    let mut receiver = Receiver::new(false, 100);
    near.send_to(&[1; 101], to).unwrap();
    near.send_to(&[2; 100], to).unwrap();
    let mut malformed = 0;
    let mut packets = vec![];
    let end = Instant::now() + Duration::from_secs(10);
    while packets.is_empty() && Instant::now() < end {
        if receiver.receive(&udp).is_err() {
            continue;
        }
        malformed += receiver.malformed();
        let (messages, storage) = receiver.messages();
        packets.extend(messages.iter().map(|message| storage[message.range.clone()].to_vec()));
    }
    assert_eq!((malformed, packets), (1, vec![vec![2; 100]]));
}

#[test]
fn a_joined_message_whose_segment_length_was_cut_off_is_not_taken_for_one_packet() {
    let (near, _) = socket("127.0.0.1:0");
    let (far, to) = socket("127.0.0.1:0");
    let mut sender = Udp::open(near.as_raw_fd(), false).unwrap();
    let udp = Udp::open(far.as_raw_fd(), false).unwrap();
    let mut receiver = Receiver::new(true, 2048);
    // The time stamps come first and leave the segment length no room. The kernel begins to stamp
    // what arrives a moment later than it is asked to; only for SO_TIMESTAMPNS does it make up for
    // a packet without a stamp, so that one is asked for as well.
    let stamps = libc::SOF_TIMESTAMPING_RX_SOFTWARE | libc::SOF_TIMESTAMPING_SOFTWARE;
    set_option(far.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1).unwrap();
    let stamps = stamps.cast_signed();
    set_option(far.as_fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPING, stamps).unwrap();
    let bytes = pattern(3000);
    sender.send_groups(&bytes, &[group(0, 3000, 1000, to)], |_, _| ());
    let end = Instant::now() + Duration::from_secs(10);
    while receiver.receive(&udp).is_err() {
        assert!(Instant::now() < end, "nothing came");
        std::thread::yield_now();
    }
    assert_eq!((receiver.malformed(), receiver.messages().0.len()), (1, 0));
}
