"""Every generation of clients: what is agreed, what is pushed, and that the keys are the same."""

from dataclasses import dataclass, replace

import pytest

from ginnel.core.data_key import DataCipher, DataFormat
from ginnel.core.payload import Framing
from ginnel.core.server_notices import PushSent
from ginnel.core.types import UNDEFINED_PEER_ID, Transport
from ginnel.core.wire import Opcode
from ginnel.options.model import DataOptions
from ginnel.options.server_model import ServerOptions
from tests.sim.client import PLAIN_STRING, Said, SimClient
from tests.sim.duo import server_options

OLD_CIPHERS = ("AES-256-GCM", "AES-128-GCM", "AES-256-CBC", "BF-CBC")
OLD_FRIENDLY = server_options(data=DataOptions(data_ciphers=OLD_CIPHERS))
ADDRESS = "ifconfig 10.8.0.2 255.255.255.0"
COMMON = "PUSH_REPLY,route-gateway 10.8.0.1,topology subnet,ping 10,ping-restart 60"


def string_with(cipher: str | None) -> str:
    item = "" if cipher is None else f"cipher {cipher},"
    return PLAIN_STRING.replace("auth SHA1", f"{item}auth SHA1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    peer_info: str
    cipher: str | None = "BF-CBC"
    agreed: DataCipher = DataCipher.AES_256_GCM
    format: DataFormat = DataFormat.V2
    exports: bool = False
    asks: bool = True
    """Has to ask for its options."""
    pushed: str


GENERATIONS = {
    "2.3 without a word": Generation(
        peer_info="",
        agreed=DataCipher.BF_CBC,
        format=DataFormat.V1,
        pushed=f"{COMMON},{ADDRESS}",
    ),
    "2.3 with another cipher": Generation(
        peer_info="IV_VER=2.3.18\nIV_PLAT=linux\nIV_PROTO=2\n",
        cipher="AES-256-CBC",
        agreed=DataCipher.AES_256_CBC,
        pushed=f"{COMMON},{ADDRESS},peer-id 5",
    ),
    "2.4": Generation(
        peer_info="IV_VER=2.4.12\nIV_PROTO=2\nIV_NCP=2\nIV_TCPNL=1\n",
        pushed=f"{COMMON},{ADDRESS},peer-id 5,cipher AES-256-GCM",
    ),
    "2.5": Generation(
        peer_info="IV_VER=2.5.9\nIV_PROTO=6\nIV_NCP=2\nIV_CIPHERS=AES-128-GCM\n",
        cipher=None,
        agreed=DataCipher.AES_128_GCM,
        asks=False,
        pushed=f"{COMMON},{ADDRESS},peer-id 5,cipher AES-128-GCM",
    ),
    "2.6 before its last bits": Generation(
        peer_info="IV_PROTO=14\nIV_CIPHERS=AES-256-GCM\n",
        cipher=None,
        exports=True,
        asks=False,
        pushed=f"{COMMON},{ADDRESS},peer-id 5,cipher AES-256-GCM,key-derivation tls-ekm",
    ),
    "2.6": Generation(
        peer_info="IV_PROTO=478\nIV_CIPHERS=AES-256-GCM\nIV_MTU=1600\n",
        cipher=None,
        exports=True,
        asks=False,
        pushed=f"{COMMON},{ADDRESS},peer-id 5,cipher AES-256-GCM,"
        "protocol-flags cc-exit tls-ekm,tun-mtu 1500",
    ),
    "2.7": Generation(
        peer_info="IV_PROTO=7582\nIV_CIPHERS=AES-256-GCM\nIV_MTU=1600\n",
        cipher=None,
        format=DataFormat.EPOCH,
        exports=True,
        asks=False,
        pushed=f"{COMMON},{ADDRESS},peer-id 5,cipher AES-256-GCM,"
        "protocol-flags cc-exit tls-ekm aead-epoch,tun-mtu 1500",
    ),
}


def client_of(
    generation: Generation,
    options: ServerOptions = OLD_FRIENDLY,
    transport: Transport = Transport.UDP,
) -> SimClient:
    text = string_with(generation.cipher)
    return SimClient(
        options,
        said=Said(options_string=text, peer_info=generation.peer_info),
        transport=transport,
    )


@pytest.mark.parametrize("transport", list(Transport))
@pytest.mark.parametrize("name", list(GENERATIONS))
def test_a_generation_is_served(name: str, transport: Transport) -> None:
    generation = GENERATIONS[name]
    client = client_of(generation, transport=transport)
    client.connect()
    if generation.asks:
        assert client.messages == []
        client.say("PUSH_REQUEST")
    assert client.messages == [generation.pushed]
    agreed = client.server.agreed
    assert agreed is not None
    assert agreed.agreement.cipher is generation.agreed
    assert agreed.agreement.format is generation.format
    assert (agreed.send_peer_id == UNDEFINED_PEER_ID) is (generation.format is DataFormat.V1)
    shape = agreed.agreement.key_shape
    ours = client.keys.sending
    theirs = client.exported_key(shape) if generation.exports else client.data_key(shape)
    assert ours is not None
    assert (ours.send, ours.receive) == (theirs.receive, theirs.send)


@pytest.mark.parametrize("name", list(GENERATIONS))
def test_a_generation_renegotiates(name: str) -> None:
    generation = GENERATIONS[name]
    client = client_of(generation)
    client.connect()
    client.soft_reset()
    client.introduce()
    agreed = client.server.agreed
    assert agreed is not None
    shape = agreed.agreement.key_shape
    theirs = client.exported_key(shape) if generation.exports else client.data_key(shape)
    assert theirs.send in [key.receive for key in client.keys.slots.values()]
    assert client.ended is None


def test_a_cipher_that_nobody_allows_is_refused() -> None:
    client = client_of(GENERATIONS["2.3 without a word"], server_options())
    client.connect()
    assert client.messages == [
        "AUTH_FAILED,Data channel cipher negotiation failed (no shared cipher)"
    ]


def test_a_client_that_names_no_cipher_gets_the_fallback() -> None:
    generation = replace(GENERATIONS["2.3 without a word"], cipher=None)
    options = server_options(data=DataOptions(data_ciphers_fallback="AES-256-CBC"))
    client = client_of(generation, options)
    client.connect()
    agreed = client.server.agreed
    assert agreed is not None
    assert agreed.agreement.cipher is DataCipher.AES_256_CBC
    refused = client_of(generation, server_options())
    refused.connect()
    assert refused.messages[0].startswith("AUTH_FAILED")


@pytest.mark.parametrize(
    ("peer_info", "pushed", "framing"),
    [
        ("IV_PROTO=6\nIV_NCP=2\nIV_COMP_STUBv2=1\n", "compress stub-v2", Framing.V2),
        ("IV_PROTO=6\nIV_NCP=2\n", "comp-lzo no", Framing.PREFIX),
    ],
)
def test_a_client_is_moved_off_its_compression(
    peer_info: str, pushed: str, framing: Framing
) -> None:
    client = SimClient(
        server_options(compress_migrate=True),
        said=Said(options_string=f"{PLAIN_STRING},comp-lzo", peer_info=peer_info),
    )
    client.connect()
    assert f",{pushed}," in client.messages[0]
    agreed = client.server.agreed
    assert agreed is not None
    assert agreed.payload.framing is framing
    talk = client.talks[-1]
    assert talk.server is not None
    assert "comp-lzo" in talk.server.options_string


def test_key_method_one_is_refused() -> None:
    client = SimClient()
    client.begin(Opcode.CONTROL_HARD_RESET_CLIENT_V1)
    assert client.machine is None
    assert client.listener.drops["opcode"] > 0


def test_a_push_blanks_the_token_alone() -> None:
    client = client_of(GENERATIONS["2.6"])
    client.connect()
    (push,) = client.told(PushSent)
    assert isinstance(push, PushSent)
    assert push.text == client.messages[0]
