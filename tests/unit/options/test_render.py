"""Help and reference, rendered from the rows."""

from ginnel.options.render import render_help, render_reference
from ginnel.options.table import Support, all_rows


def test_help_begins_with_the_version_it_was_given() -> None:
    assert render_help("OpenVPN 2.6.0").splitlines()[0] == "OpenVPN 2.6.0"
    assert render_help().splitlines()[0] == "Link options:"


def test_help_shows_what_works() -> None:
    text = render_help()
    for row in all_rows().values():
        if row.support is Support.SUPPORTED and not row.pushed_only:
            assert f"--{row.name}" in text


def test_help_text_fits_the_screen() -> None:
    prose = [line for line in render_help().splitlines() if not line.startswith("--")]
    assert max(len(line) for line in prose) <= 80


def test_the_reference_has_every_option_once() -> None:
    lines = render_reference().splitlines()
    names = [line.split("`")[1].split(" ")[0] for line in lines if line.startswith("| `")]
    assert sorted(names) == sorted(all_rows())


def test_tables_have_seven_columns_in_every_row() -> None:
    for line in render_reference().splitlines():
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") == 8


def test_the_reference_tells_which_forms_are_not_supported_yet() -> None:
    row = next(line for line in render_reference().splitlines() if line.startswith("| `dev-node"))
    assert "| supported |" in row
    assert "Not supported yet: `unix:` paths" in row
