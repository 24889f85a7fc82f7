"""Rules between the options of a server, and what only the other side may have.

Runs once, after the short forms were expanded. Rules and words are those of openvpn 2.6.
"""

from ginnel.options.apply_identity import check_identity
from ginnel.options.checks import (
    check_ciphers,
    check_compression,
    check_device,
    check_management,
    check_tls,
    check_trust,
    note_both,
)
from ginnel.options.draft import Draft, not_supported
from ginnel.options.errors import ConfigError
from ginnel.options.freeze import device_type
from ginnel.options.model import DeviceType, LinkProtocol, Topology
from ginnel.options.notes import Note, NoteKind
from ginnel.options.server_model import Listener, VerifyClientCert, VlanAccept

_FOR_CLIENTS = {
    "pull": "",
    "remote": "",
    "nobind": " (its clients find it at an address and port of their own choice)",
    "auth-user-pass": " (it should be used on the client side only)",
    "http-proxy": "",
    "socks-proxy": "",
    "shaper": "",
    "ipchange": " (use --client-connect instead)",
    "redirect-gateway": ' (however --push "redirect-gateway" is fine)',
    "redirect-private": ' (however --push "redirect-private" is fine)',
    "route-delay": "",
    "up-delay": "",
    "allow-recursive-routing": "",
    "mtu-test": "",
}
"""Options that a server cannot have, with the hint that follows."""

SCRIPTS_ALLOWED = 2
"""From this ``script-security`` level on, scripts may run."""

_LEVEL_FOR_PASSWORDS = 3
_NEEDS_A_JUDGE = (
    "must be used with --management-client-auth, an --auth-user-pass-verify script, or "
    "--ginnel-authenticator"
)


def check_server(draft: Draft) -> None:
    """Raises ConfigError for what cannot work, the option named where there is one."""
    if draft.refusals:
        raise draft.refusals[0]
    _check_roles(draft)
    check_trust(draft)
    _check_token(draft)
    check_identity(draft)
    check_tls(draft)
    check_device(draft)
    check_ciphers(draft)
    check_compression(draft)
    check_management(draft)
    _check_tunnel(draft)
    _check_pool(draft)
    _check_access(draft)
    _check_vlan(draft)
    _check_keys(draft)


def check_listeners(draft: Draft, listeners: tuple[Listener, ...]) -> None:
    """Checks what depends on the transports. Raises ConfigError."""
    transports = {listener.protocol for listener in listeners}
    if draft.server.port_share is not None and LinkProtocol.TCP_SERVER not in transports:
        text = (
            "--port-share only works in TCP server mode (--proto values of tcp-server, "
            "tcp4-server, or tcp6-server)"
        )
        raise _wrong(draft, text, "port-share")
    if draft.server.limits.connect_freq is not None and LinkProtocol.UDP not in transports:
        text = "--connect-freq only works with --proto udp.  Try --max-clients instead."
        raise _wrong(draft, text, "connect-freq")
    if draft.profile.fragment and LinkProtocol.TCP_SERVER in transports:
        raise _wrong(draft, "--fragment can only be used with --proto udp", "fragment")
    if draft.profile.explicit_exit_notify and LinkProtocol.UDP not in transports:
        text = "NOTICE: --explicit-exit-notify ignored for --proto tcp"
        draft.notes.append(Note(text=text, option="explicit-exit-notify"))


def note_server(draft: Draft) -> None:
    """Leaves the warnings that are about no single line."""
    note_both(draft)
    server, tun = draft.server, draft.options.tun
    if server.access.verify_client_cert is not VerifyClientCert.REQUIRE:
        _warn(
            draft,
            "POTENTIALLY DANGEROUS OPTION --verify-client-cert none|optional may accept clients "
            "which do not present a certificate",
            "verify-client-cert",
        )
    if server.access.duplicate_cn and server.pool.persist_path is not None:
        _warn(
            draft,
            "--ifconfig-pool-persist will not work with --duplicate-cn",
            "ifconfig-pool-persist",
        )
    is_tun = device_type(draft) is DeviceType.TUN
    if is_tun and server.pool.ipv4 is not None and tun.topology is Topology.NET30:
        _warn(
            draft,
            "--topology net30 support for server configs with IPv4 pools will be removed in a "
            "future release. Please migrate to --topology subnet as soon as possible.",
            "topology",
        )
    if draft.profile.tls_crypt_v2 is None:
        for name in ("tls-crypt-v2-verify", "tls-crypt-v2-max-age"):
            if draft.places.has(name):
                text = f"--{name} has no effect without --tls-crypt-v2, whose client keys it is for"
                _warn(draft, text, name)
    _note_scripts(draft)
    if not draft.options.link.ping or not draft.options.link.ping_restart:
        _warn(draft, "--keepalive option is missing from server config", "keepalive")


def scripts_of(draft: Draft) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
    """The script options that only servers have, with their commands."""
    access = draft.server.access
    return (
        ("auth-user-pass-verify", access.auth_user_pass_verify),
        ("client-connect", access.client_connect),
        ("client-disconnect", access.client_disconnect),
        ("client-crresponse", access.client_crresponse),
        ("learn-address", access.learn_address),
        ("tls-crypt-v2-verify", draft.server.crypt_v2_verify),
    )


def _note_scripts(draft: Draft) -> None:
    """A script that may not run fails at each client: say so before the first one comes."""
    access, level = draft.server.access, draft.options.scripts.script_security
    for name, command in scripts_of(draft):
        in_env = name == "auth-user-pass-verify" and access.passes_in_environment
        needed = _LEVEL_FOR_PASSWORDS if in_env else SCRIPTS_ALLOWED
        if command is not None and level < needed:
            text = (
                f"--{name} may not be called unless '--script-security {needed}' or higher is "
                "enabled"
            )
            _warn(draft, text, name)


def _check_roles(draft: Draft) -> None:
    for name, hint in _FOR_CLIENTS.items():
        if draft.places.has(name):
            raise _wrong(draft, f"--{name} cannot be used with --mode server{hint}", name)
    for name in ("tls-client", "secret", "client"):
        if draft.places.has(name):
            text = f"specify only one of --tls-server, --tls-client, or --secret (here --{name})"
            raise _wrong(draft, text, name)
    if not draft.options.tls.tls_server:
        raise _wrong(draft, "--mode server requires --tls-server", "mode")
    word = draft.actions.get("proto", ("",))[0]
    client_words = [local for local in draft.server.locals if local.is_client_word]
    if str(word).endswith("-client") or client_words:
        raise ConfigError(
            "--proto tcp-client cannot be used with --mode server: say tcp-server",
            origin=client_words[0].origin if client_words else draft.places.of("proto"),
            option="proto",
        )


def _check_token(draft: Draft) -> None:
    """Without its token a server would have no certificate at all."""
    for name in ("pkcs11-id", "pkcs11-id-management"):
        origin = draft.places.of(name)
        if origin is not None:
            raise not_supported(f"--{name} with --mode server", name, origin)


def _check_tunnel(draft: Draft) -> None:
    if device_type(draft) is DeviceType.NULL:
        raise _wrong(draft, "--mode server only works with --dev tun or --dev tap", "dev")
    if draft.options.tun.ifconfig_names is not None:
        text = "--ifconfig of a server needs addresses, not names"
        raise _wrong(draft, text, "ifconfig")


def _check_pool(draft: Draft) -> None:
    pool = draft.server.pool
    if pool.persist_path is not None and pool.ipv4 is None and pool.ipv6 is None:
        text = "--ifconfig-pool-persist must be used with --ifconfig-pool or --ifconfig-ipv6-pool"
        raise _wrong(draft, text, "ifconfig-pool-persist")
    if pool.ipv6 is not None and draft.options.tun.ifconfig_ipv6 is None:
        raise _wrong(draft, "--ifconfig-ipv6-pool needs --ifconfig-ipv6", "ifconfig-ipv6-pool")


def _check_access(draft: Draft) -> None:
    access = draft.server.access
    if access.ccd_exclusive and access.client_config_dir is None:
        raise _wrong(
            draft, "--ccd-exclusive must be used with --client-config-dir", "ccd-exclusive"
        )
    if access.management_client_auth and draft.options.management.address is None:
        raise _wrong(
            draft,
            "--management-client-auth needs --management, where the program connects that decides",
            "management-client-auth",
        )
    if not access.asks_password:
        wanting = {
            "verify-client-cert": access.verify_client_cert is not VerifyClientCert.REQUIRE,
            "username-as-common-name": access.username_as_common_name,
            "auth-user-pass-optional": access.auth_user_pass_optional,
        }
        for name, given in wanting.items():
            if given:
                shown = f"{name} none|optional" if name == "verify-client-cert" else name
                raise _wrong(draft, f"--{shown} {_NEEDS_A_JUDGE}", name)
    token, window = access.token, draft.options.tls.hand_window
    if token is not None and token.renewal is not None and token.renewal < 2 * window:
        text = (
            "--auth-gen-token renewal time needs to be at least  two times --hand-window "
            f"({window})."
        )
        raise _wrong(draft, text, "auth-gen-token")


def _check_vlan(draft: Draft) -> None:
    server = draft.server
    if server.vlan_tagging:
        if device_type(draft) is not DeviceType.TAP:
            raise _wrong(draft, "--vlan-tagging must be used with --dev tap", "vlan-tagging")
        return
    if server.vlan.accept is not VlanAccept.ALL:
        raise _wrong(draft, "--vlan-accept requires --vlan-tagging", "vlan-accept")
    if server.vlan.pvid != 1:
        raise _wrong(draft, "--vlan-pvid requires --vlan-tagging", "vlan-pvid")


def _check_keys(draft: Draft) -> None:
    profile = draft.profile
    if profile.tls_auth is not None and profile.tls_crypt is not None:
        raise _wrong(draft, "--tls-auth and --tls-crypt are mutually exclusive", "tls-crypt")
    if profile.tls_auth is not None and draft.options.data.auth == "none":
        raise _wrong(draft, "--tls-auth needs a digest, but --auth is none", "tls-auth")


def _warn(draft: Draft, text: str, option: str) -> None:
    origin = draft.places.of(option)
    draft.notes.append(Note(text=text, kind=NoteKind.WARNING, origin=origin, option=option))


def _wrong(draft: Draft, text: str, option: str) -> ConfigError:
    return ConfigError(text, origin=draft.places.of(option), option=option)
