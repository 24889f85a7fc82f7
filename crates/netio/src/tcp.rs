//! A connected TCP socket without waiting.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use crate::sys::{duplicate, set_nonblocking};

/// The stream; the descriptor is a duplicate that is closed on drop.
#[derive(Debug)]
pub struct Tcp(TcpStream);

impl Tcp {
    /// Duplicates a connected socket.
    pub fn open(fd: RawFd) -> io::Result<Self> {
        let fd = duplicate(fd)?;
        set_nonblocking(fd.as_fd())?;
        Ok(Self(TcpStream::from(fd)))
    }

    /// Reads what is there; 0 is the end of the stream.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }

    /// Writes what fits. A closed connection is an error, never a signal.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }
}

impl AsFd for Tcp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
