//! The packet path of the data channel, and the keys of control packets (`siv`), without I/O, clock
//! or threads.
//!
//! Responsible for packet formats, keys and their limits, replay windows, peers and their routes,
//! segmentation and coalescing of inner packets, MSS clamping and counters. It neither reads a
//! descriptor nor knows where time comes from: callers pass bytes and coarse milliseconds in.

#![forbid(unsafe_code)]

pub mod block;
pub mod checksum;
pub mod cipher;
pub mod coalesce;
pub mod epoch;
pub mod ether;
pub mod hash;
pub mod inner;
mod ivs;
pub mod key;
pub mod learn;
pub mod mac;
pub mod mss;
pub mod payload;
pub mod peer;
pub mod replay;
pub mod route;
pub mod segment;
pub mod siv;
pub mod stats;
pub mod suite;
pub mod vlan;
pub mod vnet;
pub mod wire;
