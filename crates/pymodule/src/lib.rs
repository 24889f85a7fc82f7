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
use ginnel_dataplane::datapath::siv::{SIV_LEN, SivKey as Siv};
use ginnel_dataplane::datapath::suite::Suite;
use ginnel_dataplane::datapath::vlan::{Accept, Vlans};
use ginnel_dataplane::datapath::wire::DataFormat;
use ginnel_dataplane::{
    Control, Engine as Running, LinkSpec, Note, NoteKind, Rules, Transport, TunSpec,
};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use zeroize::Zeroizing;

/// Counts changes of what this module is called with; the same number is in
/// `ginnel.dataplane.choose`, which takes no other.
const INTERFACE: u32 = 4;

/// Packed address, port, scope id.
type Address = (PyBackedBytes, u16, u32);
/// The same on the way up.
type AddressUp<'py> = (Bound<'py, PyBytes>, u16, u32);
/// A packed address of ours.
type Local<'py> = Option<Bound<'py, PyBytes>>;
/// Link, VLAN, our address.
type Where<'py> = (u32, u16, Local<'py>);
/// Kind, peer-id, key-id, remote, errno, payload, where.
type NoteUp<'py> =
    (&'static str, u32, u8, Option<AddressUp<'py>>, i32, Bound<'py, PyBytes>, Where<'py>);
/// Packet, source, link, our address.
type ControlUp<'py> = (Bound<'py, PyBytes>, Option<AddressUp<'py>>, u32, Local<'py>);
/// Hardware address, VLAN, peer-id, age.
type LearnedUp<'py> = (Bound<'py, PyBytes>, u16, u32, u64);
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
        Ok(Self(py.detach(|| Running::open(tun)).map_err(os_error)?))
    }

    fn offloads(&self, py: Python<'_>) -> PyResult<Vec<&'static str>> {
        py.detach(|| self.0.offloads()).map_err(os_error)
    }

    fn attach(
        &self,
        py: Python<'_>,
        fd: RawFd,
        is_stream: bool,
        unread: PyBackedBytes,
        unsent: PyBackedBytes,
        is_multihomed: bool,
    ) -> PyResult<()> {
        let link = LinkSpec {
            unread: &unread,
            unsent: &unsent,
            is_multihomed,
            ..LinkSpec::new(fd, transport(is_stream))
        };
        py.detach(|| self.0.attach(&link)).map_err(os_error)
    }

    fn attach_relayed(&self, py: Python<'_>, fd: RawFd, front: PyBackedBytes) -> PyResult<()> {
        let link = LinkSpec { front: &front, ..LinkSpec::new(fd, Transport::Udp) };
        py.detach(|| self.0.attach(&link)).map_err(os_error)
    }

    fn add_link(
        &self,
        py: Python<'_>,
        fd: RawFd,
        is_stream: bool,
        unread: PyBackedBytes,
        unsent: PyBackedBytes,
        is_multihomed: bool,
    ) -> PyResult<u32> {
        let link = LinkSpec {
            unread: &unread,
            unsent: &unsent,
            is_multihomed,
            ..LinkSpec::new(fd, transport(is_stream))
        };
        py.detach(|| self.0.add_link(&link)).map_err(os_error)
    }

    fn remove_link(&self, py: Python<'_>, link: u32) -> PyResult<()> {
        py.detach(|| self.0.remove_link(link)).map_err(os_error)
    }

    fn serve(
        &self,
        py: Python<'_>,
        client_to_client: bool,
        tcp_queue_limit: usize,
        broadcast_limit: u32,
        vlans: Option<(String, u16)>,
        stale: (u32, u32),
    ) -> PyResult<()> {
        let vlans = vlans
            .map(|(accept, pvid)| Ok::<_, PyErr>(Vlans { accept: accept_of(&accept)?, pvid }))
            .transpose()?;
        let (stale_age, stale_interval) = stale;
        let rules = Rules {
            client_to_client,
            tcp_queue_limit,
            broadcast_limit,
            vlans,
            stale_age,
            stale_interval,
        };
        py.detach(|| self.0.serve(rules)).map_err(os_error)
    }

    fn limit_resets(&self, py: Python<'_>, count: u32, seconds: u32) -> PyResult<()> {
        py.detach(|| self.0.limit_resets(count, seconds)).map_err(os_error)
    }

    fn credit_resets(&self, py: Python<'_>, count: u32) -> PyResult<()> {
        py.detach(|| self.0.credit_resets(count)).map_err(os_error)
    }

    fn learned<'py>(&self, py: Python<'py>) -> PyResult<Vec<LearnedUp<'py>>> {
        let learned = py.detach(|| self.0.learned()).map_err(os_error)?;
        Ok(learned
            .into_iter()
            .map(|one| (PyBytes::new(py, &one.mac), one.vlan, one.peer_id, one.age))
            .collect())
    }

    #[pyo3(signature = (
        peer_id, send_peer_id, remote, *, allow_float, mss, replay, drop_recursive, payload, place, bounds
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
        place: (u32, Option<PyBackedBytes>),
        bounds: (usize, u16),
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
            link: place.0,
            local: place.1.map(|local| ip_address(&local)).transpose()?,
            max_learned: bounds.0,
            vlan: bounds.1,
        };
        let payload = payload_spec(payload)?;
        py.detach(|| self.0.new_peer(config, payload)).map_err(os_error)
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
        py.detach(|| self.0.set_peer(peer_id, limits)).map_err(os_error)
    }

    fn set_payload(&self, py: Python<'_>, peer_id: u32, payload: PayloadDown) -> PyResult<()> {
        let payload = payload_spec(payload)?;
        py.detach(|| self.0.set_payload(peer_id, payload)).map_err(os_error)
    }

    fn set_path(
        &self,
        py: Python<'_>,
        peer_id: u32,
        mss: (u16, u16),
        inner_mtu: Option<u16>,
    ) -> PyResult<()> {
        py.detach(|| self.0.set_path(peer_id, mss, inner_mtu)).map_err(os_error)
    }

    fn del_peer(&self, py: Python<'_>, peer_id: u32) -> PyResult<()> {
        py.detach(|| self.0.del_peer(peer_id)).map_err(os_error)
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
            let (replay_window, replay_time) = self.0.replay_of(peer_id).map_err(os_error)?;
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
            self.0.set_key(peer_id, slot, Some(key)).map_err(os_error)
        })
    }

    fn swap_keys(&self, py: Python<'_>, peer_id: u32) -> PyResult<()> {
        py.detach(|| self.0.swap_keys(peer_id)).map_err(os_error)
    }

    fn del_key(&self, py: Python<'_>, peer_id: u32, slot: u8) -> PyResult<()> {
        let slot = slot_of(slot)?;
        py.detach(|| self.0.set_key(peer_id, slot, None)).map_err(os_error)
    }

    fn add_iroute(
        &self,
        py: Python<'_>,
        peer_id: u32,
        network: PyBackedBytes,
        length: u8,
    ) -> PyResult<()> {
        let network = ip_address(&network)?;
        py.detach(|| self.0.add_iroute(peer_id, network, length)).map_err(os_error)
    }

    fn del_iroute(
        &self,
        py: Python<'_>,
        peer_id: u32,
        network: PyBackedBytes,
        length: u8,
    ) -> PyResult<()> {
        let network = ip_address(&network)?;
        py.detach(|| self.0.del_iroute(peer_id, network, length)).map_err(os_error)
    }

    fn stats(&self, py: Python<'_>, peer_id: u32) -> PyResult<StatsUp> {
        let stats = py.detach(|| self.0.stats(peer_id)).map_err(os_error)?;
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
        Ok(py.detach(|| self.0.unassigned()).map_err(os_error)?.drops().collect())
    }

    fn fileno(&self) -> RawFd {
        self.0.fileno()
    }

    fn notifications<'py>(&self, py: Python<'py>) -> Vec<NoteUp<'py>> {
        let notes = py.detach(|| self.0.notes());
        notes.into_iter().map(|note| note_up(py, note)).collect()
    }

    fn recv_control<'py>(&self, py: Python<'py>, limit: usize) -> Vec<ControlUp<'py>> {
        let packets = py.detach(|| self.0.control(limit));
        packets.into_iter().map(|packet| control_up(py, packet)).collect()
    }

    fn send_control(
        &self,
        py: Python<'_>,
        payload: PyBackedBytes,
        destination: Option<Address>,
        link: u32,
        local: Option<PyBackedBytes>,
    ) -> PyResult<()> {
        let destination = destination.map(socket_address).transpose()?;
        let local = local.map(|local| ip_address(&local)).transpose()?;
        py.detach(|| self.0.send_control(&payload, destination, link, local)).map_err(os_error)
    }

    fn send_inner(&self, py: Python<'_>, peer_id: u32, payload: PyBackedBytes) -> PyResult<()> {
        py.detach(|| self.0.send_inner(peer_id, &payload)).map_err(os_error)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

/// Keys of one direction of wrapped control packets.
#[pyclass(frozen, module = "ginnel_engine")]
struct SivKey(Siv);

#[pymethods]
impl SivKey {
    #[new]
    fn new(cipher_key: &[u8], mac_key: &[u8]) -> PyResult<Self> {
        let key = Siv::new(cipher_key, mac_key);
        key.map(Self).map_err(|_| PyValueError::new_err("each key has 32 bytes"))
    }

    fn seal<'py>(
        &self,
        py: Python<'py>,
        clear: &[u8],
        secret: &[u8],
    ) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        let mut tag = [0; SIV_LEN];
        let ciphertext = PyBytes::new_with(py, secret.len(), |body| {
            body.copy_from_slice(secret);
            tag = self.0.seal(clear, body);
            Ok(())
        })?;
        Ok((PyBytes::new(py, &tag), ciphertext))
    }

    fn open<'py>(
        &self,
        py: Python<'py>,
        clear: &[u8],
        tag: &[u8],
        ciphertext: &[u8],
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Ok(tag) = tag.try_into() else { return Ok(None) };
        let mut fits = false;
        let secret = PyBytes::new_with(py, ciphertext.len(), |body| {
            body.copy_from_slice(ciphertext);
            fits = self.0.open(clear, tag, body).is_ok();
            Ok(())
        })?;
        Ok(fits.then_some(secret))
    }
}

fn invalid() -> PyErr {
    os_error(io::Error::from_raw_os_error(libc::EINVAL))
}

/// An `OSError` that has its number: the conversion of PyO3 leaves it out.
fn os_error(error: io::Error) -> PyErr {
    PyOSError::new_err((error.raw_os_error().unwrap_or(libc::EIO), error.to_string()))
}

const fn transport(is_stream: bool) -> Transport {
    if is_stream { Transport::Tcp } else { Transport::Udp }
}

fn accept_of(name: &str) -> PyResult<Accept> {
    match name {
        "all" => Ok(Accept::All),
        "tagged" => Ok(Accept::Tagged),
        "untagged" => Ok(Accept::Untagged),
        _ => Err(PyValueError::new_err("vlan-accept is all, tagged or untagged")),
    }
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
        NoteKind::BadSource => "bad-source",
        NoteKind::Learned => "learned",
        NoteKind::Relearned => "relearned",
        NoteKind::Forgotten => "forgotten",
        NoteKind::TooLong => "too-long",
    };
    let remote = note.remote.map(|remote| address_up(py, remote));
    let payload = PyBytes::new(py, &note.payload);
    let place = (note.link, note.vlan, note.local.map(|local| local_up(py, local)));
    (kind, note.peer_id, note.key_id, remote, note.errno, payload, place)
}

fn control_up(py: Python<'_>, packet: Control) -> ControlUp<'_> {
    let source = packet.source.map(|source| address_up(py, source));
    let local = packet.local.map(|local| local_up(py, local));
    (PyBytes::new(py, &packet.payload), source, packet.link, local)
}

fn local_up(py: Python<'_>, address: IpAddr) -> Bound<'_, PyBytes> {
    match address {
        IpAddr::V4(v4) => PyBytes::new(py, &v4.octets()),
        IpAddr::V6(v6) => PyBytes::new(py, &v6.octets()),
    }
}

/// The compiled data plane of ginnel.
#[pymodule]
mod ginnel_engine {
    #[pymodule_export]
    use super::Engine;
    use super::INTERFACE;
    #[pymodule_export]
    use super::SivKey;
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__interface__", INTERFACE)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
