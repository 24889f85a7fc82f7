"""Log lines about letting clients in, in OpenVPN's words where it has some."""

from ginnel.compat.log_lines import Category, LogLine, Severity, printable


def _warning(text: str) -> LogLine:
    return LogLine(text=text, verb=0, severity=Severity.WARNING)


def _error(text: str) -> LogLine:
    return LogLine(text=text, severity=Severity.ERROR, category=Category.TLS_ERROR)


# --- passwords ---------------------------------------------------------------------------------


def password_accepted(username: str, *, names_client: bool) -> LogLine:
    """``names_client``: with ``username-as-common-name``."""
    tail = "[CN SET]" if names_client else ""
    name = printable(username)
    return LogLine(
        text=f"TLS: Username/Password authentication succeeded for username '{name}' {tail}",
        verb=2,
        category=Category.HANDSHAKE,
    )


def name_too_long(limit: int) -> LogLine:
    """A user name cannot stand for a common name."""
    return _error(
        "TLS Auth Error: --username-as-common name specified and username is longer than the "
        f"maximum permitted Common Name length of {limit} characters"
    )


def refused_by(judge: str, reason: str) -> LogLine:
    """Who said no, and why."""
    tail = f": {printable(reason)}" if reason else ""
    return _error(f"TLS Auth Error: {judge} refused user name and password{tail}")


def bad_pending_file(found: str) -> LogLine:
    """What ``auth_pending_file`` holds is not to be understood."""
    return _warning(
        "WARNING: auth_pending_file: expected the lines SECONDS, METHOD and a message for the "
        f"client, found '{printable(found, 200)}'"
    )


def method_unknown(method: str) -> LogLine:
    """The client does not know how to do what it is asked to."""
    return _warning(
        f"WARNING: auth_pending_file: the client does not support '{printable(method, 64)}' "
        "(IV_SSO)"
    )


# --- scripts -----------------------------------------------------------------------------------


def no_files(option: str, error: OSError) -> LogLine:
    """A script cannot be run without the files that it is told about."""
    return _warning(
        f"WARNING: --{option}: cannot make a file in tmp-dir ({error.strerror or error}): "
        "the client is refused"
    )


def no_verdict(option: str, seconds: float) -> LogLine:
    """A script put its answer off and never gave it."""
    return _warning(f"WARNING: --{option}: no answer came within {seconds:g} seconds")


def key_judged(*, accepted: bool) -> LogLine:
    """What ``tls-crypt-v2-verify`` said."""
    if accepted:
        return LogLine(text="TLS CRYPT V2 VERIFY SCRIPT OK", verb=2, category=Category.HANDSHAKE)
    return _error("TLS CRYPT V2 VERIFY SCRIPT ERROR")


# --- connecting --------------------------------------------------------------------------------


def reading_options(path: str) -> LogLine:
    """Options of one client are read from a file."""
    text = f"OPTIONS IMPORT: reading client specific options from: {printable(path)}"
    return LogLine(text=text, verb=3)


def option_problem(text: str) -> LogLine:
    """A line among a client's options that is left out."""
    return _warning(printable(text))


def no_own_file(common_name: str, path: str) -> LogLine:
    """``ccd-exclusive`` refuses a client."""
    return _error(
        "TLS Auth Error: --client-config-dir authentication failed for common name "
        f"'{printable(common_name)}' file='{printable(path)}'"
    )


def disabled() -> LogLine:
    """The client's options say ``disable``."""
    return LogLine(text="MULTI: client has been rejected due to 'disable' directive")


def pool_answered(ipv4: str, ipv6: str) -> LogLine:
    """Which addresses the pool gave."""
    return LogLine(text=f"MULTI_sva: pool returned IPv4={ipv4}, IPv6={ipv6}", verb=3)


def pool_empty() -> LogLine:
    """All addresses are in use."""
    text = "MULTI: no free --ifconfig-pool addresses are available"
    return LogLine(text=text, severity=Severity.ERROR)


def no_address(name: str) -> LogLine:
    """A client of a pool that has nothing left."""
    text = f"MULTI: no dynamic or static remote --ifconfig address is available for {name}"
    return LogLine(text=printable(text), severity=Severity.ERROR)


def outside_constraint(name: str, address: str, network: str) -> LogLine:
    """``ifconfig-push-constraint``."""
    text = (
        f"MULTI ERROR: primary virtual IP for {name} ({address}) violates tunnel network/netmask "
        f"constraint ({network})"
    )
    return LogLine(text=printable(text), severity=Severity.ERROR)


def address_refused(address: str) -> LogLine:
    """``learn-address`` does not want a client to have an address."""
    return _warning(f"WARNING: learn-address refused {printable(address)}: nothing is sent there")
