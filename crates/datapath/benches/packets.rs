//! What one packet costs: sealing, opening, cutting and joining.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;
use std::ops::Range;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ginnel_datapath::checksum::{Sum, pseudo_header};
use ginnel_datapath::cipher::Cipher;
use ginnel_datapath::coalesce::{Coalescer, Sink};
use ginnel_datapath::key::{Direction, Key, KeySpec, Limits};
use ginnel_datapath::payload::framing::Framing;
use ginnel_datapath::payload::{Payload, PayloadSpec, Shape};
use ginnel_datapath::replay::ReplayWindow;
use ginnel_datapath::segment::{self, Plan};
use ginnel_datapath::suite::Suite;
use ginnel_datapath::vnet::{GSO_TCP4, NEEDS_CHECKSUM, VnetHeader};
use ginnel_datapath::wire::{self, DataFormat, Kind};
use zeroize::Zeroizing;

const MSS: usize = 1360;
const SEGMENTS: usize = 45;
const COPIED: usize = 8192;

fn key(cipher: Cipher, format: DataFormat) -> Key {
    let iv = if format == DataFormat::Epoch { 0 } else { 8 };
    let length = if format == DataFormat::Epoch { 32 } else { cipher.key_len() };
    let half = || Direction {
        cipher_key: Zeroizing::new(vec![7; length]),
        implicit_iv: Zeroizing::new(vec![9; iv]),
        ..Direction::default()
    };
    Key::new(&KeySpec {
        key_id: 0,
        suite: cipher.into(),
        format,
        send: half(),
        receive: half(),
        replay_window: 64,
        replay_time: 15,
        packet_time: 0,
        limits: Limits::default(),
    })
    .unwrap()
}

fn record(key: &Key) -> Vec<u8> {
    vec![0x5A; key.layout().sealed_len(1400)]
}

fn old_key(cipher: &str, digest: &str, cipher_len: usize, mac_len: usize) -> Key {
    let half = || Direction {
        cipher_key: Zeroizing::new(vec![7; cipher_len]),
        hmac_key: Zeroizing::new(vec![9; mac_len]),
        ..Direction::default()
    };
    Key::new(&KeySpec {
        key_id: 0,
        suite: Suite::by_name(cipher, digest).unwrap(),
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

fn seal_and_open(criterion: &mut Criterion) {
    for (name, cipher) in [
        ("aes-128-gcm", Cipher::Aes128Gcm),
        ("aes-192-gcm", Cipher::Aes192Gcm),
        ("aes-256-gcm", Cipher::Aes256Gcm),
        ("chacha20-poly1305", Cipher::ChaCha20Poly1305),
    ] {
        for (suffix, format) in [("v2", DataFormat::V2), ("epoch", DataFormat::Epoch)] {
            let group = format!("{name}/{suffix}/1400");
            one_suite(criterion, &group, || key(cipher, format));
        }
    }
    one_suite(criterion, "aes-256-cbc/sha256/1400", || old_key("AES-256-CBC", "SHA256", 32, 32));
    one_suite(criterion, "aes-128-cbc/sha1/1400", || old_key("AES-128-CBC", "SHA1", 16, 20));
    one_suite(criterion, "bf-cbc/sha1/1400", || old_key("BF-CBC", "SHA1", 16, 20));
}

fn one_suite(criterion: &mut Criterion, name: &str, new_key: impl Fn() -> Key) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(1400));
    let mut sealing = new_key();
    let mut packet = record(&sealing);
    group.bench_function("seal", |bencher| {
        bencher.iter(|| sealing.seal(1, black_box(&mut packet), 1400).unwrap());
    });
    let (mut sealing, mut opening) = (new_key(), new_key());
    group.bench_function("open", |bencher| {
        bencher.iter_batched_ref(
            || {
                let mut packet = record(&sealing);
                sealing.seal(1, &mut packet, 1400).unwrap();
                packet
            },
            |packet| {
                let Some(Kind::Data(header)) = wire::classify(packet) else { return };
                // Batches are set up in order, so every packet-id is new.
                black_box(opening.open(header, packet, 0).unwrap());
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// A TCP super-packet as the kernel hands it over.
fn super_packet() -> (VnetHeader, Vec<u8>) {
    let length = 40 + MSS * SEGMENTS;
    let mut packet = vec![0x11; length];
    packet[..20]
        .copy_from_slice(&[0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    packet[20..40].copy_from_slice(&[
        0x10, 0, 0x14, 0x51, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0,
    ]);
    let begun = pseudo_header(&packet[12..20], 6, length - 20).fold();
    packet[36..38].copy_from_slice(&begun.to_be_bytes());
    let header = VnetHeader {
        flags: NEEDS_CHECKSUM,
        gso_type: GSO_TCP4,
        header_len: 40,
        gso_size: MSS as u16,
        checksum_start: 20,
        checksum_offset: 16,
    };
    (header, packet)
}

struct Discard;

impl Sink for Discard {
    fn write(&mut self, header: VnetHeader, _: &[u8], parts: &[Range<usize>]) {
        black_box((header, parts.len()));
    }
}

fn cut_and_join(criterion: &mut Criterion) {
    let (header, mut packet) = super_packet();
    let mut group = criterion.benchmark_group("tcp-super-packet");
    group.throughput(Throughput::Bytes(packet.len() as u64));
    let mut out = vec![0; 40 + MSS];
    group.bench_function("cut", |bencher| {
        bencher.iter(|| {
            let Plan::Split(segments) = segment::plan(header, &mut packet).unwrap() else { return };
            for index in 0..segments.count() {
                segments.write(index, &packet, &mut out[..segments.len(index)]);
                black_box(&out);
            }
        });
    });
    let Plan::Split(segments) = segment::plan(header, &mut packet).unwrap() else { return };
    let mut storage = vec![];
    let mut ranges = vec![];
    for index in 0..segments.count() {
        let start = storage.len();
        storage.resize(start + segments.len(index), 0);
        segments.write(index, &packet, &mut storage[start..]);
        ranges.push(start..storage.len());
    }
    let mut coalescer = Coalescer::new(true, true);
    group.bench_function("join", |bencher| {
        bencher.iter_batched_ref(
            || storage.clone(),
            |storage| {
                for range in &ranges {
                    coalescer.push(storage, range.clone(), &mut Discard);
                }
                coalescer.finish(storage, &mut Discard);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// What framing and fragment headers add to a packet that is copied to where it is sealed.
fn payload_steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("payload/1400");
    group.throughput(Throughput::Bytes(1400));
    let packet = vec![0x45; 1400];
    let mut out = vec![0; 1600];
    group.bench_function("copy", |bencher| {
        bencher.iter(|| black_box(&mut out[24..1424]).copy_from_slice(black_box(&packet)));
    });
    for (name, framing, fragment) in [
        ("prefix", Some(Framing::Prefix), 0),
        ("swap", Some(Framing::Swap), 0),
        ("v2", Some(Framing::V2), 0),
        ("prefix+fragment", Some(Framing::Prefix), 1500),
    ] {
        let spec = PayloadSpec { framing, fragment, ..PayloadSpec::default() };
        let mut payload = Payload::new(spec, 1628, false);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let room = payload.room(packet[0]);
                let framed = room.0 + packet.len() + room.1;
                let Ok(Shape::Whole(header)) = payload.shape(framed) else { return };
                let (front, out) = out[24..24 + header + framed].split_at_mut(header);
                front.fill(0);
                out[room.0..room.0 + packet.len()].copy_from_slice(black_box(&packet));
                payload.frame(out, room);
                black_box(&out);
            });
        });
    }
    group.finish();
}

/// What `bench.micro` measures everything else by.
fn memory_copy(criterion: &mut Criterion) {
    let mut room = vec![0x5A_u8; 3 * COPIED];
    // Not a multiple of a page apart: some processors take such addresses for the same.
    let (from, to) = room.split_at_mut(COPIED + COPIED / 8);
    criterion.bench_function("memory copy", |bencher| {
        bencher.iter(|| {
            black_box(&mut to[..COPIED]).copy_from_slice(black_box(&from[..COPIED]));
        });
    });
}

fn small_parts(criterion: &mut Criterion) {
    let bytes = vec![0xA7; 1400];
    criterion.bench_function("checksum/1400", |bencher| {
        bencher.iter(|| Sum::default().add_bytes(black_box(&bytes)).finish());
    });
    let mut window = ReplayWindow::new(64, 15);
    let mut id = 0;
    criterion.bench_function("replay/in-order", |bencher| {
        bencher.iter(|| {
            id += 1;
            window.check(black_box(id), 1).unwrap();
            window.mark(id, 1);
        });
    });
}

criterion_group!(benches, memory_copy, seal_and_open, cut_and_join, payload_steps, small_parts);
criterion_main!(benches);
