"""What the host sets up for a server, in the terms of a client: device, addresses, routes."""

from ginnel.options.model import ClientOptions
from ginnel.options.server_model import ServerOptions


def tunnel_options(options: ServerOptions) -> ClientOptions:
    """The options that a tunnel is planned from: as of a peer that pulls nothing."""
    return ClientOptions(
        profiles=(options.profile,),
        pull=False,
        link=options.link,
        tls=options.tls,
        data=options.data,
        tun=options.tun,
        routes=options.routes,
        dns=options.dns,
        scripts=options.scripts,
        process=options.process,
        management=options.management,
        echo=options.echo,
    )
