//! The link: a UDP socket, or a TCP stream of records with a 16-bit length in front.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use ginnel_netio::sys::{errno, is_retry};
use ginnel_netio::tcp::Tcp;
use ginnel_netio::udp::{Outcome, Receiver, Udp};

use crate::Transport;
use crate::transmit::Batch;

/// The peer's headers and padding may be larger than ours.
const RECORD_SLACK: usize = 1024;
/// Control packets fit in any case.
const MIN_RECORD: usize = 4096;
const STREAM_BUFFER: usize = 128 * 1024;
const CONTROL_BACKLOG: usize = 64 * 1024;
/// Length of the number in front of a record.
pub(crate) const FRAME_LEN: usize = 2;

/// The link is of no more use; the number is 0 for the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) i32);

pub(crate) enum Link {
    Udp(UdpLink),
    Tcp(TcpLink),
}

pub(crate) struct UdpLink {
    pub(crate) udp: Udp,
    pub(crate) receiver: Receiver,
    /// What is before each packet, both ways: empty, or a relay's header that names the peer.
    pub(crate) front: Vec<u8>,
}

pub(crate) struct TcpLink {
    tcp: Tcp,
    incoming: Vec<u8>,
    filled: usize,
    max_record: usize,
    control: Vec<u8>,
    control_sent: usize,
    data_sent: usize,
    /// Where the data record that contains `data_sent` ends; equal to it between records.
    data_boundary: usize,
}

impl Link {
    pub(crate) fn open(
        fd: RawFd,
        transport: Transport,
        (unread, unsent): (&[u8], &[u8]),
        mtu: usize,
    ) -> io::Result<Self> {
        match transport {
            Transport::Udp => Self::open_relayed(fd, &[], mtu),
            Transport::Tcp => TcpLink::open(fd, unread, unsent, mtu).map(Self::Tcp),
        }
    }

    /// Opens a link of datagrams with `front` before each packet.
    pub(crate) fn open_relayed(fd: RawFd, front: &[u8], mtu: usize) -> io::Result<Self> {
        let udp = Udp::open(fd)?;
        let packet_len = (mtu + RECORD_SLACK).max(MIN_RECORD);
        let receiver = Receiver::new(udp.has_gro(), packet_len);
        Ok(Self::Udp(UdpLink { udp, receiver, front: front.to_vec() }))
    }

    /// What is before each packet of a datagram link.
    pub(crate) fn front(&self) -> &[u8] {
        match self {
            Self::Udp(link) => &link.front,
            Self::Tcp(_) => &[],
        }
    }

    /// Sends what the batch holds, as far as the socket takes it. An emptied batch is cleared.
    pub(crate) fn flush(
        &mut self,
        batch: &mut Batch,
        report: impl FnMut(u32, Outcome),
    ) -> Result<(), Lost> {
        match self {
            Self::Udp(link) => {
                link.flush(batch, report);
                Ok(())
            }
            Self::Tcp(link) => link.flush(batch),
        }
    }

    /// True while something waits for the socket to take it.
    pub(crate) fn is_waiting(&self, batch: &Batch) -> bool {
        let has_control = matches!(self, Self::Tcp(link) if !link.control.is_empty());
        has_control || !batch.is_empty()
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Udp(link) => link.udp.as_fd(),
            Self::Tcp(link) => link.tcp.as_fd(),
        }
    }
}

impl UdpLink {
    fn flush(&mut self, batch: &mut Batch, mut report: impl FnMut(u32, Outcome)) {
        let (storage, groups) = batch.pending();
        if groups.is_empty() {
            return;
        }
        let done =
            self.udp.send_groups(storage, groups, |group, outcome| report(group.owner, outcome));
        batch.advance(done);
    }

    pub(crate) fn send_control(&self, packet: &[u8], to: SocketAddr) -> bool {
        if self.front.is_empty() {
            return self.udp.send(packet, to).is_ok();
        }
        self.udp.send(&[&self.front, packet].concat(), to).is_ok()
    }
}

impl TcpLink {
    fn open(fd: RawFd, unread: &[u8], unsent: &[u8], mtu: usize) -> io::Result<Self> {
        let tcp = Tcp::open(fd)?;
        let max_record = (mtu + RECORD_SLACK).max(MIN_RECORD).min(usize::from(u16::MAX));
        let capacity = STREAM_BUFFER.max(unread.len() + FRAME_LEN + max_record);
        let mut incoming = vec![0; capacity];
        incoming[..unread.len()].copy_from_slice(unread);
        Ok(Self {
            tcp,
            incoming,
            filled: unread.len(),
            max_record,
            control: unsent.to_vec(),
            control_sent: 0,
            data_sent: 0,
            data_boundary: 0,
        })
    }

    /// Reads what is there; false when nothing came.
    pub(crate) fn receive(&mut self) -> Result<bool, Lost> {
        match self.tcp.read(&mut self.incoming[self.filled..]) {
            Ok(0) => Err(Lost(0)),
            Ok(length) => {
                self.filled += length;
                Ok(true)
            }
            Err(error) if is_retry(&error) => Ok(false),
            Err(error) => Err(Lost(errno(&error))),
        }
    }

    /// The next whole record at or after `at`, without its length; None when there is none yet.
    pub(crate) fn record(&self, at: usize) -> Result<Option<Range<usize>>, Lost> {
        let Some([high, low]) = self.incoming[at..self.filled].first_chunk::<FRAME_LEN>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if length == 0 || length > self.max_record {
            return Err(Lost(libc::EBADMSG));
        }
        let start = at + FRAME_LEN;
        Ok((start + length <= self.filled).then_some(start..start + length))
    }

    pub(crate) fn incoming(&mut self) -> &mut [u8] {
        &mut self.incoming
    }

    /// Forgets the first `used` bytes.
    pub(crate) fn consume(&mut self, used: usize) {
        self.incoming.copy_within(used..self.filled, 0);
        self.filled -= used;
    }

    /// Queues a control packet before data; false when too much waits.
    pub(crate) fn send_control(&mut self, packet: &[u8]) -> bool {
        let Ok(length) = u16::try_from(packet.len()) else { return false };
        if self.control.len() + packet.len() > CONTROL_BACKLOG {
            return false;
        }
        self.control.extend_from_slice(&length.to_be_bytes());
        self.control.extend_from_slice(packet);
        true
    }

    /// Writes the rest of a record that was begun, then control, then data: whole records all.
    fn flush(&mut self, batch: &mut Batch) -> Result<(), Lost> {
        loop {
            let (data, _) = batch.pending();
            let is_inside = self.data_sent < self.data_boundary;
            if is_inside {
                let Some(count) = self.write(&data[self.data_sent..self.data_boundary])? else {
                    return Ok(());
                };
                self.data_sent += count;
            } else if self.control_sent < self.control.len() {
                let Some(count) = self.write(&self.control[self.control_sent..])? else {
                    return Ok(());
                };
                self.control_sent += count;
                if self.control_sent == self.control.len() {
                    self.control.clear();
                    self.control_sent = 0;
                }
            } else if self.data_sent < data.len() {
                let Some(count) = self.write(&data[self.data_sent..])? else { return Ok(()) };
                self.data_sent += count;
                while self.data_boundary < self.data_sent {
                    let frame = [data[self.data_boundary], data[self.data_boundary + 1]];
                    self.data_boundary += FRAME_LEN + usize::from(u16::from_be_bytes(frame));
                }
            } else {
                batch.clear();
                self.data_sent = 0;
                self.data_boundary = 0;
                return Ok(());
            }
        }
    }

    /// Writes what fits; None when the socket takes nothing now.
    fn write(&self, bytes: &[u8]) -> Result<Option<usize>, Lost> {
        match self.tcp.write(bytes) {
            Ok(count) => Ok(Some(count)),
            Err(error) if is_retry(&error) || errno(&error) == libc::ENOBUFS => Ok(None),
            Err(error) => Err(Lost(errno(&error))),
        }
    }
}
