"""Letting clients in: who is asked in which order, what each refusal does, what is left behind."""

import asyncio
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from ginnel.core.actions import CertificateInfo, Done, Failed
from ginnel.core.control_keys import ClientKeyClaim
from ginnel.core.pool import AddressPool
from ginnel.core.server_actions import (
    Admitted,
    AgreedClient,
    AnswerChallenge,
    ClientFacts,
    ClientTerms,
    ConnectClient,
    Refused,
    VerifyClientKey,
)
from ginnel.core.types import ActionId
from ginnel.dataclass import replace
from ginnel.dataplane.api import PeerStats
from ginnel.hooks import Allow, Authenticator, Decision, Deny, Login, Visitor
from ginnel.options.server_model import ServerOptions, TlsCryptV2Server
from ginnel.options.values import FileContent, Origin, Secret
from ginnel.shell.admission import Admission
from ginnel.shell.authenticators import Authenticators
from ginnel.shell.server_frontend import Allowed, Denied, UnattendedServer
from ginnel.shell.server_hooks import Departure, Pend
from tests.unit.shell.loops import run, until
from tests.unit.shell.server_scripts import (
    Answer,
    Call,
    FakeScripts,
    Said,
    agreed_client,
    client,
    login,
    server_options,
)
from tests.unit.shell.test_authenticators import Plain

SCRIPTS: dict[str, Any] = {
    "auth_user_pass_verify": ("/verify",),
    "client_connect": ("/connect",),
    "client_disconnect": ("/disconnect",),
    "learn_address": ("/learn",),
    "client_crresponse": ("/answer",),
}


class Board(UnattendedServer):
    """A management client with an opinion; it remembers what it hears."""

    hears_clients = True

    def __init__(self, verdict: Allowed | Denied | None = None) -> None:
        self.verdict = verdict
        self.heard: list[str] = []
        self.environments: list[Mapping[str, str]] = []

    async def judge(
        self, client: ClientFacts, environment: Mapping[str, str], pend: Pend, *, is_first: bool
    ) -> Allowed | Denied:
        self.environments.append(environment)
        assert self.verdict is not None
        return self.verdict

    def client_address(self, client_id: int, address: str, *, is_primary: bool) -> None:
        self.heard.append(f"address {address} {is_primary}")

    def client_established(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        self.heard.append("established")

    def client_answered(
        self, client: ClientFacts, response: str, environment: Mapping[str, str]
    ) -> None:
        self.heard.append(f"answered {response}")

    def client_gone(self, client: ClientFacts, environment: Mapping[str, str]) -> None:
        self.heard.append(f"gone {environment.get('bytes_sent')}")


class Silent(Plain):
    """Hears of addresses without failing."""

    async def address_learned(self, visitor: Visitor, address: str, *, added: bool) -> None:
        self.heard.append(f"{address} {added}")


class Rig:
    """An admission with stand-ins around it. Use it inside a running loop."""

    def __init__(
        self,
        folder: Path,
        *authenticators: Authenticator,
        board: Board | None = None,
        options: ServerOptions | None = None,
        plan: dict[str, Answer] | None = None,
        **access: Any,
    ) -> None:
        self.folder = folder
        self.scripts = FakeScripts(plan or {})
        self.said = Said()
        self.board = board or Board()
        access.setdefault("management_client_auth", self.board.verdict is not None)
        self.options = options or server_options(folder, **access)
        self.pool = AddressPool(self.options)
        named = [(f"a{number}", one) for number, one in enumerate(authenticators)]
        self.admission = Admission(
            self.options,
            pool=self.pool,
            runner=self.scripts,
            frontend=self.board,
            authenticators=Authenticators(named, self.said),
            say=self.said,
            base=lambda: {"dev": "tun0"},
        )

    async def authenticate(self, facts: ClientFacts) -> object:
        return await self.admission.authenticate(login(facts), lambda _seconds, _text: True)

    async def connect(self, facts: ClientFacts) -> object:
        return await self.admission.connect(ConnectClient(id=ActionId(2), client=facts))

    async def leave(self, facts: ClientFacts, agreed: AgreedClient | None = None) -> None:
        await self.admission.disconnected(
            Departure(
                facts=facts,
                agreed=agreed,
                counters=PeerStats(link_read_bytes=11, link_write_bytes=22),
                began=0.0,
                duration=3.7,
                reason="sigterm",
            )
        )


def test_a_whole_visit(tmp_path: Path) -> None:
    (tmp_path / "ada").write_text('iroute 10.20.0.0 255.255.0.0\npush "route 10.1.0.0"\n')
    shared = tmp_path / "tmp"
    shared.mkdir()

    def connect(call: Call) -> int:
        Path(call.words[0]).write_text('push "route 10.2.0.0"\n')
        return 0

    async def work() -> tuple[Rig, Silent]:
        one = Silent(Allow(options=('push "route 10.3.0.0"',)))
        board = Board(Allowed(config=('push "route 10.4.0.0"',)))
        access: dict[str, Any] = {
            "client_config_dir": str(tmp_path),
            "management_client_auth": True,
        }
        options = server_options(shared, **access, **SCRIPTS)
        made = Rig(shared, one, board=board, options=options, plan={"client-connect": connect})
        facts = client()
        assert await made.authenticate(facts) == Admitted()
        terms = await made.connect(facts)
        assert isinstance(terms, ClientTerms)
        assert terms.push[2:] == (
            *("route 10.1.0.0", "route 10.3.0.0", "route 10.2.0.0", "route 10.4.0.0"),
        )
        assert terms.ifconfig is not None
        assert terms.ifconfig[0] == ip_address("10.8.0.4")
        agreed = agreed_client(facts, terms)
        await made.admission.connected(agreed)
        await made.admission.moved(agreed)
        await made.leave(facts, agreed)
        return made, one

    made, one = run(work())
    assert [text.split(" /")[0] for text in made.scripts.ran] == [
        "user-pass-verify",
        "client-connect",
        "learn-address add 10.8.0.4 ada",
        "learn-address add 10.20.0.0/16 ada",
        "client-disconnect",
        "learn-address delete 10.8.0.4",
        "learn-address delete 10.20.0.0/16",
    ]
    assert made.board.heard == [
        "address 10.8.0.4 True",
        "address 10.20.0.0/16 False",
        "established",
        "gone 22",
    ]
    assert made.board.environments[0]["password"] == "secret word"
    assert one.heard == [
        "ada secret word True",
        "connected 1 10.8.0.4",
        *("10.8.0.4 True", "10.20.0.0/16 True", "10.8.0.4 False", "10.20.0.0/16 False"),
        "gone 11 22",
    ]
    connected = made.scripts.calls[1].environment
    assert connected["ifconfig_pool_remote_ip"] == "10.8.0.4"
    ended = made.scripts.calls[4].environment
    assert ended["bytes_received"] == "11"
    assert 0 <= int(ended["time_duration"]) < 60  # whole seconds, and a busy machine has many
    assert "password" not in ended
    assert made.scripts.calls[5].environment == {"script_type": "learn-address"}
    assert list(shared.iterdir()) == []
    assert not made.said.has("secret word")


def test_each_judge_can_refuse(tmp_path: Path) -> None:
    async def refusal(*authenticators: Authenticator, **changes: Any) -> object:
        made = Rig(tmp_path, *authenticators, **changes)
        result = await made.authenticate(client())
        await made.leave(client())
        return result

    async def work() -> None:
        failing: dict[str, Answer] = {"user-pass-verify": lambda _call: 1}
        script = {"auth_user_pass_verify": ("/verify",)}
        assert await refusal(plan=failing, **script) == Refused()
        assert await refusal(Plain(Deny(reason="no"))) == Refused(reason="no")
        denied = Denied(reason="for the log", client_reason="for the client")
        assert await refusal(board=Board(denied)) == Refused(reason="for the client")
        assert await refusal(board=Board(Denied(reason="x"))) == Refused()
        assert await refusal() == Admitted()

    run(work())


def test_an_authenticator_may_rename_a_client(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path, Plain(Allow(username="ada@example")))
        assert await made.authenticate(client()) == Admitted(username="ada@example")
        assert made.said.has("succeeded for username 'ada@example'")

    run(work())


def test_names_that_cannot_stand_for_a_common_name(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path, username_as_common_name=True)
        long = login(client(name=""), username="ä" * 33)
        assert await made.admission.authenticate(long, lambda _s, _t: True) == Refused()
        assert made.said.has("maximum permitted Common Name length of 64 characters")
        assert await made.authenticate(client(name="")) == Admitted()
        assert made.said.has("[CN SET]")

    run(work())


def test_control_characters_never_reach_a_script(tmp_path: Path) -> None:
    seen: list[str] = []

    def verify(call: Call) -> int:
        seen.append(call.read(0))
        return 0

    async def work() -> None:
        made = Rig(tmp_path, plan={"user-pass-verify": verify}, auth_user_pass_verify=("/v",))
        odd = login(client(), username="ada\nroot", password="a\rb\x7f")
        assert await made.admission.authenticate(odd, lambda _s, _t: True) == Admitted()

    run(work())
    assert seen == ["ada_root\na_b_\n"]


def test_a_late_verdict_on_an_earlier_session_gives_its_options_to_nobody(tmp_path: Path) -> None:
    class Slow(Plain):
        """Decides about the first login when it is told to."""

        async def authenticate(self, login: Login) -> Decision:
            if not waits.is_set():
                waits.set()
                await go_on.wait()
                return Allow(options=('push "route 10.66.0.0"',))
            return Allow(options=('push "route 10.3.0.0"',))

    waits, go_on = asyncio.Event(), asyncio.Event()

    async def work() -> object:
        made = Rig(tmp_path, Slow(Allow()))
        earlier, later = client(), replace(client(), key_number=1)
        async with asyncio.TaskGroup() as tasks:
            late = tasks.create_task(made.authenticate(earlier))
            await waits.wait()
            assert await made.authenticate(later) == Admitted()
            go_on.set()
            assert await late == Admitted()
        return await made.connect(later)

    terms = run(work())
    assert isinstance(terms, ClientTerms)
    assert terms.push[2:] == ("route 10.3.0.0",)


def test_exclusive_files_are_wanted_at_the_start_and_later(tmp_path: Path) -> None:
    access: dict[str, Any] = {"client_config_dir": str(tmp_path), "ccd_exclusive": True}

    async def work() -> None:
        made = Rig(tmp_path, **access)
        assert await made.connect(client()) == Refused()
        assert made.said.has("--client-config-dir authentication failed for common name 'ada'")
        later = login(client(), is_first=False)
        assert await made.admission.authenticate(later, lambda _s, _t: True) == Refused()
        (tmp_path / "ada").write_text("disable\n")
        assert await made.connect(client()) == Refused()
        assert made.said.has("rejected due to 'disable' directive")

    run(work())


def test_a_pool_without_addresses_ends_the_attempt(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path)
        for number, name in enumerate(("ada", "bob")):
            assert isinstance(await made.connect(client(number, name=name)), ClientTerms)
        assert isinstance(await made.connect(client(7, name="eve")), Failed)
        assert made.said.has("no free --ifconfig-pool addresses are available")
        await made.leave(client(0, name="ada"))
        assert isinstance(await made.connect(client(8, name="eve")), ClientTerms)

    run(work())


def test_a_fixed_address_frees_that_of_the_pool(tmp_path: Path) -> None:
    (tmp_path / "ada").write_text("ifconfig-push 10.8.0.99 255.255.255.0\n")

    async def work() -> None:
        made = Rig(tmp_path, client_config_dir=str(tmp_path))
        terms = await made.connect(client())
        assert isinstance(terms, ClientTerms)
        assert str(terms.ifconfig and terms.ifconfig[0]) == "10.8.0.99"
        for number, name in enumerate(("bob", "eve")):
            assert isinstance(await made.connect(client(5 + number, name=name)), ClientTerms)

    run(work())


def test_what_learn_address_refuses_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "ada").write_text("iroute 10.20.0.0 255.255.0.0\niroute 10.21.0.0 255.255.0.0\n")
    refused = {"10.20.0.0/16"}

    def learn(call: Call) -> int:
        return int(call.words[1] in refused)

    async def work() -> None:
        made = Rig(
            tmp_path,
            plan={"learn-address": learn},
            client_config_dir=str(tmp_path),
            learn_address=("/l",),
        )
        terms = await made.connect(client())
        assert isinstance(terms, ClientTerms)
        assert [str(network) for network in terms.config.iroutes] == ["10.21.0.0/16"]
        refused.add("10.8.0.5")
        (tmp_path / "ada").unlink()
        assert isinstance(await made.connect(client(2, name="bob")), Failed)
        assert made.said.has("learn-address refused 10.8.0.5")

    run(work())


def test_a_client_that_was_greeted_is_seen_off_however_early_it_goes(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path, plan={"learn-address": lambda _call: 1}, **SCRIPTS)
        assert isinstance(await made.connect(client()), Failed)
        await made.leave(client())
        assert "client-disconnect" in made.scripts.ran
        made.scripts.plan["client-connect"] = lambda _call: 1
        made.scripts.calls.clear()
        assert await made.connect(client(2)) == Refused()
        await made.leave(client(2))
        assert "client-disconnect" not in made.scripts.ran

    run(work())


def test_who_comes_again_waits_for_the_scripts_of_the_earlier_end(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path, **SCRIPTS)
        first, second = client(1), client(2)
        terms = await made.connect(first)
        assert isinstance(terms, ClientTerms)
        made.scripts.calls.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(made.leave(first, agreed_client(first, terms)))
            again = tasks.create_task(made.connect(second))
        assert [text.split(" /")[0] for text in made.scripts.ran] == [
            "client-disconnect",
            "learn-address delete 10.8.0.4",
            "client-connect",
            "learn-address add 10.8.0.4 ada",
        ]
        renewed = again.result()
        assert isinstance(renewed, ClientTerms)
        assert renewed.ifconfig == terms.ifconfig

    run(work())


def test_certificates_are_shown_top_first_until_one_is_refused(tmp_path: Path) -> None:
    chain = (
        CertificateInfo(depth=1, subject="CN=ca", der=b"root"),
        CertificateInfo(depth=0, subject="CN=ada", der=b"leaf"),
    )
    exports = tmp_path / "exports"
    exports.mkdir()

    def verify(call: Call) -> int:
        assert Path(call.environment["peer_cert"]).exists()
        return int(call.words[0] == "0")

    async def work() -> None:
        options = server_options(tmp_path)
        tls = replace(options.tls, tls_verify=("/verify",), tls_export_cert=str(exports))
        made = Rig(tmp_path, options=replace(options, tls=tls), plan={"tls-verify": verify})
        result = await made.admission.verify_certificates(client(), chain)
        assert isinstance(result, Failed)
        assert made.scripts.ran == ["tls-verify 1 CN=ca", "tls-verify 0 CN=ada"]
        assert "tls_id_0" not in made.scripts.calls[0].environment
        assert made.said.has("VERIFY SCRIPT OK: depth=1, CN=ca")
        assert made.said.has("VERIFY SCRIPT ERROR: depth=0, CN=ada")
        exports.rmdir()
        assert isinstance(await made.admission.verify_certificates(client(), chain), Failed)
        plain = Rig(tmp_path)
        assert await plain.admission.verify_certificates(client(), chain) == Done()

    run(work())
    assert not exports.exists()


@pytest.mark.parametrize("status", [0, 1])
def test_a_client_key_is_judged_by_its_metadata(tmp_path: Path, status: int) -> None:
    def verify(call: Call) -> int:
        path = Path(call.environment["metadata_file"])
        assert path.read_bytes() == b"meta"
        assert path.name.startswith("openvpn_tls_crypt_v2_metadata__")
        assert set(call.environment) == {"metadata_file", "metadata_type", "script_type"}
        return status

    async def work() -> None:
        key = FileContent(
            option="tls-crypt-v2", origin=Origin("c", 1), path="k", content=Secret(b"")
        )
        v2 = TlsCryptV2Server(key=key, verify=("/verify",))
        options = replace(server_options(tmp_path), crypt_v2=v2)
        made = Rig(tmp_path, options=options, plan={"tls-crypt-v2-verify": verify})
        claim = ClientKeyClaim(metadata_type=0, metadata=b"meta")
        action = VerifyClientKey(id=ActionId(1), client=client(), claim=claim)
        result = await made.admission.verify_client_key(action)
        assert isinstance(result, Failed if status else Done)
        assert made.said.has("TLS CRYPT V2 VERIFY SCRIPT " + ("ERROR" if status else "OK"))
        bare = Rig(tmp_path)
        assert await bare.admission.verify_client_key(action) == Done()

    run(work())


def test_answers_go_to_script_and_management_client(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path, client_crresponse=("/answer",))
        action = AnswerChallenge(id=ActionId(3), client=client(), response="eHg=")
        assert isinstance(await made.admission.answer_challenge(action), Failed)
        await made.authenticate(client())
        assert await made.admission.answer_challenge(action) == Done()
        assert made.board.heard == ["answered eHg="]
        assert made.scripts.ran[0].startswith("client-crresponse ")
        made.scripts.plan["client-crresponse"] = lambda _call: 1
        assert isinstance(await made.admission.answer_challenge(action), Failed)

    run(work())


def test_addresses_of_frames_are_learnt_and_forgotten(tmp_path: Path) -> None:
    mac = "02:00:5e:00:53:01"

    async def work() -> None:
        made = Rig(tmp_path, learn_address=("/learn",))
        facts = client()
        terms = await made.connect(facts)
        assert isinstance(terms, ClientTerms)
        agreed = agreed_client(facts, terms)
        made.scripts.calls.clear()
        await made.admission.learnt(agreed, mac, added=True)
        await made.admission.learnt(agreed, mac, added=False)
        await made.admission.learnt(agreed, mac, added=True)
        await made.leave(facts, agreed)
        assert made.scripts.ran == [
            f"learn-address add {mac} ada",
            f"learn-address delete {mac}",
            f"learn-address add {mac} ada",
            "learn-address delete 10.8.0.4",
            f"learn-address delete {mac}",
        ]
        made.scripts.calls.clear()
        await made.admission.learnt(agreed, mac, added=True)
        await made.admission.connected(agreed)
        await made.leave(facts, agreed)
        assert made.scripts.calls == []

    run(work())


def test_a_hanging_script_holds_up_nobody_else(tmp_path: Path) -> None:
    async def work() -> None:
        made = Rig(tmp_path, auth_user_pass_verify=("/verify",))
        made.scripts.hanging.add("user-pass-verify")
        loop = asyncio.get_running_loop()
        stuck = loop.create_task(made.authenticate(client(1)))
        await until(lambda: made.scripts.calls, "the script")
        made.scripts.hanging.clear()
        assert await made.authenticate(client(2)) == Admitted()
        stuck.cancel()
        await asyncio.gather(stuck, return_exceptions=True)
        assert list(tmp_path.iterdir()) == []

    run(work())
