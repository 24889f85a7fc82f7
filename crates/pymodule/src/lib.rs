//! The Python module `ginnel_engine`: glue between Python values and the engine, nothing more.
//!
//! Calls that may wait for the engine's thread release the GIL. The thread itself never takes it.

#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::RawFd;

use ginnel_dataplane::datapath::key::{Direction, Key, KeySpec, Limits};
use ginnel_dataplane::datapath::payload::PayloadSpec;
use ginnel_dataplane::datapath::payload::framing::Framing;
use ginnel_dataplane::datapath::payload::nat::NatRule;
use ginnel_dataplane::datapath::peer::{Keepalive, PeerConfig, Slot};
use ginnel_dataplane::datapath::suite::Suite;
use ginnel_dataplane::datapath::wire::DataFormat;
use ginnel_dataplane::{Engine as Running, Note, NoteKind, Transport, TunSpec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

/// Packed address, port, scope id.
type Address = (PyBackedBytes, u16, u32);
/// The same on the way up.
type AddressUp<'py> = (Bound<'py, PyBytes>, u16, u32);
/// Kind, peer-id, key-id, remote, errno, payload.
type NoteUp<'py> = (&'static str, u32, u8, Option<AddressUp<'py>>, i32, Bound<'py, PyBytes>);
/// Cipher key, implicit IV, HMAC key.
type Material = (PyBackedBytes, PyBackedBytes, PyBackedBytes);
/// Whether it is a source rule; network, netmask and alias, packed.
type NatDown = (bool, PyBackedBytes, PyBackedBytes, PyBackedBytes);
/// Framing, decompress, fragment, client-nat, address of block-ipv6, shaper, passtos.
type PayloadDown = (Option<String>, bool, usize, Vec<NatDown>, Option<PyBackedBytes>, u32, bool);
/// Counters in the order of `PeerStats`, then drops by reason.
type StatsUp = (u64, u64, u64, u64, u64, u64, u64, u64, Vec<(&'static str, u64)>);

/// A running data plane.
#[pyclass(frozen, module = "ginnel_engine")]
struct Engine(Running);

#[pymethods]
impl Engine {
    #[new]
    fn new(
        py: Python<'_>,
        tun_fd: Option<RawFd>,
        mtu: usize,
        vnet_header: bool,
        ethernet: bool,
    ) -> PyResult<Self> {
        let tun = tun_fd.map(|fd| TunSpec { fd, mtu, vnet_header, ethernet });
        Ok(Self(py.detach(|| Running::open(tun))?))
    }

    fn offloads(&self, py: Python<'_>) -> PyResult<Vec<&'static str>> {
        Ok(py.detach(|| self.0.offloads())?)
    }

    fn attach(
        &self,
        py: Python<'_>,
        fd: RawFd,
        is_stream: bool,
        unread: PyBackedBytes,
        unsent: PyBackedBytes,
    ) -> PyResult<()> {
        let transport = if is_stream { Transport::Tcp } else { Transport::Udp };
        Ok(py.detach(|| self.0.attach(fd, transport, &unread, &unsent))?)
    }

    fn attach_relayed(&self, py: Python<'_>, fd: RawFd, front: PyBackedBytes) -> PyResult<()> {
        Ok(py.detach(|| self.0.attach_relayed(fd, &front))?)
    }

    #[pyo3(signature = (
        peer_id, send_peer_id, remote, *, allow_float, mss, replay, drop_recursive, payload
    ))]
    #[allow(clippy::too_many_arguments)]
    fn new_peer(
        &self,
        py: Python<'_>,
        peer_id: u32,
        send_peer_id: u32,
        remote: Option<Address>,
        allow_float: bool,
        mss: (u16, u16),
        replay: (usize, u64),
        drop_recursive: bool,
        payload: PayloadDown,
    ) -> PyResult<()> {
        let config = PeerConfig {
            peer_id,
            send_peer_id,
            remote: remote.map(socket_address).transpose()?,
            allow_float,
            mss_ipv4: mss.0,
            mss_ipv6: mss.1,
            replay_window: replay.0,
            replay_time: replay.1,
            drop_recursive,
        };
        let payload = payload_spec(payload)?;
        Ok(py.detach(|| self.0.new_peer(config, payload))?)
    }

    fn set_peer(
        &self,
        py: Python<'_>,
        peer_id: u32,
        ping_interval: u32,
        ping_timeout: u32,
        inactive_seconds: u32,
        inactive_bytes: u64,
    ) -> PyResult<()> {
        let limits = Keepalive { ping_interval, ping_timeout, inactive_seconds, inactive_bytes };
        Ok(py.detach(|| self.0.set_peer(peer_id, limits))?)
    }

    fn set_payload(&self, py: Python<'_>, peer_id: u32, payload: PayloadDown) -> PyResult<()> {
        let payload = payload_spec(payload)?;
        Ok(py.detach(|| self.0.set_payload(peer_id, payload))?)
    }

    fn del_peer(&self, py: Python<'_>, peer_id: u32) -> PyResult<()> {
        Ok(py.detach(|| self.0.del_peer(peer_id))?)
    }

    #[allow(clippy::too_many_arguments)]
    fn new_key(
        &self,
        py: Python<'_>,
        peer_id: u32,
        slot: u8,
        key_id: u8,
        suite: (String, String),
        format: (String, u32),
        send: Material,
        receive: Material,
    ) -> PyResult<()> {
        let slot = slot_of(slot)?;
        let suite = Suite::by_name(&suite.0, &suite.1).ok_or_else(invalid)?;
        let (format, packet_time) = (format_of(&format.0)?, format.1);
        let (send, receive) = (direction(&send), direction(&receive));
        py.detach(|| {
            let (replay_window, replay_time) = self.0.replay_of(peer_id)?;
            let limits = Limits::default();
            let spec = KeySpec {
                key_id,
                suite,
                format,
                send,
                receive,
                replay_window,
                replay_time,
                packet_time,
                limits,
            };
            let key = Key::new(&spec).map_err(|_| invalid())?;
            Ok(self.0.set_key(peer_id, slot, Some(key))?)
        })
    }

    fn swap_keys(&self, py: Python<'_>, peer_id: u32) -> PyResult<()> {
        Ok(py.detach(|| self.0.swap_keys(peer_id))?)
    }

    fn del_key(&self, py: Python<'_>, peer_id: u32, slot: u8) -> PyResult<()> {
        let slot = slot_of(slot)?;
        Ok(py.detach(|| self.0.set_key(peer_id, slot, None))?)
    }

    fn add_iroute(
        &self,
        py: Python<'_>,
        peer_id: u32,
        network: PyBackedBytes,
        length: u8,
    ) -> PyResult<()> {
        let network = ip_address(&network)?;
        Ok(py.detach(|| self.0.add_iroute(peer_id, network, length))?)
    }

    fn stats(&self, py: Python<'_>, peer_id: u32) -> PyResult<StatsUp> {
        let stats = py.detach(|| self.0.stats(peer_id))?;
        Ok((
            stats.tun_read_bytes,
            stats.tun_read_packets,
            stats.tun_write_bytes,
            stats.tun_write_packets,
            stats.link_read_bytes,
            stats.link_read_packets,
            stats.link_write_bytes,
            stats.link_write_packets,
            stats.drops().collect(),
        ))
    }

    fn unassigned_drops(&self, py: Python<'_>) -> PyResult<Vec<(&'static str, u64)>> {
        Ok(py.detach(|| self.0.unassigned())?.drops().collect())
    }

    fn fileno(&self) -> RawFd {
        self.0.fileno()
    }

    fn notifications<'py>(&self, py: Python<'py>) -> Vec<NoteUp<'py>> {
        let notes = py.detach(|| self.0.notes());
        notes.into_iter().map(|note| note_up(py, note)).collect()
    }

    fn recv_control<'py>(
        &self,
        py: Python<'py>,
        limit: usize,
    ) -> Vec<(Bound<'py, PyBytes>, Option<AddressUp<'py>>)> {
        let packets = py.detach(|| self.0.control(limit));
        packets
            .into_iter()
            .map(|packet| {
                let source = packet.source.map(|source| address_up(py, source));
                (PyBytes::new(py, &packet.payload), source)
            })
            .collect()
    }

    fn send_control(
        &self,
        py: Python<'_>,
        payload: PyBackedBytes,
        destination: Option<Address>,
    ) -> PyResult<()> {
        let destination = destination.map(socket_address).transpose()?;
        Ok(py.detach(|| self.0.send_control(&payload, destination))?)
    }

    fn send_inner(&self, py: Python<'_>, peer_id: u32, payload: PyBackedBytes) -> PyResult<()> {
        Ok(py.detach(|| self.0.send_inner(peer_id, &payload))?)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

fn invalid() -> PyErr {
    io::Error::from_raw_os_error(libc::EINVAL).into()
}

fn slot_of(slot: u8) -> PyResult<Slot> {
    match slot {
        0 => Ok(Slot::Primary),
        1 => Ok(Slot::Secondary),
        _ => Err(PyValueError::new_err("slot is 0 or 1")),
    }
}

fn format_of(name: &str) -> PyResult<DataFormat> {
    match name {
        "v1" => Ok(DataFormat::V1),
        "v2" => Ok(DataFormat::V2),
        "epoch" => Ok(DataFormat::Epoch),
        "static" => Ok(DataFormat::Static),
        _ => Err(PyValueError::new_err("format is v1, v2, epoch or static")),
    }
}

fn direction((cipher_key, implicit_iv, hmac_key): &Material) -> Direction {
    Direction {
        cipher_key: Zeroizing::new(cipher_key.to_vec()),
        implicit_iv: Zeroizing::new(implicit_iv.to_vec()),
        hmac_key: Zeroizing::new(hmac_key.to_vec()),
    }
}

fn ip_address(packed: &[u8]) -> PyResult<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(packed) {
        Ok(IpAddr::V4(Ipv4Addr::from(four)))
    } else if let Ok(sixteen) = <[u8; 16]>::try_from(packed) {
        Ok(IpAddr::V6(Ipv6Addr::from(sixteen)))
    } else {
        Err(PyValueError::new_err("a packed address has 4 or 16 bytes"))
    }
}

fn payload_spec(
    (framing, decompress, fragment, nat, block_ipv6, shaper, pass_tos): PayloadDown,
) -> PyResult<PayloadSpec> {
    let framing = framing
        .map(|name| {
            Framing::by_name(&name)
                .ok_or_else(|| PyValueError::new_err("framing is prefix, swap or v2"))
        })
        .transpose()?;
    let nat = nat
        .iter()
        .map(|(is_source, network, netmask, alias)| {
            Ok(NatRule {
                is_source: *is_source,
                network: octets::<4>(network)?.into(),
                netmask: octets::<4>(netmask)?.into(),
                alias: octets::<4>(alias)?.into(),
            })
        })
        .collect::<PyResult<_>>()?;
    let block_ipv6 = block_ipv6.map(|from| octets::<16>(&from)).transpose()?.map(Into::into);
    Ok(PayloadSpec { framing, decompress, fragment, nat, block_ipv6, shaper, pass_tos })
}

fn octets<const LENGTH: usize>(packed: &[u8]) -> PyResult<[u8; LENGTH]> {
    packed.try_into().map_err(|_| PyValueError::new_err("a packed address of the wrong family"))
}

fn socket_address((packed, port, scope_id): Address) -> PyResult<SocketAddr> {
    Ok(match ip_address(&packed)? {
        IpAddr::V4(v4) => SocketAddr::new(IpAddr::V4(v4), port),
        IpAddr::V6(v6) => SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope_id)),
    })
}

fn address_up(py: Python<'_>, address: SocketAddr) -> AddressUp<'_> {
    match address {
        SocketAddr::V4(v4) => (PyBytes::new(py, &v4.ip().octets()), v4.port(), 0),
        SocketAddr::V6(v6) => (PyBytes::new(py, &v6.ip().octets()), v6.port(), v6.scope_id()),
    }
}

fn note_up(py: Python<'_>, note: Note) -> NoteUp<'_> {
    let kind = match note.kind {
        NoteKind::Silent => "silent",
        NoteKind::Inactive => "inactive",
        NoteKind::Floated => "floated",
        NoteKind::KeyExhausted => "key-exhausted",
        NoteKind::DecryptError => "decrypt-error",
        NoteKind::LinkLost => "link-lost",
        NoteKind::TunLost => "tun-lost",
        NoteKind::Occ => "occ",
        NoteKind::BadFraming => "bad-framing",
    };
    let remote = note.remote.map(|remote| address_up(py, remote));
    (kind, note.peer_id, note.key_id, remote, note.errno, PyBytes::new(py, &note.payload))
}

/// The compiled data plane of ginnel.
#[pymodule]
mod ginnel_engine {
    #[pymodule_export]
    use super::Engine;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
