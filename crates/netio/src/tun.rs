//! A TUN device that is already open: whole packets in and out, with or without a vnet header.

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use crate::sys::{check, duplicate, set_nonblocking};

/// Length of the vnet header, when the device has one.
pub const VNET_LEN: usize = 10;
/// The longest read: a super-packet with its vnet header.
pub const MAX_READ: usize = VNET_LEN + 65_536;
/// Most parts of one write.
pub const MAX_PARTS: usize = 128;

const TUN_F_CSUM: libc::c_uint = 0x01;
const TUN_F_TSO4: libc::c_uint = 0x02;
const TUN_F_TSO6: libc::c_uint = 0x04;
const TUN_F_TSO_ECN: libc::c_uint = 0x08;
const TUN_F_USO4: libc::c_uint = 0x20;
const TUN_F_USO6: libc::c_uint = 0x40;
const TUNSETOFFLOAD: libc::Ioctl = 0x4004_54d0_u32 as libc::Ioctl;

/// Offloads that the kernel granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// TCP super-packets.
    pub tso: bool,
    /// UDP super-packets.
    pub uso: bool,
}

/// The device; the descriptor is a duplicate that is closed on drop.
#[derive(Debug)]
pub struct Tun {
    file: File,
    has_header: bool,
    offloads: Offloads,
}

impl Tun {
    /// Duplicates an open device and asks for the offloads that its header allows.
    pub fn open(fd: RawFd, has_header: bool) -> io::Result<Self> {
        let fd = duplicate(fd)?;
        set_nonblocking(fd.as_fd())?;
        let offloads = if has_header { probe(fd.as_fd()) } else { Offloads::default() };
        Ok(Self { file: File::from(fd), has_header, offloads })
    }

    /// What the kernel granted.
    pub const fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Reads one packet into `buffer`; returns where it starts (after the header) and ends.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<Range<usize>> {
        let length = (&self.file).read(buffer)?;
        let start = if self.has_header { VNET_LEN } else { 0 };
        Ok(start.min(length)..length)
    }

    /// True when every packet has a vnet header.
    pub const fn has_header(&self) -> bool {
        self.has_header
    }

    /// Writes the parts as one packet. `header` goes in front when the device has one.
    ///
    /// Fails with `InvalidInput` for a part outside `storage` or too many parts.
    pub fn write(
        &self,
        header: &[u8; VNET_LEN],
        storage: &[u8],
        parts: &[Range<usize>],
    ) -> io::Result<()> {
        if parts.len() > MAX_PARTS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut slices = [IoSlice::new(&[]); MAX_PARTS + 1];
        let mut count = 0;
        if self.has_header {
            slices[0] = IoSlice::new(header);
            count = 1;
        }
        for part in parts {
            let bytes = storage.get(part.clone()).ok_or(io::ErrorKind::InvalidInput)?;
            slices[count] = IoSlice::new(bytes);
            count += 1;
        }
        // A packet device takes all of a write or nothing, so the length says no more.
        (&self.file).write_vectored(&slices[..count]).map(|_| ())
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Drop for Tun {
    fn drop(&mut self) {
        // The device may outlive us, and its next reader need not know super-packets.
        if self.offloads.tso {
            let _ = set_offloads(self.file.as_fd(), 0);
        }
    }
}

/// Asks for TCP and UDP offloads, then for less, until the kernel agrees.
fn probe(fd: BorrowedFd<'_>) -> Offloads {
    let tcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
    for (bits, offloads) in [
        (tcp | TUN_F_USO4 | TUN_F_USO6, Offloads { tso: true, uso: true }),
        (tcp, Offloads { tso: true, uso: false }),
    ] {
        if set_offloads(fd, bits).is_ok() {
            return offloads;
        }
    }
    Offloads::default()
}

fn set_offloads(fd: BorrowedFd<'_>, bits: libc::c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value and touches no memory of ours.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), TUNSETOFFLOAD, libc::c_ulong::from(bits)) })?;
    Ok(())
}
