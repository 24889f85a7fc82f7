"""Records, their lines and the flags of log lines."""

from ginnel.compat.log_lines import Category, LogLine, Severity
from ginnel.management.commands import HistoryKind
from ginnel.management.state import (
    MAX_TEXT,
    MAX_VARIABLE,
    EchoRecord,
    Histories,
    LogRecord,
    RecordHistory,
    StateRecord,
    clean_variable,
    log_flags,
)


def test_a_state_with_everything() -> None:
    record = StateRecord(
        when=7,
        name="CONNECTED",
        detail="SUCCESS",
        tun_ip4="10.8.0.2",
        remote_ip="192.0.2.1",
        remote_port="1194",
        local_ip="192.0.2.10",
        local_port="5000",
        tun_ip6="fd00::2",
    )
    assert record.render() == (
        "7,CONNECTED,SUCCESS,10.8.0.2,192.0.2.1,1194,192.0.2.10,5000,fd00::2"
    )


def test_a_detail_cannot_shift_the_fields() -> None:
    record = StateRecord(when=7, name="EXITING", detail="a,b\r\n>HOLD:x")
    assert record.render() == "7,EXITING,a b??>HOLD:x,,,,,"


def test_log_and_echo_are_one_line_and_bounded() -> None:
    assert LogRecord(when=1, flags="W", text="a\nb").render() == "1,W,a?b"
    assert EchoRecord(when=1, text="a\r\n>FATAL:b").render() == "1,a??>FATAL:b"
    assert len(LogRecord(when=1, flags="", text="x" * 9999).render()) == MAX_TEXT + len("1,,")


def test_flags_are_openvpns() -> None:
    """As recorded: `I` for plain lines of verb 1, none for detail, `D` for the interface's own."""
    assert log_flags(LogLine(text="UDPv4 link remote: x")) == "I"
    assert log_flags(LogLine(text="x", verb=3, category=Category.SOCKET_BUFFERS)) == ""
    assert log_flags(LogLine(text="x", verb=0, severity=Severity.WARNING)) == "W"
    assert log_flags(LogLine(text="x", severity=Severity.ERROR)) == "N"
    assert log_flags(LogLine(text="x", verb=0, severity=Severity.FATAL)) == "F"
    assert log_flags(LogLine(text="MANAGEMENT: CMD 'pid'", verb=3)) == "D"
    assert log_flags(LogLine(text="x", verb=9)) == "D"


def test_a_history_keeps_the_newest() -> None:
    history: RecordHistory[EchoRecord] = RecordHistory(3)
    for number in range(5):
        history.add(EchoRecord(when=number, text="x"))
    assert [record.when for record in history.newest(-1)] == [2, 3, 4]
    assert [record.when for record in history.newest(2)] == [3, 4]
    assert [record.when for record in history.newest(99)] == [2, 3, 4]
    assert list(history.newest(0)) == []


def test_each_command_shows_its_own_history() -> None:
    histories = Histories(2)
    histories.states.add(StateRecord(when=1, name="WAIT"))
    histories.echoes.add(EchoRecord(when=2, text="hello"))
    for number in range(3):
        histories.logs.add(LogRecord(when=number, flags="", text="line"))
    assert list(histories.newest(HistoryKind.STATE, -1)) == ["1,WAIT,,,,,,"]
    assert list(histories.newest(HistoryKind.ECHO, -1)) == ["2,hello"]
    assert list(histories.newest(HistoryKind.LOG, -1)) == ["1,,line", "2,,line"]


def test_variables_keep_passwords_of_any_language() -> None:
    password = "p\u00e4ss\u00a0w\u00f6rd \u6771\u4eac"
    assert clean_variable("password", password) == f"password={password}"
    raw = b"caf\xe9".decode("utf-8", "surrogateescape")
    assert clean_variable("password", raw).encode("utf-8", "surrogateescape") == b"password=caf\xe9"
    assert clean_variable("na\nme", "a\r\n\x00\x7f\tb") == "name=ab"
    assert len(clean_variable("x", "y" * 100_000)) == MAX_VARIABLE
