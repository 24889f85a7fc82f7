"""The wheel's library as a context: what it refuses is a plain answer, not an exception."""

import pytest

from ginnel.core.signing import OutsideKey
from ginnel.core.tls_wheel import WheelLibrary
from tests.sim.pki import issue, make_ca
from tests.unit.core.outside_keys import InlineStacks


def test_unknown_names_are_refused_and_leave_no_error_behind() -> None:
    library = WheelLibrary()
    assert not library.set_ciphers("NONSENSE")
    assert not library.set_suites("NONSENSE")
    assert not library.set_groups("nonsense")
    assert library.set_groups("X25519:secp384r1")
    assert library.set_suites("TLS_AES_256_GCM_SHA384")
    assert library.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    assert {"TLS_AES_256_GCM_SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"} <= set(
        library.cipher_names()
    )


def test_a_key_outside_is_not_for_this_library() -> None:
    outside = OutsideKey(stacks=InlineStacks(lambda _request: None), option="x")
    with pytest.raises(AssertionError):
        WheelLibrary().identify(issue(make_ca(), "x").der(), outside, ())
