"""Rules between options: what must be there, what excludes what. Each has a message of its own.

Runs once, on a complete draft, before it is frozen. Rules as openvpn 2.6 has them.
"""

from ginnel.options.apply_identity import check_identity
from ginnel.options.ciphers import CIPHERS, DATA_DIGESTS, canonical_cipher
from ginnel.options.draft import Draft, ProfileDraft, not_supported
from ginnel.options.errors import ConfigError, printable
from ginnel.options.model import DeviceType, LinkProtocol, ManagementOptions
from ginnel.options.notes import Note, NoteKind
from ginnel.options.peers import check_roles, check_static_key, has_static_key
from ginnel.options.server_only import note_server_options, refuse_server_options
from ginnel.options.tunnel_addresses import address_problem

_TLS_VERSIONS = ("1.0", "1.1", "1.2", "1.3")


def check_client(draft: Draft) -> None:
    """Raises ConfigError for what cannot work, the option named where there is one."""
    if draft.refusals:
        raise draft.refusals[0]
    refuse_server_options(draft)
    check_roles(draft)
    if has_static_key(draft):
        check_static_key(draft)
    else:
        check_trust(draft)
        check_identity(draft)
        _check_login(draft)
        check_tls(draft)
    check_device(draft)
    check_ciphers(draft)
    check_compression(draft)
    check_management(draft)


def check_profile(draft: Draft, profile: ProfileDraft) -> None:
    """Checks one connection: transport, binding, control-channel key."""
    origin = profile.origin
    if profile.fragment and profile.protocol is not LinkProtocol.UDP:
        raise ConfigError(
            "--fragment can only be used with --proto udp",
            origin=draft.places.of("fragment"),
            option="fragment",
        )
    if profile.protocol is LinkProtocol.TCP_SERVER:
        place = profile.protocol_origin or origin
        if place is not None:
            raise not_supported(
                "--proto tcp-server (a client that is connected to)", "proto", place
            )
    _check_proxy(profile)
    if profile.nobind:
        for name, given in (
            ("local", profile.local is not None),
            ("lport", profile.lport_defined),
            ("bind", profile.bind_defined),
        ):
            if given:
                raise ConfigError(
                    f"--{name} and --nobind don't make sense when used together",
                    origin=draft.places.of("nobind"),
                    option=name,
                )
    if profile.tun_mtu is not None and profile.link_mtu is not None:
        raise ConfigError(
            "only one of --tun-mtu or --link-mtu may be defined (note that --ifconfig implies "
            "--link-mtu 1500)",
            origin=draft.places.of("link-mtu") or draft.places.of("udp-mtu"),
            option="link-mtu",
        )
    keys = [
        ref
        for ref in (profile.tls_auth, profile.tls_crypt, profile.tls_crypt_v2)
        if ref is not None
    ]
    if len(keys) > 1:
        names = ", ".join(f"--{ref.option}" for ref in keys)
        raise ConfigError(
            f"{names} are mutually exclusive: keep the one that the server uses",
            origin=keys[1].origin,
            option=keys[1].option,
        )
    if profile.tls_crypt_v2 is not None and draft.options.tls.tls_server:
        raise not_supported(
            "--tls-crypt-v2 with --tls-server", "tls-crypt-v2", profile.tls_crypt_v2.origin
        )
    if profile.tls_auth is not None and draft.options.data.auth == "none":
        raise ConfigError(
            "--tls-auth needs a digest, but --auth is none",
            origin=profile.tls_auth.origin,
            option="tls-auth",
        )


def _check_proxy(profile: ProfileDraft) -> None:
    """A proxy has to fit the transport."""
    http, socks = profile.http_proxy, profile.socks_proxy
    if http is not None:
        problem = ""
        if http.host is None:
            problem = "--http-proxy not specified but other http proxy options present"
        elif profile.protocol is not LinkProtocol.TCP_CLIENT:
            problem = (
                "--http-proxy MUST be used in TCP Client mode (i.e. --proto tcp-client); "
                f"remote {printable(profile.host or '')} is not"
            )
        elif socks is not None:
            problem = "--http-proxy can not be used together with --socks-proxy"
        if problem:
            raise ConfigError(problem, origin=http.origin, option="http-proxy")
    if socks is not None and profile.protocol is LinkProtocol.TCP_SERVER:
        raise ConfigError(
            "--socks-proxy can not be used in TCP Server mode",
            origin=socks.origin,
            option="socks-proxy",
        )


def note_client(draft: Draft) -> None:
    """Leaves the warnings that are about no single line."""
    _note_tap_only(draft)
    note_server_options(draft)
    note_both(draft)
    options = draft.options
    if draft.blocks and draft.remotes:
        text = "the remotes outside of <connection> blocks are not used, as OpenVPN does"
        origin = draft.remotes[0].origin
        draft.notes.append(Note(text=text, kind=NoteKind.WARNING, origin=origin, option="remote"))
    if options.login.auth_user_pass and not options.login.auth_nocache:
        text = (
            "this configuration may cache passwords in memory -- use the auth-nocache option to "
            "prevent this"
        )
        draft.notes.append(Note(text=text, kind=NoteKind.WARNING))


def note_both(draft: Draft) -> None:
    """Leaves the warnings that clients and servers have in common."""
    options = draft.options
    _note_management(draft)
    cipher = draft.actions.get("cipher")
    allowed = options.data.data_ciphers
    if cipher is not None and canonical_cipher(str(cipher[0])) not in allowed:
        text = (
            f"DEPRECATED OPTION: --cipher set to '{cipher[0]}' but missing in --data-ciphers "
            f"({':'.join(allowed)}). It plays no part in cipher negotiation"
        )
        draft.notes.append(Note(text=text, origin=draft.places.of("cipher"), option="cipher"))


def _note_tap_only(draft: Draft) -> None:
    tun = draft.options.tun
    is_tap = tun.dev_type is DeviceType.TAP or tun.dev.startswith("tap")
    if is_tap or not draft.options.routes.route_gateway_dhcp:
        return
    text = "--route-gateway dhcp has no effect here: it is for a tap device"
    origin = draft.places.of("route-gateway")
    draft.notes.append(Note(text=text, origin=origin, option="route-gateway"))


def check_trust(draft: Draft) -> None:
    """Without an anchor anyone could pose as the other end. Raises ConfigError."""
    trusted = ("tls.ca", "tls.capath", "tls.pkcs12")
    if not any(name in draft.files for name in trusted) and not draft.options.tls.peer_fingerprint:
        raise ConfigError(
            "You must define CA file (--ca) or CA path (--capath) and/or peer fingerprint "
            "verification (--peer-fingerprint)"
        )


def _check_login(draft: Draft) -> None:
    login, places = draft.options.login, draft.places
    if login.auth_user_pass and not draft.options.pull:
        raise ConfigError(
            "--auth-user-pass requires --pull",
            origin=places.of("auth-user-pass"),
            option="auth-user-pass",
        )
    for option, lacks, needed in (
        ("static-challenge", not login.auth_user_pass, "--auth-user-pass"),
        ("auth-token", login.auth_token_user is None, "--auth-token-user"),
    ):
        if places.has(option) and lacks:
            text = f"--{option} has no effect without {needed}"
            draft.notes.append(Note(text=text, origin=places.of(option), option=option))


def check_tls(draft: Draft) -> None:
    """Raises ConfigError when versions or digests contradict each other."""
    tls, places = draft.options.tls, draft.places
    lowest, highest = tls.tls_version_min, tls.tls_version_max
    if highest is not None and _TLS_VERSIONS.index(highest) < _TLS_VERSIONS.index(lowest):
        raise ConfigError(
            f"--tls-version-max {highest} is lower than --tls-version-min, which is {lowest}",
            origin=places.of("tls-version-max"),
            option="tls-version-max",
        )
    if tls.verify_hash and tls.peer_fingerprint:
        raise ConfigError(
            "--verify-hash and --peer-fingerprint exclude each other",
            origin=places.of("verify-hash"),
            option="verify-hash",
        )


def check_device(draft: Draft) -> None:
    """Raises ConfigError for a device of no known kind, or addresses that are none."""
    tun = draft.options.tun
    problem = address_problem(tun)
    if problem is not None:
        place = draft.places.of("ifconfig") or draft.places.of("ifconfig-ipv6")
        raise ConfigError(problem, origin=place, option="ifconfig")
    origin = draft.places.of("dev") or draft.places.of("dev-type")
    if origin is not None and not _tells_type(tun.dev) and not draft.places.has("dev-type"):
        raise ConfigError(
            f"I don't know whether '{tun.dev}' is a tun or a tap device: add --dev-type tun or "
            "--dev-type tap",
            origin=origin,
            option="dev",
        )


def check_ciphers(draft: Draft) -> None:
    """A cipher that may be chosen must be one that works with the digest. Raises ConfigError."""
    data = draft.options.data
    fallback = data.data_ciphers_fallback
    usable = [*data.data_ciphers, *(() if fallback is None else (fallback,))]
    unknown = [name for name in usable if name not in CIPHERS]
    if unknown:
        raise ConfigError(
            f"--cipher {unknown[0]} is not a cipher that ginnel has, and --ncp-disable or "
            "--compat-mode ask for it",
            origin=draft.places.of("cipher"),
            option="cipher",
        )
    with_hmac = [name for name in usable if not CIPHERS[name].is_aead]
    if with_hmac and data.auth != "none" and data.auth not in DATA_DIGESTS:
        raise ConfigError(
            f"--auth {data.auth} cannot authenticate packets of the data cipher {with_hmac[0]} "
            f"here; known are {', '.join(DATA_DIGESTS)}",
            origin=draft.places.of("auth"),
            option="auth",
        )
    if data.keysize is not None and not any(_takes(name, data.keysize) for name in usable):
        text = f"--keysize {data.keysize} has no effect: no data cipher here has a key of that size"
        origin = draft.places.of("keysize")
        draft.notes.append(Note(text=text, kind=NoteKind.WARNING, origin=origin, option="keysize"))


def _takes(cipher: str, bits: int) -> bool:
    kind = CIPHERS[cipher]
    return bits // 8 in (kind.key_length, *kind.key_lengths)


def check_compression(draft: Draft) -> None:
    """Raises ConfigError for compression that allow-compression forbids."""
    kind = draft.options.data.compression
    if kind is not None and kind.may_compress and not draft.options.data.allow_compression:
        raise ConfigError(
            "Compression is not allowed since allow-compression is set to 'no' (stub-only)",
            origin=draft.places.of("compress") or draft.places.of("comp-lzo"),
            option="allow-compression",
        )


def _tells_type(dev: str) -> bool:
    return dev.startswith(("tun", "tap")) or dev == "null"


def check_management(draft: Draft) -> None:
    """Raises ConfigError for details of an interface that is not there, or cannot be so."""
    management = draft.options.management
    if management.address is None:
        asked = draft.options.tls.external_key is not None or draft.options.pkcs11.id_management
        if asked or management != ManagementOptions():
            raise ConfigError(
                "--management is not specified, however one or more options which modify the "
                "behavior of --management were specified",
                option="management",
            )
        return
    restricted = management.client_user is not None or management.client_group is not None
    if restricted and management.port != "unix":
        raise ConfigError(
            "--management-client-(user|group) can only be used on unix domain sockets",
            origin=draft.places.of("management"),
            option="management-client-user",
        )


def _note_management(draft: Draft) -> None:
    """Warns where anybody on this host, or on the network, could command the tunnel."""
    management = draft.options.management
    if management.address is None or management.connects:
        return
    if "management.password" in draft.files:
        return
    if management.port != "unix":
        text = (
            "Using --management on a TCP port WITHOUT passwords is STRONGLY discouraged and "
            "considered insecure"
        )
    elif management.client_user is None and management.client_group is None:
        text = (
            "every user who can reach the --management socket may command this tunnel: add "
            "--management-client-user or a password file"
        )
    else:
        return
    origin = draft.places.of("management")
    draft.notes.append(Note(text=text, kind=NoteKind.WARNING, origin=origin, option="management"))
