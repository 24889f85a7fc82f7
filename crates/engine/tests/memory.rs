//! What idle, half-open and slow streams may cost in memory. Alone in its process, so that nothing
//! else grows meanwhile.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;

use ginnel_dataplane::datapath::peer::Slot;
use ginnel_dataplane::datapath::wire::{DataFormat, DataHeader};

use crate::support::{DEADLINE, Server, address_of, key, packet, wait_for};

#[test]
fn streams_cost_little_while_they_are_idle_or_slow() {
    hold_idle_and_half_open_streams();
    hold_readers_that_do_not_read();
}

fn resident_bytes() -> usize {
    let status = fs::read_to_string("/proc/self/statm").unwrap();
    status.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn hold_idle_and_half_open_streams() {
    let server = Server::new();
    // The buffers of the thread itself are there after the first packet of a stream.
    let (_, mut first) = server.add_stream(1);
    first.write_all(b"\x00\x02\x20a").unwrap();
    wait_for("the first packet", || server.engine.control(64).len() == 1);
    let before = resident_bytes();
    let mut streams: Vec<_> = (2..402).map(|peer_id| server.add_stream(peer_id)).collect();
    for (_, stream) in &mut streams {
        stream.write_all(b"\x05\x00 half a record").unwrap();
    }
    first.write_all(b"\x00\x02\x20b").unwrap();
    wait_for("a packet behind all of them", || server.engine.control(64).len() == 1);
    let each = resident_bytes().saturating_sub(before) / streams.len();
    assert!(each < 16 * 1024, "{each} bytes a stream");
}

fn hold_readers_that_do_not_read() {
    let server = Server::new();
    let slow: Vec<_> = (1..21).map(|peer_id| (peer_id, server.add_stream(peer_id).1)).collect();
    let quick = UdpSocket::bind("127.0.0.1:0").unwrap();
    quick.set_read_timeout(Some(DEADLINE)).unwrap();
    server.add_peer(99, 0, Some(quick.local_addr().unwrap()));
    for peer_id in (1..21).chain([99]) {
        server.engine.set_key(peer_id, Slot::Primary, Some(key())).unwrap();
    }
    let before = resident_bytes();
    for (peer_id, _) in &slow {
        let large = packet(address_of(0), address_of(*peer_id), 1400);
        wait_for("a full queue", || {
            // A full device queue is tried again.
            let _ = server.tun.send(&large);
            server.drops(*peer_id, "link-full") > 0
        });
    }
    wait_for("room in the device", || {
        server.tun.send(&packet(address_of(0), address_of(99), 100)).is_ok()
    });
    assert_eq!(quick.recv(&mut [0; 2048]).unwrap(), 100 + DataFormat::V2.prefix_len());
    let each = resident_bytes().saturating_sub(before) / slow.len();
    assert!(each < 512 * 1024, "{each} bytes a slow reader");
    // What was kept is whole and in order, however much was dropped.
    for (_, mut stream) in slow {
        stream.set_nonblocking(true).unwrap();
        let mut bytes = vec![];
        let mut chunk = vec![0; 65536];
        while let Ok(length @ 1..) = stream.read(&mut chunk) {
            bytes.extend_from_slice(&chunk[..length]);
        }
        let mut reader = key();
        let mut at = 0;
        while at + 2 + 1424 <= bytes.len() {
            assert_eq!(bytes[at..at + 2], 1424u16.to_be_bytes());
            let record = &mut bytes[at + 2..at + 2 + 1424];
            let header = DataHeader { key_id: 0, peer_id: Some(0) };
            reader.open(header, record, 0).unwrap();
            at += 2 + 1424;
        }
        assert!(at > 0);
    }
}
