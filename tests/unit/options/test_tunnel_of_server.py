"""What a server's tunnel is planned from."""

from ginnel.options.tunnel_of_server import tunnel_options
from tests.unit.options.memory_files import NET, serve


def test_host_and_process_are_the_servers() -> None:
    options = serve(*NET, "--route", "10.9.0.0", "255.255.255.0", "--verb", "5").options
    tunnel = tunnel_options(options)
    assert not tunnel.pull
    assert tunnel.tun == options.tun
    assert tunnel.routes == options.routes
    assert tunnel.process.verb == 5
    assert tunnel.profiles == (options.profile,)
    assert tunnel.login.auth_user_pass is False
