//! Every input that a fuzzer kept, again. New ones come from `make fuzz`.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "../../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(name);
    let inputs: Vec<_> =
        fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "{name} has no corpus");
    for input in inputs {
        target(&fs::read(input).unwrap());
    }
}

#[test]
fn data_packets() {
    replay("data-packet", targets::data_packet);
}

#[test]
fn inner_packets() {
    replay("inner-packets", targets::inner_packets);
}

#[test]
fn payloads() {
    replay("payloads", targets::payloads);
}

#[test]
fn device_reads() {
    replay("device-read", targets::device_read);
}

#[test]
fn frames() {
    replay("frames", targets::frames);
}
