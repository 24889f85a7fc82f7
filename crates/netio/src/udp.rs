//! UDP in batches: `sendmmsg` with `UDP_SEGMENT`, `recvmmsg` with `UDP_GRO`, and plain sends.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::socket::{self, Storage};
use crate::sys::{check_count, check_len, duplicate, errno, is_retry};

/// Most segments of one send; older kernels take no more.
pub const MAX_SEGMENTS: usize = 64;
/// Most bytes of one send: the largest UDP payload over IPv4.
pub const MAX_BYTES: usize = 65_507;

const MAX_MESSAGES: usize = 64;
/// `UDP_GRO` gives super-packets of up to 64 KiB; four of them stay inside a core's own cache.
const FEW_BUFFERS: usize = 4;
/// Packets that come from many peers are not joined, and more of them are taken at once.
const GRO_BUFFERS: usize = 32;
/// A full batch of messages shorter than this on average is one of many small ones.
const SHORT_MESSAGE: usize = 8192;
const GRO_BUFFER_LEN: usize = 65_536;
const PLAIN_BUFFERS: usize = 32;

/// Control-message room, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control<const N: usize>([u8; N]);

/// For a `u16`, a `c_int` and an address.
type SendControl = Control<96>;
/// For one `c_int` and an address.
type ReceiveControl = Control<64>;

/// Packets of equal length that lie one after the other, the last one possibly shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Where they lie in the storage.
    pub range: Range<usize>,
    /// Length of each but the last.
    pub segment: usize,
    /// Where they go.
    pub to: SocketAddr,
    /// A number of the caller's, untouched.
    pub owner: u32,
    /// Type of service, or traffic class; 0 leaves the socket's own.
    pub tos: u8,
    /// Which of our addresses they leave from; None leaves that to the kernel.
    pub local: Option<IpAddr>,
}

/// What became of the packets of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Packets that the kernel took.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets that were larger than the link lets through.
    pub too_big: u64,
    /// Packets refused with any other error.
    pub refused: u64,
}

/// The socket; the descriptor is a duplicate that is closed on drop. It is not connected.
pub struct Udp {
    fd: OwnedFd,
    is_ipv6: bool,
    can_segment: bool,
    has_gro: bool,
    /// Segments at least this long do not go through `UDP_SEGMENT`: the path is too narrow.
    too_long: usize,
    messages: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    addresses: Vec<Storage>,
    controls: Vec<SendControl>,
}

// SAFETY: the raw pointers inside `messages` and `vectors` are set anew before every call that
// reads them and are never read otherwise, so moving the value to another thread is harmless.
unsafe impl Send for Udp {}

impl Udp {
    /// Duplicates a bound socket and asks for segmentation and receive joining; for a host with
    /// several addresses also for the one that each packet came to.
    pub fn open(fd: RawFd, is_multihomed: bool) -> io::Result<Self> {
        let fd = duplicate(fd)?;
        let is_ipv6 = socket::is_ipv6(fd.as_fd())?;
        if is_multihomed {
            let (level, name) = if is_ipv6 {
                (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
            } else {
                (libc::IPPROTO_IP, libc::IP_PKTINFO)
            };
            socket::set_option(fd.as_fd(), level, name, 1)?;
        }
        let (can_segment, has_gro) = enable_offloads(fd.as_fd());
        // SAFETY: all zeros is a valid value of these plain C structures.
        let (message, vector, address) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Ok(Self {
            fd,
            is_ipv6,
            can_segment,
            has_gro,
            too_long: usize::MAX,
            messages: vec![message; MAX_MESSAGES],
            vectors: vec![vector; MAX_MESSAGES],
            addresses: vec![address; MAX_MESSAGES],
            controls: vec![Control([0; 96]); MAX_MESSAGES],
        })
    }

    /// True while `UDP_SEGMENT` is used.
    pub const fn can_segment(&self) -> bool {
        self.can_segment
    }

    /// True when the kernel joins received packets.
    pub const fn has_gro(&self) -> bool {
        self.has_gro
    }

    /// Asks for receive joining again: an earlier value on the same socket ended with its drop.
    pub fn resume(&self) {
        if self.has_gro {
            // Without it packets come one by one, which is only slower.
            let _ = socket::set_option(self.fd.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 1);
        }
    }

    /// Sends one packet at once, from an address of ours.
    pub fn send_from(&mut self, packet: &[u8], to: SocketAddr, local: IpAddr) -> io::Result<()> {
        let range = 0..packet.len();
        let group =
            Group { range, segment: packet.len(), to, owner: 0, tos: 0, local: Some(local) };
        match self.send_batch(packet, &[group])? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Sends one packet at once.
    pub fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<()> {
        // SAFETY: all zeros is a valid sockaddr_storage; the kernel reads `packet` and the address
        // within the lengths given, and both live through the call.
        check_len(unsafe {
            let mut address: Storage = zeroed();
            let length = socket::encode(to, self.is_ipv6, &mut address)
                .ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
            libc::sendto(
                self.fd.as_raw_fd(),
                packet.as_ptr().cast(),
                packet.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
                (&raw const address).cast(),
                length,
            )
        })?;
        Ok(())
    }

    /// Sends the groups in order, until done or until the socket's buffer is full; returns how many
    /// are done with, after a report on each.
    ///
    /// A group that the kernel does not segment is sent packet by packet. Errors of single packets
    /// are reported, not returned: on UDP none of them is final.
    pub fn send_groups(
        &mut self,
        storage: &[u8],
        groups: &[Group],
        mut report: impl FnMut(&Group, Outcome),
    ) -> usize {
        let mut done = 0;
        while done < groups.len() {
            let rest = &groups[done..];
            let first = &rest[0];
            if !self.may_go_whole(first) {
                let Some(outcome) = self.send_singly(storage, first) else { break };
                report(first, outcome);
                done += 1;
                continue;
            }
            let batch =
                rest.iter().take(MAX_MESSAGES).take_while(|group| self.may_go_whole(group)).count();
            match self.send_batch(storage, &rest[..batch]) {
                Ok(count) => {
                    for group in &rest[..count] {
                        report(group, group.taken());
                    }
                    done += count;
                }
                Err(error) if is_retry(&error) => break,
                Err(error) if !first.is_single() && self.learn(&error, first) => {}
                Err(error) => {
                    report(first, Outcome::failed(&error, first.packets()));
                    done += 1;
                }
            }
        }
        done
    }

    /// True when a group goes to the kernel as it is.
    fn may_go_whole(&self, group: &Group) -> bool {
        group.is_single() || (self.can_segment && group.segment < self.too_long)
    }

    /// Takes a refused super-packet as a hint; true when it should be tried again in parts.
    fn learn(&mut self, error: &io::Error, group: &Group) -> bool {
        match errno(error) {
            // The segment does not fit the MTU of the path, or the device cannot do it.
            libc::EMSGSIZE | libc::EINVAL => self.too_long = group.segment,
            // A device without checksum offload, or a kernel or filter without UDP_SEGMENT.
            libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT => self.can_segment = false,
            _ => return false,
        }
        true
    }

    /// Sends a group packet by packet; None when the socket's buffer is full before the first.
    fn send_singly(&mut self, storage: &[u8], group: &Group) -> Option<Outcome> {
        let mut singles = Vec::with_capacity(MAX_SEGMENTS);
        let mut start = group.range.start;
        while start < group.range.end {
            let end = (start + group.segment).min(group.range.end);
            singles.push(Group { range: start..end, ..group.clone() });
            start = end;
        }
        let mut outcome = Outcome::default();
        let mut done = 0;
        while done < singles.len() {
            match self.send_batch(storage, &singles[done..]) {
                Ok(count) => {
                    singles[done..done + count].iter().for_each(|one| outcome.add(one.taken()));
                    done += count;
                }
                Err(error) if is_retry(&error) && done == 0 => return None,
                // The rest of a group that was begun is not kept.
                Err(error) if is_retry(&error) => {
                    outcome.refused += (singles.len() - done) as u64;
                    break;
                }
                Err(error) => {
                    outcome.add(Outcome::failed(&error, 1));
                    done += 1;
                }
            }
        }
        Some(outcome)
    }

    /// One `sendmmsg`; returns how many messages the kernel took, or why not the first.
    fn send_batch(&mut self, storage: &[u8], groups: &[Group]) -> io::Result<usize> {
        let mut count = 0;
        for group in groups.iter().take(MAX_MESSAGES) {
            match self.prepare(count, storage, group) {
                Ok(()) => count += 1,
                Err(error) if count == 0 => return Err(error),
                // What is before it goes first; then it is the first itself.
                Err(_) => break,
            }
        }
        // SAFETY: the first `count` messages point at an address, a vector and possibly a control
        // block of this value, and at bytes of `storage`; all live through the call. The kernel
        // only reads them and writes `msg_len`.
        check_count(unsafe {
            libc::sendmmsg(
                self.fd.as_raw_fd(),
                self.messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        })
    }

    /// Fills the message at `index` for a group.
    fn prepare(&mut self, index: usize, storage: &[u8], group: &Group) -> io::Result<()> {
        let bytes = storage.get(group.range.clone()).ok_or(io::ErrorKind::InvalidInput)?;
        let length = socket::encode(group.to, self.is_ipv6, &mut self.addresses[index])
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))?;
        self.vectors[index] =
            libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        // SAFETY: all zeros is a valid msghdr.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_name = (&raw mut self.addresses[index]).cast();
        header.msg_namelen = length;
        header.msg_iov = &raw mut self.vectors[index];
        header.msg_iovlen = 1;
        let control = &mut self.controls[index];
        if !group.is_single() {
            let segment = u16::try_from(group.segment).map_err(|_| io::ErrorKind::InvalidInput)?;
            put_control(&mut header, control, (libc::SOL_UDP, libc::UDP_SEGMENT), segment);
        }
        if group.tos != 0 {
            let kind = match group.to {
                // An IPv4 packet of a socket for both families takes the option of IPv4.
                SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_TOS),
                SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
            };
            put_control(&mut header, control, kind, libc::c_int::from(group.tos));
        }
        match (group.local, self.is_ipv6) {
            (None, _) => {}
            (Some(IpAddr::V4(local)), false) => {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(local.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                put_control(&mut header, control, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
            }
            (Some(IpAddr::V6(_)), false) => {
                return Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT));
            }
            (Some(local), true) => {
                let octets = match local {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
                    IpAddr::V6(v6) => v6.octets(),
                };
                let info = libc::in6_pktinfo {
                    ipi6_addr: libc::in6_addr { s6_addr: octets },
                    ipi6_ifindex: 0,
                };
                put_control(&mut header, control, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
            }
        }
        self.messages[index] = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
        Ok(())
    }
}

impl AsFd for Udp {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        // The socket may outlive us, and its next reader need not know joined packets.
        if self.has_gro {
            let _ = socket::set_option(self.fd.as_fd(), libc::SOL_UDP, libc::UDP_GRO, 0);
        }
    }
}

impl Group {
    /// How many packets it holds.
    pub const fn packets(&self) -> u64 {
        let length = self.range.end - self.range.start;
        length.div_ceil(if self.segment == 0 { 1 } else { self.segment }) as u64
    }

    const fn is_single(&self) -> bool {
        self.range.end - self.range.start <= self.segment
    }

    fn taken(&self) -> Outcome {
        let bytes = self.range.len() as u64;
        Outcome { packets: self.packets(), bytes, ..Outcome::default() }
    }
}

impl Outcome {
    fn failed(error: &io::Error, packets: u64) -> Self {
        if errno(error) == libc::EMSGSIZE {
            Self { too_big: packets, ..Self::default() }
        } else {
            Self { refused: packets, ..Self::default() }
        }
    }

    fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.too_big += other.too_big;
        self.refused += other.refused;
    }
}

/// Tells whether the kernel knows `UDP_SEGMENT` and `UDP_GRO`, on a socket of its own.
pub fn probe() -> (bool, bool) {
    match std::net::UdpSocket::bind(("127.0.0.1", 0)) {
        Ok(socket) => enable_offloads(socket.as_fd()),
        Err(_) => (false, false),
    }
}

/// Switches receive joining on and asks whether sends can be segmented.
fn enable_offloads(fd: BorrowedFd<'_>) -> (bool, bool) {
    // The value 0 keeps ordinary sends unsegmented; each batch says its own.
    let segment = socket::set_option(fd, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
    let gro = socket::set_option(fd, libc::SOL_UDP, libc::UDP_GRO, 1).is_ok();
    (segment, gro)
}

/// Adds a control message of a level and type to a header: a `u16`, a `c_int` or an address.
// The block is aligned for the kernel's structure, and CMSG_SPACE keeps it so for the second one.
#[allow(clippy::cast_ptr_alignment)]
fn put_control<T: Copy>(
    header: &mut libc::msghdr,
    control: &mut SendControl,
    (level, kind): (libc::c_int, libc::c_int),
    value: T,
) {
    let used: usize = header.msg_controllen as _;
    let length = size_of::<T>() as libc::c_uint;
    // SAFETY: CMSG_SPACE of at most four bytes is 24 on 64-bit Linux, and that of the address of
    // either family at most 40, so the 96 aligned bytes of the control block have room for the
    // three messages a header gets at most; that this one fits is checked, `used` is a sum of such
    // lengths, and all writes stay inside it.
    unsafe {
        let space = libc::CMSG_SPACE(length) as usize;
        if used + space > size_of::<SendControl>() {
            return;
        }
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = (used + space) as _;
        let message = control.0.as_mut_ptr().add(used).cast::<libc::cmsghdr>();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = libc::CMSG_LEN(length) as _;
        libc::CMSG_DATA(message).cast::<T>().write_unaligned(value);
    }
}

/// Where a received message lies, and how it is to be cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its bytes in the storage.
    pub range: Range<usize>,
    /// Length of each packet in it but the last.
    pub segment: usize,
    /// Where it came from.
    pub from: SocketAddr,
    /// Which of our addresses it came to, where the socket tells.
    pub local: Option<IpAddr>,
}

/// Buffers of one `recvmmsg`, kept from call to call.
pub struct Receiver {
    storage: Vec<u8>,
    stride: usize,
    /// How many messages the next call asks for.
    wanted: usize,
    messages: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    addresses: Vec<Storage>,
    controls: Vec<ReceiveControl>,
    received: Vec<Received>,
    malformed: u64,
}

// SAFETY: as for `Udp`: the raw pointers are set anew before every call that reads them.
unsafe impl Send for Receiver {}

impl Receiver {
    /// Buffers for super-packets, or for `packet_len` bytes each where the kernel does not join.
    pub fn new(has_gro: bool, packet_len: usize) -> Self {
        let (count, stride) =
            if has_gro { (GRO_BUFFERS, GRO_BUFFER_LEN) } else { (PLAIN_BUFFERS, packet_len) };
        // SAFETY: all zeros is a valid value of these plain C structures.
        let (message, vector, address) = unsafe { (zeroed(), zeroed(), zeroed()) };
        Self {
            storage: vec![0; count * stride],
            stride,
            wanted: if has_gro { FEW_BUFFERS } else { count },
            messages: vec![message; count],
            vectors: vec![vector; count],
            addresses: vec![address; count],
            controls: vec![Control([0; 64]); count],
            received: Vec::with_capacity(count),
            malformed: 0,
        }
    }

    /// Receives what is there, without waiting; `messages` then tells what came.
    pub fn receive(&mut self, udp: &Udp) -> io::Result<()> {
        self.received.clear();
        self.malformed = 0;
        let count = self.wanted;
        let buffers = self.storage.chunks_exact_mut(self.stride).take(count);
        for (index, buffer) in buffers.enumerate() {
            self.vectors[index] =
                libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            // SAFETY: all zeros is a valid msghdr and a valid sockaddr_storage.
            let mut header: libc::msghdr = unsafe { zeroed() };
            header.msg_name = (&raw mut self.addresses[index]).cast();
            header.msg_namelen = size_of::<Storage>() as libc::socklen_t;
            header.msg_iov = &raw mut self.vectors[index];
            header.msg_iovlen = 1;
            header.msg_control = self.controls[index].0.as_mut_ptr().cast();
            header.msg_controllen = size_of::<ReceiveControl>() as _;
            self.messages[index] = libc::mmsghdr { msg_hdr: header, msg_len: 0 };
        }
        // SAFETY: every message points at an address, a control block and a buffer of this value,
        // each with its true length; all live through the call and nothing else refers to them.
        let taken = check_count(unsafe {
            libc::recvmmsg(
                udp.fd.as_raw_fd(),
                self.messages.as_mut_ptr(),
                count as libc::c_uint,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
            )
        })?;
        for index in 0..taken {
            match self.describe(index) {
                Some(received) => self.received.push(received),
                None => self.malformed += 1,
            }
        }
        self.adapt(taken);
        Ok(())
    }

    /// Asks for more at once while messages are many and short, and for few that are long: those
    /// are to stay in the cache until they are decrypted.
    fn adapt(&mut self, taken: usize) {
        if self.stride != GRO_BUFFER_LEN {
            return;
        }
        let bytes: usize = self.received.iter().map(|message| message.range.len()).sum();
        if bytes > taken * SHORT_MESSAGE {
            self.wanted = FEW_BUFFERS;
        } else if taken == self.wanted {
            self.wanted = (self.wanted * 2).min(GRO_BUFFERS);
        }
    }

    /// How many messages the next `receive` takes at most.
    pub const fn capacity(&self) -> usize {
        self.wanted
    }

    /// What the last `receive` brought, with the storage it lies in.
    pub fn messages(&mut self) -> (&[Received], &mut [u8]) {
        (&self.received, &mut self.storage)
    }

    /// Messages of the last `receive` that were cut off or had no usable address.
    pub const fn malformed(&self) -> u64 {
        self.malformed
    }

    fn describe(&self, index: usize) -> Option<Received> {
        let message = &self.messages[index];
        let length = message.msg_len as usize;
        if message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0 || length > self.stride {
            return None;
        }
        let from = socket::decode(&self.addresses[index], message.msg_hdr.msg_namelen)?;
        let (segment, local) = take_control(&message.msg_hdr);
        let segment = match segment {
            Some(segment) => segment,
            // Its segment length may be among what was cut off.
            None if message.msg_hdr.msg_flags & libc::MSG_CTRUNC != 0 => return None,
            None => length.max(1),
        };
        let start = index * self.stride;
        Some(Received { range: start..start + length, segment, from, local })
    }
}

/// What came with a message: the segment length of a joined one, and our address.
fn take_control(header: &libc::msghdr) -> (Option<usize>, Option<IpAddr>) {
    let (mut segment, mut local) = (None, None);
    // SAFETY: the header's control pointer and length describe what recvmmsg just wrote, and the
    // block they point into is alive; the CMSG macros stay inside it. Each value is read without
    // assuming alignment, and `value_of` checks by `cmsg_len` that it is there.
    unsafe {
        let mut message = libc::CMSG_FIRSTHDR(header);
        while !message.is_null() {
            match ((*message).cmsg_level, (*message).cmsg_type) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    segment = value_of::<libc::c_int>(message)
                        .and_then(|size| usize::try_from(size).ok())
                        .filter(|size| *size > 0);
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    local = value_of::<libc::in_pktinfo>(message)
                        .map(|info| IpAddr::V4(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes())));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    local = value_of::<libc::in6_pktinfo>(message).map(|info| {
                        IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)).to_canonical()
                    });
                }
                _ => {}
            }
            message = libc::CMSG_NXTHDR(header, message);
        }
    }
    (segment, local)
}

/// The value of a control message, if it is long enough for one.
///
/// # Safety
///
/// `message` points at a control message that the kernel wrote, and `T` is valid for any bytes.
unsafe fn value_of<T: Copy>(message: *const libc::cmsghdr) -> Option<T> {
    // SAFETY: by the caller's promise the header can be read, and what `cmsg_len` covers as well.
    unsafe {
        let needed = libc::CMSG_LEN(size_of::<T>() as libc::c_uint) as usize;
        // Another type where the C library is another.
        let length: usize = (*message).cmsg_len as _;
        (length >= needed).then(|| libc::CMSG_DATA(message).cast::<T>().read_unaligned())
    }
}

/// Empties the error queue of a socket that has one switched on; returns how many were there.
pub fn drain_errors(fd: BorrowedFd<'_>, limit: usize) -> usize {
    let mut count = 0;
    while count < limit {
        let mut byte = 0u8;
        // SAFETY: the kernel writes at most one byte to a pointer to one.
        let result = unsafe {
            libc::recv(
                fd.as_raw_fd(),
                (&raw mut byte).cast(),
                1,
                libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT,
            )
        };
        if result < 0 {
            break;
        }
        count += 1;
    }
    count
}
