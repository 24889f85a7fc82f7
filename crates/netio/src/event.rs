//! Readiness: an epoll set and eventfds.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use crate::sys::{check, check_count, is_retry};

/// What a descriptor is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interest {
    /// Wait until it can be read.
    pub readable: bool,
    /// Wait until it can be written.
    pub writable: bool,
}

impl Interest {
    /// Errors only.
    pub const NONE: Self = Self { readable: false, writable: false };
    /// Readable, and errors.
    pub const READ: Self = Self { readable: true, writable: false };

    fn bits(self) -> u32 {
        let mut bits = 0;
        if self.readable {
            bits |= libc::EPOLLIN;
        }
        if self.writable {
            bits |= libc::EPOLLOUT;
        }
        bits.cast_unsigned()
    }
}

/// One descriptor that is ready; the flags are the kernel's, in any combination.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The number it was added under.
    pub token: u64,
    /// It can be read.
    pub readable: bool,
    /// It can be written.
    pub writable: bool,
    /// It has an error to report.
    pub failed: bool,
    /// It is shut down, or the other end is gone.
    pub hung_up: bool,
}

/// Most descriptors reported by one wait.
pub const MAX_READY: usize = 64;
const READY_LIMIT: libc::c_int = 64;

/// A set of descriptors to wait for, level-triggered.
#[derive(Debug)]
pub struct Epoll(OwnedFd);

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes a flag and returns a new descriptor that nobody else owns.
        unsafe { Ok(Self(OwnedFd::from_raw_fd(check(libc::epoll_create1(libc::EPOLL_CLOEXEC))?))) }
    }

    /// Adds a descriptor. The caller removes it before it closes it.
    pub fn add(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, fd, token, interest)
    }

    /// Changes what a descriptor is waited for.
    pub fn change(&self, fd: BorrowedFd<'_>, token: u64, interest: Interest) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, fd, token, interest)
    }

    /// Removes a descriptor.
    pub fn remove(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, Interest::NONE)
    }

    fn control(
        &self,
        operation: libc::c_int,
        fd: BorrowedFd<'_>,
        token: u64,
        interest: Interest,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: interest.bits(), u64: token };
        // SAFETY: `event` lives through the call, which only reads it; both descriptors are open.
        check(unsafe {
            libc::epoll_ctl(self.0.as_raw_fd(), operation, fd.as_raw_fd(), &raw mut event)
        })?;
        Ok(())
    }

    /// Waits up to `timeout_ms` (-1 is for ever) and fills `ready`; returns how many.
    pub fn wait(&self, ready: &mut [Ready; MAX_READY], timeout_ms: i32) -> io::Result<usize> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; MAX_READY];
        // SAFETY: the kernel writes at most MAX_READY events into the array of that length.
        let result = check_count(unsafe {
            libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), READY_LIMIT, timeout_ms)
        });
        let count = match result {
            Ok(count) => count,
            Err(error) if is_retry(&error) => 0,
            Err(error) => return Err(error),
        };
        for (slot, event) in ready.iter_mut().zip(&events[..count]) {
            let bits = event.events.cast_signed();
            *slot = Ready {
                token: event.u64,
                readable: bits & libc::EPOLLIN != 0,
                writable: bits & libc::EPOLLOUT != 0,
                failed: bits & libc::EPOLLERR != 0,
                hung_up: bits & libc::EPOLLHUP != 0,
            };
        }
        Ok(count)
    }
}

/// A counter that makes a descriptor readable while it is not zero.
#[derive(Debug)]
pub struct EventFd(File);

impl EventFd {
    /// A counter at zero, non-blocking.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes integers and returns a new descriptor that nobody else owns.
        let fd = unsafe {
            let fd = check(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?;
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self(File::from(fd)))
    }

    /// Makes it readable.
    pub fn signal(&self) {
        // It fails only when the counter is full, and then it is readable already.
        let _ = (&self.0).write(&1u64.to_ne_bytes());
    }

    /// Makes it unreadable.
    pub fn clear(&self) {
        // It fails only when the counter is zero already.
        let _ = (&self.0).read(&mut [0u8; 8]);
    }

    /// The number of the descriptor, for another event loop.
    pub fn number(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
