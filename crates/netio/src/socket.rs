//! Socket addresses as the kernel writes them, and socket options.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::check;

/// Room for an IPv4 or IPv6 address.
pub(crate) type Storage = libc::sockaddr_storage;

/// Sets an integer option.
pub fn set_option(fd: BorrowedFd<'_>, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the kernel reads one c_int from a pointer to one that lives through the call.
    check(unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Reads an integer option.
pub fn option(fd: BorrowedFd<'_>, level: i32, name: i32) -> io::Result<i32> {
    let mut value: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `value`.
    check(unsafe {
        libc::getsockopt(fd.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    })?;
    Ok(value)
}

/// Takes the pending error of a socket, so that it no longer counts as ready.
pub fn take_error(fd: BorrowedFd<'_>) -> i32 {
    option(fd, libc::SOL_SOCKET, libc::SO_ERROR).unwrap_or(0)
}

/// True for a socket of the IPv6 family.
pub fn is_ipv6(fd: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)? == libc::AF_INET6)
}

/// Writes an address for a socket of the given family; returns its length.
///
/// IPv4 is mapped into IPv6 for an IPv6 socket. None when IPv6 cannot be said to an IPv4 socket.
pub(crate) fn encode(
    address: SocketAddr,
    ipv6_socket: bool,
    storage: &mut Storage,
) -> Option<libc::socklen_t> {
    let address = match (address, ipv6_socket) {
        (SocketAddr::V4(v4), true) => {
            SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0))
        }
        (SocketAddr::V6(_), false) => return None,
        (other, _) => other,
    };
    // SAFETY: sockaddr_storage is larger than and aligned for both forms, and any bytes are valid
    // values of their integer fields.
    unsafe {
        match address {
            SocketAddr::V4(v4) => {
                let out = &mut *(&raw mut *storage).cast::<libc::sockaddr_in>();
                *out = zeroed();
                out.sin_family = libc::AF_INET as libc::sa_family_t;
                out.sin_port = v4.port().to_be();
                out.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                Some(size_of::<libc::sockaddr_in>() as libc::socklen_t)
            }
            SocketAddr::V6(v6) => {
                let out = &mut *(&raw mut *storage).cast::<libc::sockaddr_in6>();
                *out = zeroed();
                out.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                out.sin6_port = v6.port().to_be();
                out.sin6_addr.s6_addr = v6.ip().octets();
                out.sin6_scope_id = v6.scope_id();
                Some(size_of::<libc::sockaddr_in6>() as libc::socklen_t)
            }
        }
    }
}

/// Reads an address that the kernel wrote; IPv4 in IPv6 clothes becomes IPv4.
pub(crate) fn decode(storage: &Storage, length: libc::socklen_t) -> Option<SocketAddr> {
    let length = length as usize;
    // SAFETY: `storage` was zeroed before the kernel wrote to it, so all of it is initialised; it
    // is larger than and aligned for both forms.
    unsafe {
        match libc::c_int::from(storage.ss_family) {
            libc::AF_INET if length >= size_of::<libc::sockaddr_in>() => {
                let from = &*(&raw const *storage).cast::<libc::sockaddr_in>();
                let ip = from.sin_addr.s_addr.to_ne_bytes().into();
                Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(from.sin_port))))
            }
            libc::AF_INET6 if length >= size_of::<libc::sockaddr_in6>() => {
                let from = &*(&raw const *storage).cast::<libc::sockaddr_in6>();
                let ip = std::net::Ipv6Addr::from(from.sin6_addr.s6_addr);
                let port = u16::from_be(from.sin6_port);
                Some(match ip.to_ipv4_mapped() {
                    Some(v4) => SocketAddr::new(IpAddr::V4(v4), port),
                    None => SocketAddr::V6(SocketAddrV6::new(ip, port, 0, from.sin6_scope_id)),
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(address: &str, ipv6_socket: bool) -> Option<SocketAddr> {
        // SAFETY: all zeros is a valid sockaddr_storage.
        let mut storage: Storage = unsafe { zeroed() };
        let length = encode(address.parse().unwrap(), ipv6_socket, &mut storage)?;
        decode(&storage, length)
    }

    #[test]
    fn addresses_survive_the_round_trip() {
        for (address, ipv6_socket) in [
            ("192.0.2.1:1194", false),
            ("192.0.2.1:1194", true),
            ("[2001:db8::1]:1194", true),
            ("[fe80::1%7]:1194", true),
        ] {
            assert_eq!(round(address, ipv6_socket), Some(address.parse().unwrap()), "{address}");
        }
        assert_eq!(round("[2001:db8::1]:1194", false), None);
    }
}
