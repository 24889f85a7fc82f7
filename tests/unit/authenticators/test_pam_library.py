"""The binding to libpam, against the system's: there is no such user."""

from ginnel.authenticators.pam_library import check_login


def test_a_user_who_does_not_exist_is_refused() -> None:
    # Every system has the service "other"; without one, PAM refuses everybody as well.
    reason = check_login("ginnel-no-such-service", b"ginnel-nobody", b"secret word", b"192.0.2.10")
    assert reason
    assert "secret word" not in reason
