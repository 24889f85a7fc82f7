"""Lines about letting clients in: OpenVPN's words, and nothing of a client that breaks a line."""

from ginnel.compat import admission_lines as lines


def test_words_are_those_of_openvpn() -> None:
    assert lines.password_accepted("ada", names_client=True).text == (
        "TLS: Username/Password authentication succeeded for username 'ada' [CN SET]"
    )
    assert lines.password_accepted("ada", names_client=False).text.endswith("username 'ada' ")
    assert lines.key_judged(accepted=True).text == "TLS CRYPT V2 VERIFY SCRIPT OK"
    assert lines.pool_answered("10.8.0.4", "(Not enabled)").text == (
        "MULTI_sva: pool returned IPv4=10.8.0.4, IPv6=(Not enabled)"
    )
    assert lines.reading_options("ccd/ada").text == (
        "OPTIONS IMPORT: reading client specific options from: ccd/ada"
    )


def test_what_clients_send_stays_on_its_line() -> None:
    for line in (
        lines.password_accepted("a\nb", names_client=False),
        lines.refused_by("htpasswd", "a\nb"),
        lines.no_own_file("a\nb", "ccd/a\nb"),
        lines.bad_pending_file("a\nb"),
        lines.method_unknown("a\nb"),
        lines.no_address("a\nb"),
        lines.outside_constraint("a\nb", "10.8.0.9", "10.8.0.0/24"),
        lines.option_problem("a\nb"),
        lines.address_refused("a\nb"),
    ):
        assert line.text.isprintable()
