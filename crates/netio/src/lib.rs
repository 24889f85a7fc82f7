//! The system calls of the data plane: TUN, batched UDP, TCP, epoll and eventfd.
//!
//! The only crate with unsafe code. Everything it exports is safe: buffers are slices, descriptors
//! are owned, and what the kernel wrote is checked before it is believed. It knows no protocol.

pub mod event;
pub mod socket;
pub mod sys;
pub mod tcp;
pub mod tun;
pub mod udp;
