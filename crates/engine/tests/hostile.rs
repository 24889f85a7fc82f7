//! What strangers and a dead or babbling peer may cost an engine.
// Helpers of tests may stop at the first surprise, like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::net::UdpSocket;
use std::os::fd::{AsFd, AsRawFd};

use ginnel_dataplane::datapath::payload::PayloadSpec;
use ginnel_dataplane::datapath::peer::{Keepalive, PeerConfig, Slot};
use ginnel_dataplane::datapath::stats::Stats;
use ginnel_dataplane::datapath::wire::{OCC_MAGIC, PING};
use ginnel_dataplane::{Control, Engine, LinkSpec, NoteKind, Transport};
use ginnel_netio::socket::option;

use crate::support::{key, sealed, wait_for};

const PEER: u32 = 3;

/// An engine without a device, its socket, and the socket of its only peer.
struct Bench {
    engine: Engine,
    link: UdpSocket,
    peer: UdpSocket,
}

impl Bench {
    fn new() -> Self {
        let [link, peer] = [0, 1].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let engine = Engine::open(None).unwrap();
        engine.attach(&LinkSpec::new(link.as_raw_fd(), Transport::Udp)).unwrap();
        engine
            .new_peer(
                PeerConfig {
                    peer_id: PEER,
                    send_peer_id: PEER,
                    remote: Some(peer.local_addr().unwrap()),
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
        engine.set_key(PEER, Slot::Primary, Some(key())).unwrap();
        Self { engine, link, peer }
    }

    fn send(&self, packet: &[u8]) {
        self.peer.send_to(packet, self.link.local_addr().unwrap()).unwrap();
    }

    fn stats(&self) -> Stats {
        self.engine.stats(PEER).unwrap()
    }

    fn dropped(&self, reason: &str) -> u64 {
        let unassigned = self.engine.unassigned().unwrap();
        unassigned.drops().find(|(name, _)| *name == reason).map_or(0, |(_, count)| count)
    }
}

#[test]
fn strangers_leave_the_peer_room_for_its_control_packets() {
    let bench = Bench::new();
    let strangers = [(); 40].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    for (number, stranger) in (1..=400u64).zip(strangers.iter().cycle()) {
        stranger.send_to(b"\x20junk", bench.link.local_addr().unwrap()).unwrap();
        // Nobody takes them: every one past the strangers' share is dropped.
        wait_for("the packet", || 128 + bench.dropped("control-full") >= number);
    }
    wait_for("the last drop", || bench.dropped("control-full") == 400 - 128);
    bench.send(b"\x20needed");
    let mut control: Vec<Control> = vec![];
    wait_for("the peer's packet", || {
        control.extend(bench.engine.control(64));
        control.iter().any(|packet| packet.payload == b"\x20needed")
    });
}

#[test]
fn a_control_packet_that_no_peer_would_send_is_not_kept() {
    let bench = Bench::new();
    let mut long = vec![0x20; 4097];
    bench.send(&long);
    wait_for("the drop", || bench.dropped("malformed") == 1);
    long.pop();
    bench.send(&long);
    let mut control: Vec<Control> = vec![];
    wait_for("the packet", || {
        control.extend(bench.engine.control(64));
        !control.is_empty()
    });
    assert_eq!(control[0].payload, long);
}

#[test]
fn a_peer_that_falls_silent_again_is_reported_again() {
    let bench = Bench::new();
    let mut sender = key();
    bench.engine.set_peer(PEER, Keepalive { ping_timeout: 1, ..Keepalive::default() }).unwrap();
    for _ in 0..2 {
        let mut notes = vec![];
        wait_for("silence", || {
            notes.extend(bench.engine.notes());
            !notes.is_empty()
        });
        assert_eq!((notes[0].kind, notes[0].peer_id), (NoteKind::Silent, PEER));
        let heard = bench.stats().link_read_packets;
        bench.send(&sealed(&mut sender, PEER, &PING));
        wait_for("the ping", || bench.stats().link_read_packets > heard);
    }
}

#[test]
fn a_flood_of_occ_messages_is_cut() {
    let bench = Bench::new();
    let mut sender = key();
    for number in 1..=300u64 {
        let payload = [&OCC_MAGIC[..], &number.to_be_bytes()].concat();
        bench.send(&sealed(&mut sender, PEER, &payload));
        wait_for("the message", || bench.stats().link_read_packets == number);
    }
    let notes = bench.engine.notes();
    assert_eq!(notes.len(), 64);
    assert!(notes.iter().all(|note| note.kind == NoteKind::Occ));
    bench.send(&sealed(&mut sender, PEER, &OCC_MAGIC));
    let mut notes = vec![];
    wait_for("room after draining", || {
        notes.extend(bench.engine.notes());
        !notes.is_empty()
    });
    assert_eq!(notes[0].payload, OCC_MAGIC);
}

#[test]
fn replays_and_forgeries_cost_a_counter_each() {
    let bench = Bench::new();
    let mut sender = key();
    let good = sealed(&mut sender, PEER, &PING);
    bench.send(&good);
    wait_for("the first", || bench.stats().link_read_packets == 1);
    let mut forged = sealed(&mut sender, PEER, &PING);
    forged[30] ^= 1;
    let drops = |name: &str| {
        bench.stats().drops().find(|(reason, _)| *reason == name).map_or(0, |(_, count)| count)
    };
    for number in 1..=200 {
        bench.send(&good);
        bench.send(&forged);
        wait_for("the drops", || drops("replay") == number && drops("auth") == number);
    }
    assert_eq!((bench.engine.notes().len(), bench.engine.control(9).len()), (0, 0));
}

#[test]
fn attaching_the_same_socket_again_keeps_its_offloads() {
    let bench = Bench::new();
    let joins = || option(bench.link.as_fd(), libc::SOL_UDP, libc::UDP_GRO).unwrap();
    let before = joins();
    bench.engine.attach(&LinkSpec::new(bench.link.as_raw_fd(), Transport::Udp)).unwrap();
    assert_eq!(joins(), before);
    bench.engine.close();
    assert_eq!(joins(), 0, "its next reader need not know joined packets");
}
