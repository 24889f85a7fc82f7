"""What is said inside TLS, step by step; with loss and real TLS it is in ``sim``."""

from dataclasses import replace

from ginnel.core.actions import Action, ActionResult, Done, Failed, VerifyCertificates
from ginnel.core.notices import CertificateRejected, ManagementState, StateEntered, Warned
from ginnel.options.model import TlsOptions
from tests.sim.pair import SimPair, client_options, profile
from tests.sim.server import OPTIONS, ServerScript


def test_nothing_is_said_before_the_hook_answers() -> None:
    def answer(action: Action) -> ActionResult | None:
        return None if isinstance(action, VerifyCertificates) else Done()

    options = replace(client_options(profile()), tls=TlsOptions(tls_verify=("/bin/check",)))
    pair = SimPair(options=options, answer=answer)
    pair.start()
    pair.until(lambda: len(pair.actions) == 1, within=5.0)
    pair.advance(1.0)
    assert pair.server.logins == []
    pair.complete(pair.actions[0], Done())
    pair.until(lambda: pair.is_connected, within=5.0)
    assert len(pair.server.logins) == 1


def test_hook_that_refuses_fails_the_negotiation() -> None:
    def answer(action: Action) -> ActionResult:
        refuses = isinstance(action, VerifyCertificates)
        return Failed(reason="exit status 1") if refuses else Done()

    options = replace(client_options(profile()), tls=TlsOptions(tls_verify=("/bin/check",)))
    pair = SimPair(options=options, answer=answer)
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert pair.told(CertificateRejected)
    assert pair.server.logins == []


def test_nonsense_in_place_of_the_key_exchange_is_named() -> None:
    pair = SimPair(script=ServerScript(garble_key_method=True))
    pair.start()
    pair.until(lambda: pair.ended is not None, within=5.0)
    assert any("nonsense inside TLS" in str(warned) for warned in pair.told(Warned))


def test_options_that_differ_are_told_once_and_the_push_is_awaited() -> None:
    pair = SimPair(script=ServerScript(options=OPTIONS.replace("dev-type tun", "dev-type tap")))
    pair.connect()
    assert sum("dev-type" in str(warned) for warned in pair.told(Warned)) == 1
    assert StateEntered(state=ManagementState.GET_CONFIG) in pair.notices
