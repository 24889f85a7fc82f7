"""The provider: keys that say what they are, and never sign by themselves."""

from ginnel.core.libssl_provider import outside_provider
from tests.sim.pki import make_ca
from tests.unit.core.outside_keys import MAKERS, certify, outside_options
from tests.unit.core.test_libssl_context import build

CA = make_ca()


def test_there_is_one_for_the_process() -> None:
    assert outside_provider() is outside_provider()


def test_keys_are_forgotten_with_their_context() -> None:
    provider = outside_provider()
    before = set(provider.keys)
    context = build(outside_options(CA, certify(MAKERS["p256"](), CA)))
    (made,) = set(provider.keys) - before
    del context
    assert made not in provider.keys


def test_an_unknown_kind_makes_no_key() -> None:
    provider = outside_provider()
    before = dict(provider.keys)
    assert provider.make_key(0, b"DSA") == 0
    provider.lib.ERR_clear_error()
    assert provider.keys == before
