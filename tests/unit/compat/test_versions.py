"""The version texts keep the shape that programs parse."""

import re
import subprocess

from ginnel import __version__
from ginnel.compat.versions import OPENVPN_RELEASE, library_versions, title, version_text


def test_title_begins_as_tools_parse_it_and_names_ginnel() -> None:
    # NetworkManager's plugin reads two numbers behind "OpenVPN ".
    found = re.match(r"OpenVPN (\d+)\.(\d+)\.(\d+) \S+ \[SSL \(OpenSSL\)\]", title())
    assert found is not None
    assert f"[ginnel {__version__}]" in title()
    assert ".".join(found.groups()) == OPENVPN_RELEASE


def test_title_has_the_shape_of_the_real_one() -> None:
    real = subprocess.run(["openvpn", "--version"], capture_output=True, text=True, check=False)
    first, second = real.stdout.splitlines()[:2]
    shape = r"OpenVPN 2\.\d+\.\d+ \S+-linux-gnu( \[[^]]+\])+"
    assert re.fullmatch(shape, first)
    assert re.fullmatch(shape, title())
    # The platform word, for the same machine.
    assert first.split()[2] == title().split()[2]
    assert second.startswith("library versions: OpenSSL ")
    assert library_versions().startswith("library versions: OpenSSL ")


def test_version_text_begins_with_title_and_libraries() -> None:
    assert version_text()[:2] == (title(), library_versions())
    assert all(line == line.strip() and line for line in version_text())
