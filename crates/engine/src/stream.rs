//! A TCP stream of records with a 16-bit length in front: whole records out, control before data.
//!
//! A server has thousands of them and most are idle, so that one holds no buffer unless a record is
//! incomplete or waits: buffers come from a pool, and the little that stays behind is kept in its own
//! length.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, RawFd};

use ginnel_netio::sys::{errno, is_retry};
use ginnel_netio::tcp::Tcp;

/// The peer's headers and padding may be larger than ours.
pub(crate) const RECORD_SLACK: usize = 1024;
/// Control packets fit in any case.
pub(crate) const MIN_RECORD: usize = 4096;
/// What one call reads at most: all that a peer like us sends at once, so that what was joined at
/// its end can be joined again at ours.
pub(crate) const READ_LEN: usize = BUFFER_LEN;
const CONTROL_BACKLOG: usize = 64 * 1024;
/// Two super-packets cut and sealed; no stream holds more data than this.
const BUFFER_LEN: usize = 192 * 1024;
/// What waits is moved into a buffer of its own length if it is not more than this. More stays where
/// it is: moved away and back for each packet, it costs a sender several per cent.
const MOVED_LEN: usize = 16 * 1024;
/// Enough for any one read from tun, cut at an ordinary MSS and sealed.
const RESERVE: usize = 80 * 1024;
const SPARE_BUFFERS: usize = 8;
/// Length of the number in front of a record.
pub(crate) const FRAME_LEN: usize = 2;

/// The link is of no more use; the number is 0 for the end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) i32);

/// Buffers that no stream needs now.
#[derive(Default)]
pub(crate) struct Pool(Vec<Vec<u8>>);

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_else(|| vec![0; BUFFER_LEN])
    }

    fn give(&mut self, buffer: Vec<u8>) {
        if buffer.len() == BUFFER_LEN && self.0.len() < SPARE_BUFFERS {
            self.0.push(buffer);
        }
    }
}

pub(crate) struct Stream {
    tcp: Tcp,
    max_record: usize,
    /// The start of a record that is not whole yet.
    partial: Vec<u8>,
    control: Vec<u8>,
    control_sent: usize,
    data: Vec<u8>,
    data_len: usize,
    data_sent: usize,
    /// Where the data record that contains `data_sent` ends; equal to it between records.
    data_boundary: usize,
    /// Data records that were not begun.
    waiting: usize,
}

impl Stream {
    /// Of the stream, `unread` was read already, and `unsent` leaves before anything else.
    pub(crate) fn open(
        fd: RawFd,
        (unread, unsent): (&[u8], &[u8]),
        mtu: usize,
    ) -> io::Result<Self> {
        Ok(Self {
            tcp: Tcp::open(fd)?,
            max_record: (mtu + RECORD_SLACK).max(MIN_RECORD).min(usize::from(u16::MAX)),
            partial: unread.to_vec(),
            control: unsent.to_vec(),
            control_sent: 0,
            data: Vec::new(),
            data_len: 0,
            data_sent: 0,
            data_boundary: 0,
            waiting: 0,
        })
    }

    /// Puts what is left of earlier reads into `buffer`, and what is there behind it; returns how
    /// much that is, and whether the stream has ended.
    pub(crate) fn receive(&mut self, buffer: &mut Vec<u8>) -> (usize, Result<(), Lost>) {
        let kept = self.partial.len();
        if buffer.len() < kept + READ_LEN {
            buffer.resize(kept + READ_LEN, 0);
        }
        buffer[..kept].copy_from_slice(&self.partial);
        match self.tcp.read(&mut buffer[kept..]) {
            Ok(0) => (kept, Err(Lost(0))),
            Ok(length) => (kept + length, Ok(())),
            Err(error) if is_retry(&error) => (kept, Ok(())),
            Err(error) => (kept, Err(Lost(errno(&error)))),
        }
    }

    /// The longest record that is taken.
    pub(crate) const fn max_record(&self) -> usize {
        self.max_record
    }

    /// Keeps the rest of what was received for the next time.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        if rest.is_empty() {
            self.partial = Vec::new();
        } else if rest != self.partial {
            self.partial = rest.to_vec();
        }
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

    /// Makes sure that fewer than so many data records wait; false when the reader is too slow.
    pub(crate) fn admits(&mut self, limit: usize, pool: &mut Pool) -> Result<bool, Lost> {
        if self.waiting >= limit || !self.has_room() {
            self.flush(pool)?;
        }
        Ok(self.waiting < limit && self.has_room())
    }

    /// True while another read from tun may be taken.
    pub(crate) const fn has_room(&self) -> bool {
        BUFFER_LEN - (self.data_len - self.data_sent) >= RESERVE
    }

    /// The next `length` bytes to fill; None when the queue is full.
    pub(crate) fn reserve(&mut self, length: usize, pool: &mut Pool) -> Option<&mut [u8]> {
        if self.data.len() < BUFFER_LEN {
            let mut buffer = pool.take();
            buffer[..self.data_len].copy_from_slice(&self.data[..self.data_len]);
            self.data = buffer;
        }
        if self.data_len + length > BUFFER_LEN {
            self.data.copy_within(self.data_sent..self.data_len, 0);
            self.forget_sent();
        }
        self.data.get_mut(self.data_len..self.data_len + length)
    }

    /// Keeps what was reserved last as a record.
    pub(crate) fn commit(&mut self, length: usize) {
        self.data_len += length;
        self.waiting += 1;
    }

    /// True while something waits for the socket to take it.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.control.is_empty() || self.data_len > 0
    }

    /// Writes the rest of a record that was begun, then control, then data: whole records all.
    pub(crate) fn flush(&mut self, pool: &mut Pool) -> Result<(), Lost> {
        loop {
            let range = if self.data_sent < self.data_boundary {
                self.data_sent..self.data_boundary
            } else if self.control_sent < self.control.len() {
                let Some(count) = write(&self.tcp, &self.control[self.control_sent..])? else {
                    break;
                };
                self.control_sent += count;
                if self.control_sent == self.control.len() {
                    self.control = Vec::new();
                    self.control_sent = 0;
                }
                continue;
            } else if self.data_sent < self.data_len {
                self.data_sent..self.data_len
            } else {
                break;
            };
            let Some(count) = write(&self.tcp, &self.data[range])? else { break };
            self.data_sent += count;
            while self.data_boundary < self.data_sent {
                let frame = [self.data[self.data_boundary], self.data[self.data_boundary + 1]];
                self.data_boundary += FRAME_LEN + usize::from(u16::from_be_bytes(frame));
                self.waiting -= 1;
            }
        }
        self.give_back(pool);
        Ok(())
    }

    /// Gives the large buffer back, unless much is left in it.
    fn give_back(&mut self, pool: &mut Pool) {
        let left = self.data_len - self.data_sent;
        if left > MOVED_LEN || (self.data_sent == 0 && self.data.len() < BUFFER_LEN) {
            return;
        }
        let rest = self.data[self.data_sent..self.data_len].to_vec();
        pool.give(std::mem::replace(&mut self.data, rest));
        self.forget_sent();
    }

    /// What is left begins at the front now.
    fn forget_sent(&mut self) {
        self.data_len -= self.data_sent;
        self.data_boundary -= self.data_sent;
        self.data_sent = 0;
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

/// The next whole record at or after `at`, without its length; None when there is none yet.
pub(crate) fn record(
    bytes: &[u8],
    at: usize,
    longest: usize,
) -> Result<Option<Range<usize>>, Lost> {
    let Some([high, low]) = bytes[at..].first_chunk::<FRAME_LEN>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    if length == 0 || length > longest {
        return Err(Lost(libc::EBADMSG));
    }
    let start = at + FRAME_LEN;
    Ok((start + length <= bytes.len()).then_some(start..start + length))
}

/// Writes what fits; None when the socket takes nothing now.
fn write(tcp: &Tcp, bytes: &[u8]) -> Result<Option<usize>, Lost> {
    match tcp.write(bytes) {
        Ok(count) => Ok(Some(count)),
        Err(error) if is_retry(&error) || errno(&error) == libc::ENOBUFS => Ok(None),
        Err(error) => Err(Lost(errno(&error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    const RECORD: usize = FRAME_LEN + 1400;

    fn push(stream: &mut Stream, pool: &mut Pool, number: u32) {
        let slot = stream.reserve(RECORD, pool).unwrap();
        slot[..FRAME_LEN].copy_from_slice(&1400u16.to_be_bytes());
        slot[FRAME_LEN..FRAME_LEN + 4].copy_from_slice(&number.to_be_bytes());
        stream.commit(RECORD);
    }

    #[test]
    fn a_slow_reader_gets_all_in_order_however_little_it_takes() {
        let (near, mut far) = UnixStream::pair().unwrap();
        let mut stream = Stream::open(near.as_raw_fd(), (&[], &[]), 1500).unwrap();
        far.set_nonblocking(true).unwrap();
        let (mut pool, mut received) = (Pool::default(), Vec::new());
        let (mut pushed, mut controls, mut moved) = (0, 0, 0);
        let mut step = 1;
        while pushed < 3000 || stream.is_waiting() {
            while pushed < 3000 && stream.has_room() {
                push(&mut stream, &mut pool, pushed);
                pushed += 1;
            }
            if pushed % 7 == 0 && stream.send_control(b"control") {
                controls += 1;
            }
            stream.flush(&mut pool).unwrap();
            moved += usize::from(stream.data.len() < BUFFER_LEN && stream.is_waiting());
            step = step * 5 % 99_991;
            let mut some = vec![0; step];
            if let Ok(length) = far.read(&mut some) {
                received.extend_from_slice(&some[..length]);
            }
        }
        drop((stream, near));
        far.read_to_end(&mut received).unwrap();
        let (mut at, mut next) = (0, 0u32);
        while let Some(range) = record(&received, at, MIN_RECORD).unwrap() {
            at = range.end;
            if range.len() == 1400 {
                let number = received[range.start..].first_chunk::<4>().unwrap();
                assert_eq!(u32::from_be_bytes(*number), next);
                next += 1;
            } else {
                assert_eq!(&received[range], b"control");
                controls -= 1;
            }
        }
        assert_eq!((at, next, controls), (received.len(), 3000, 0));
        assert!(moved > 0, "never so little left that it moved");
    }
}
