//! What a server's many peers may do to each other, and to the engine.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use ginnel_dataplane::NoteKind;
use ginnel_dataplane::datapath::peer::{Keepalive, Slot};

use crate::support::{Server, address_of, key, packet, sealed, wait_for};

#[test]
fn ten_thousand_peers_fall_silent_and_none_goes_unreported() {
    let server = Server::new();
    let peers = 1..10_001;
    let limits = Keepalive { ping_timeout: 1, ..Keepalive::default() };
    for peer_id in peers.clone() {
        let remote = SocketAddr::new(address_of(peer_id), 1194);
        server.add_peer(peer_id, 0, Some(remote));
        server.engine.set_peer(peer_id, limits).unwrap();
    }
    let mut silent = HashSet::new();
    wait_for("all of them", || {
        for note in server.engine.notes() {
            assert_eq!(note.kind, NoteKind::Silent);
            assert!(silent.insert(note.peer_id), "{} twice", note.peer_id);
        }
        silent.len() == peers.len()
    });
    for peer_id in peers {
        server.engine.del_peer(peer_id).unwrap();
    }
    server.tun.send(&packet(address_of(0), address_of(1), 100)).unwrap();
    wait_for("a packet for nobody", || {
        server.engine.unassigned().unwrap().drops().any(|(name, _)| name == "no-route")
    });
}

#[test]
fn peers_that_send_nonsense_disturb_nobody() {
    let server = Server::new();
    let sockets: Vec<_> = (0..2).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    let to = server.link.local_addr().unwrap();
    for (peer_id, socket) in (1..).zip(&sockets) {
        server.add_peer(peer_id, 0, Some(socket.local_addr().unwrap()));
        server.engine.set_key(peer_id, Slot::Primary, Some(key())).unwrap();
    }
    let (mut hostile, mut honest) = (key(), key());
    let mut state = 1u64;
    for number in 0..2000u64 {
        // A linear congruence is nonsense enough.
        let noise: Vec<u8> = (0..number % 90)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        let mut payload = packet(address_of(1), address_of(2), 20 + noise.len());
        payload[20..].copy_from_slice(&noise);
        let start = (number % 20) as usize;
        let cut = &payload[start..];
        sockets[0].send_to(&sealed(&mut hostile, 1, cut), to).unwrap();
        if number % 100 == 0 {
            let genuine = packet(address_of(2), IpAddr::from([192, 0, 2, 1]), 64);
            sockets[1].send_to(&sealed(&mut honest, 2, &genuine), to).unwrap();
            let mut out = vec![0; 2048];
            wait_for("the honest packet", || {
                server.tun.recv(&mut out).is_ok_and(|length| out[..length] == genuine)
            });
        }
    }
    let stats = server.engine.stats(2).unwrap();
    assert_eq!((stats.link_read_packets, stats.tun_write_packets), (20, 20));
    assert!(server.drops(1, "not-ip") + server.drops(1, "source-address") > 0);
}
