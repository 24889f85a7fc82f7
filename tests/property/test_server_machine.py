"""Every state of a server's machine times every input: nothing raises, and nothing is unbounded."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ginnel.core import events
from ginnel.core.actions import Done, Failed
from ginnel.core.server import ServerMachine
from ginnel.core.server_actions import (
    Admitted,
    Authenticate,
    ConnectClient,
    Refused,
    ServerAction,
    ServerActionResult,
    VerifyClientKey,
)
from ginnel.core.types import KeyId, Transport
from ginnel.core.wire import ControlBody, Opcode
from tests.sim.client import Said, SimClient, usual
from tests.sim.duo import CLIENT, server_options, terms
from tests.unit.core.test_server_login import PASSWORDS

OPTIONS = server_options(access=PASSWORDS)
RESULTS: tuple[ServerActionResult, ...] = (
    Done(),
    Failed(reason="failed"),
    Admitted(),
    Refused(reason="refused"),
    terms(OPTIONS),
)
EVENTS: tuple[events.DataPlaneEvent, ...] = (
    events.PeerHeard(),
    events.PeerSilent(),
    events.Inactive(),
    events.KeyExhausted(key_id=KeyId(0)),
    events.KeyExhausted(key_id=KeyId(5)),
    events.OccReceived(payload=b""),
    events.OccReceived(payload=bytes(17)),
    events.LinkLost(errno=0),
    events.TunLost(errno=5),
    events.DecryptFailed(),
    events.Floated(remote=CLIENT),
    events.FramingMismatch(first=0xFA),
)
TEXTS = ("PUSH_REQUEST", "EXIT", "CR_RESPONSE,YQ==", "INFO,x", "PUSH_REPLY", "nothing", "RESTART")

STEPS = st.one_of(
    st.tuples(st.just("begin"), st.sampled_from(sorted(Opcode))),
    st.tuples(st.just("introduce"), st.booleans()),
    st.tuples(st.just("say"), st.sampled_from(TEXTS)),
    st.tuples(st.just("write"), st.binary(min_size=1, max_size=300)),
    st.tuples(st.just("soft reset"), st.none()),
    st.tuples(st.just("advance"), st.sampled_from((1.0, 5.0, 61.0))),
    st.tuples(st.just("answer"), st.tuples(st.integers(0, 9), st.sampled_from(RESULTS))),
    st.tuples(st.just("event"), st.sampled_from(EVENTS)),
    st.tuples(st.just("packet"), st.binary(max_size=100)),
    st.tuples(st.just("forged"), st.tuples(st.sampled_from(sorted(Opcode)), st.integers(0, 7))),
    st.tuples(st.just("deed"), st.integers(0, 6)),
)


def later(action: ServerAction) -> ServerActionResult | None:
    """Leaves the questions open that tests answer, in whatever way."""
    if isinstance(action, Authenticate | ConnectClient | VerifyClientKey):
        return None
    return usual(action, OPTIONS)


def deed(machine: ServerMachine, number: int, client: SimClient) -> None:
    match number:
        case 0:
            machine.refuse("no", client.now)
        case 1:
            machine.restart_client("RESTART", client.now)
        case 2:
            machine.pend(10, "WEB_AUTH::x", client.now)
        case 3:
            machine.say("INFO,x", client.now)
        case 4:
            machine.update(["route 10.0.0.0"], client.now)
        case 5:
            machine.report_traffic(1 << 40, 1 << 30, client.now)
        case _:
            machine.close("closed", client.now)


def step(client: SimClient, kind: str, detail: object) -> None:
    machine = client.machine
    match kind, detail:
        case "begin", Opcode() as opcode:
            client.begin(opcode)
        case "introduce", bool():
            if client.talks and client.talks[-1].tls.established:
                client.introduce()
        case "say", str() as text:
            if client.talks and client.talks[-1].tls.established:
                client.say(text)
        case "write", bytes() as record:
            if client.talks and client.talks[-1].tls.established:
                client.write(record)
        case "soft reset", None:
            if client.talks:
                client.soft_reset()
        case "advance", float() as seconds:
            client.advance(seconds)
        case "packet", bytes() as packet:
            client.send(packet)
        case "forged", (Opcode() as opcode, int() as key_id):
            client.send(client.packet(opcode, ControlBody((), None, 0, b"x"), key_id))
        case "answer", (int() as back, result) if machine is not None and client.actions:
            action = client.actions[-1 - back % len(client.actions)]
            machine.complete(action.id, result, client.now)  # type: ignore[arg-type]  # of RESULTS
            client.run()
        case "event", event if machine is not None:
            machine.handle_data_plane(event, client.now)  # type: ignore[arg-type]  # of EVENTS
            client.run()
        case "deed", int() as number if machine is not None:
            deed(machine, number, client)
            client.run()
        case _:
            pass


@settings(max_examples=150)
@given(st.sampled_from(list(Transport)), st.booleans(), st.booleans(), st.lists(STEPS, max_size=14))
def test_nothing_raises(
    transport: Transport, prompt: bool, connected: bool, steps: list[tuple[str, object]]
) -> None:
    client = SimClient(
        OPTIONS,
        said=Said(username="user", password=b"x"),
        transport=transport,
        answer=(lambda action: usual(action, OPTIONS)) if prompt else later,
    )
    if connected:
        client.connect()
    for kind, detail in steps:
        step(client, kind, detail)
    if client.machine is not None:
        assert len(client.machine.drops) < 25
    client.advance(61.0)
