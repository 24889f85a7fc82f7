"""Certificates and keys that change while the server runs."""

import asyncio
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from ginnel.core.errors import ConfigError
from ginnel.options.model import TlsOptions
from ginnel.options.values import FileContent, Secret
from ginnel.shell import tls_files
from ginnel.shell.tls_files import LOOK, SETTLED, TlsFiles
from tests.unit.shell.loops import Lines, run, until
from tests.unit.shell.server_stand_ins import ORIGIN, Clock


@dataclass
class Context:
    """A context that makes channels named after what it was built from."""

    name: str
    warnings: tuple[str, ...] = ()

    def channel(self) -> str:
        return self.name


@dataclass
class Rig:
    folder: Path
    lines: Lines = field(default_factory=Lines)
    clock: Clock = field(default_factory=Clock)
    built: int = 0

    def __post_init__(self) -> None:
        self.cert, self.key = self.folder / "cert.pem", self.folder / "key.pem"
        self.cert.write_text("cert 1")
        self.key.write_text("key 1")
        options = TlsOptions(
            cert=self.content("cert", self.cert),
            key=self.content("key", self.key),
            ca=FileContent(option="ca", origin=ORIGIN, path=None, content=Secret(b"inline")),
        )
        self.files = TlsFiles(
            options,
            self.build(options),  # type: ignore[arg-type]
            build=self.build,  # type: ignore[arg-type]
            log=self.lines,
            clock=self.clock,
        )

    @staticmethod
    def content(option: str, path: Path) -> FileContent:
        return FileContent(
            option=option, origin=ORIGIN, path=str(path), content=Secret(path.read_bytes())
        )

    def build(self, options: TlsOptions) -> Context:
        self.built += 1
        assert options.cert is not None
        assert options.key is not None
        cert, key = options.cert.content.reveal(), options.key.content.reveal()
        if cert.split()[1] != key.split()[1]:
            raise ConfigError("the key does not fit the certificate", option="key")
        return Context(cert.decode(), ("it expires soon",) if b"3" in cert else ())

    def change(self, path: Path, text: str) -> None:
        """A change that shows, whatever the clock of the file system is."""
        path.write_text(text)
        os.utime(path, ns=(0, int(self.clock.now * 1e9) + len(text)))

    def later(self, seconds: float) -> str:
        self.clock.now += seconds
        self.files.look()
        return str(self.files.channel())


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def test_new_files_serve_the_next_negotiation_once_they_are_settled(rig: Rig) -> None:
    assert rig.later(0) == "cert 1"
    rig.change(rig.cert, "cert 22")
    assert rig.later(LOOK) == "cert 1"
    rig.change(rig.key, "key 22")
    assert rig.later(LOOK) == "cert 1", "the key came just now"
    assert rig.later(SETTLED + LOOK) == "cert 22"
    assert rig.lines.has("certificates were read again")
    assert rig.built == 2
    assert rig.later(60) == "cert 22"
    assert rig.built == 2


def test_files_that_are_no_good_are_said_once_and_the_old_ones_stay(rig: Rig) -> None:
    rig.change(rig.cert, "cert 22")
    for _ in range(5):
        assert rig.later(SETTLED + LOOK) == "cert 1"
    text = "WARNING: new certificates are not used: the key does not fit the certificate"
    assert rig.lines.texts == [text]
    rig.change(rig.key, "key 22")
    rig.later(LOOK)
    assert rig.later(SETTLED + LOOK) == "cert 22"


def test_who_knows_that_a_file_is_complete_has_it_taken_at_once(rig: Rig) -> None:
    assert rig.files.take_changes()
    assert rig.built == 1
    rig.change(rig.cert, "cert 22")
    assert not rig.files.take_changes()
    rig.change(rig.key, "key 22")
    assert rig.files.take_changes()
    assert rig.later(0) == "cert 22"


def test_a_file_that_is_gone_is_named(rig: Rig) -> None:
    rig.key.unlink()
    rig.later(LOOK)
    assert rig.later(SETTLED + LOOK) == "cert 1"
    assert rig.lines.has(f"new certificates are not used: {rig.key}: No such file or directory")


def test_files_out_of_reach_after_the_rights_are_dropped_are_named_once(rig: Rig) -> None:
    rig.folder.chmod(0o700)
    try:
        os.seteuid(65534)
        assert rig.later(1.0) == rig.later(1.0 + SETTLED) == "cert 1"
    finally:
        os.seteuid(0)
    assert [line for line in rig.lines.texts if "restart" in line] == [
        f"WARNING: {rig.cert}, {rig.key}: this user may not look there, so that changes are not "
        "noticed before a restart; put the files where the user and group of the configuration "
        "can read them"
    ]


def test_warnings_about_new_files_are_said(rig: Rig) -> None:
    rig.change(rig.cert, "cert 333")
    rig.change(rig.key, "key 333")
    rig.later(LOOK)
    rig.later(SETTLED + LOOK)
    assert rig.lines.texts[0] == "WARNING: it expires soon"


def test_files_are_looked_at_without_a_negotiation(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_files, "LOOK", 0.001)
    monkeypatch.setattr(tls_files, "SETTLED", 0.0)

    async def whole() -> None:
        keeping = asyncio.ensure_future(rig.files.keep())
        rig.change(rig.cert, "cert 22")
        rig.change(rig.key, "key 22")
        await until(lambda: str(rig.files.channel()) == "cert 22", "the new certificate")
        keeping.cancel()

    run(whole())


def test_options_without_files_are_fine(rig: Rig) -> None:
    options = TlsOptions()
    context = Context("fixed")
    files = TlsFiles(options, context, build=rig.build, log=rig.lines, clock=rig.clock)  # type: ignore[arg-type]
    run(files.keep())
    assert files.channel() == "fixed"  # type: ignore[comparison-overlap]
    assert replace(options) == options
