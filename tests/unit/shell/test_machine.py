"""Which machine a profile gets."""

from dataclasses import replace
from ipaddress import ip_address

from ginnel.core.client import ClientMachine
from ginnel.core.peer_info import LocalFacts
from ginnel.core.static_peer import StaticPeerMachine
from ginnel.core.types import Endpoint, Side
from ginnel.core.wrap.api import library_siv
from ginnel.options.model import ClientOptions
from ginnel.shell.machine import Machine, make_machine
from tests.sim.fake_tls import FakeTls
from tests.sim.pair import CAPABILITIES, STATIC_KEY, client_options, profile


def made(options: ClientOptions) -> Machine:
    return make_machine(
        options,
        profile=options.profiles[0],
        remote=Endpoint(ip_address("192.0.2.1"), 1194),
        tls=lambda: FakeTls(Side.CLIENT, 1),
        capabilities=CAPABILITIES,
        facts=LocalFacts(version="2.6.14"),
        credentials=None,
        token=None,
        siv=library_siv,
    )


def test_a_static_key_needs_no_tls() -> None:
    options = client_options(profile())
    assert isinstance(made(options), ClientMachine)
    static = replace(options, data=replace(options.data, static_key=STATIC_KEY), pull=False)
    assert isinstance(made(static), StaticPeerMachine)
