"""What is pushed to one client: which options of all, which of its own, and what was negotiated.

Pure. Responsible for filters and order (protocol-facts 17). Cutting a push into messages is
``push``'s business, when it is sent ``server_messages``'.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence

from ginnel.core.data_key import DataFormat
from ginnel.core.negotiate import Agreement, offers_ciphers
from ginnel.core.peer_info import ProtocolFlag, protocol_flags
from ginnel.core.server_actions import ClientTerms
from ginnel.core.types import UNDEFINED_PEER_ID
from ginnel.dataclass import dataclass
from ginnel.options.apply_instance import without
from ginnel.options.model import CompressionKind
from ginnel.options.server_model import ClientConfig
from ginnel.options.values import Secret


def pushes_for(common: Sequence[str], config: ClientConfig) -> tuple[str, ...]:
    """The options for all, less what the client's own settings take away, and then its own.

    ``push-remove`` names the beginning of an option; ``push-reset`` leaves none.
    """
    kept = () if config.push_reset else without(tuple(common), config.push_remove)
    return (*kept, *config.push)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushToken:
    """The token that is to stand in for the client's password from now on."""

    token: Secret
    username: str | None = None
    """The name that it is for, when the client uses another one."""

    def items(self) -> tuple[str, ...]:
        """As pushed."""
        shown = self.token.reveal().decode("ascii")
        if self.username is None:
            return (f"auth-token {shown}",)
        encoded = b64encode(self.username.encode("utf-8", "surrogateescape")).decode("ascii")
        return (f"auth-token {shown}", f"auth-token-user {encoded}")


def compose_push(
    terms: ClientTerms,
    agreement: Agreement,
    *,
    peer_info: Mapping[str, str],
    tun_mtu: int,
    token: PushToken | None,
    compression: CompressionKind | None = None,
) -> tuple[str, ...]:
    """All items in OpenVPN's order. ``compression`` is the framing that a client is moved to."""
    items = [*terms.push]
    if compression is not None:
        items.append(
            "comp-lzo no" if compression is CompressionKind.LZO_STUB else "compress stub-v2"
        )
    items += _addresses(terms)
    if agreement.send_peer_id != UNDEFINED_PEER_ID:
        items.append(f"peer-id {agreement.send_peer_id}")
    if token is not None:
        items += token.items()
    if offers_ciphers(peer_info):
        items.append(f"cipher {agreement.cipher.value}")
    items += _features(agreement, protocol_flags(peer_info))
    if "IV_MTU" in peer_info:
        items.append(f"tun-mtu {tun_mtu}")
    return tuple(items)


def _addresses(terms: ClientTerms) -> list[str]:
    blocked = terms.config.push_remove
    items = []
    if terms.ifconfig_ipv6 is not None and "ifconfig-ipv6" not in blocked:
        items.append("ifconfig-ipv6 {} {}".format(*terms.ifconfig_ipv6))
    if terms.ifconfig is not None and "ifconfig" not in blocked:
        items.append("ifconfig {} {}".format(*terms.ifconfig))
    return items


def _features(agreement: Agreement, flags: ProtocolFlag) -> list[str]:
    """The features in force, in the words that the client knows."""
    if ProtocolFlag.CC_EXIT not in flags:
        return ["key-derivation tls-ekm"] if agreement.tls_ekm else []
    named = (
        ("cc-exit", agreement.cc_exit),
        ("tls-ekm", agreement.tls_ekm),
        ("dyn-tls-crypt", agreement.dyn_tls_crypt),
        ("aead-epoch", agreement.format is DataFormat.EPOCH),
    )
    return ["protocol-flags " + " ".join(name for name, is_on in named if is_on)]
