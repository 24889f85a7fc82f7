"""Tells the data plane about a client: its addresses, the networks behind it, its limits."""

from collections.abc import Sequence
from ipaddress import ip_network

from ginnel.compat import server_lines
from ginnel.compat.log_lines import LogLine
from ginnel.core.server_actions import AgreedClient
from ginnel.core.types import Transport
from ginnel.dataplane.api import DataPlane, Keepalive, PeerConfig
from ginnel.options.model import DeviceType
from ginnel.options.server_model import ServerOptions
from ginnel.shell.clients import Client, addresses_of, iroutes_of


def add_peer(
    data_plane: DataPlane, client: Client, agreed: AgreedClient, options: ServerOptions
) -> Sequence[LogLine]:
    """Adds the client's peer; returns what to log about its addresses. Raises DataPlaneError."""
    config = agreed.terms.config
    limit = config.max_routes_per_client or options.limits.max_routes_per_client
    peer = PeerConfig(
        peer_id=client.peer_id,
        send_peer_id=agreed.send_peer_id,
        remote=client.remote if client.transport is Transport.UDP else None,
        allow_float=agreed.allow_float,
        mss_ipv4=agreed.mss_ipv4,
        mss_ipv6=agreed.mss_ipv6,
        replay_window=options.data.replay_window,
        replay_time=options.data.replay_time,
        drop_recursive=not options.routes.allow_recursive_routing,
        payload=agreed.payload,
        link=client.link,
        local=client.local,
        max_learned=limit,
        vlan=config.vlan_pvid or (options.vlan.pvid if options.vlan is not None else 1),
    )
    data_plane.new_peer(peer)
    if options.tun.dev_type is DeviceType.TUN:
        lines = _add_routes(data_plane, client, agreed, limit)
    else:  # who is where is learnt from the frames
        lines = [server_lines.iroutes_useless(client.name)] if iroutes_of(agreed) else []
    data_plane.set_peer(client.peer_id, keepalive_of(agreed))
    return lines


def _add_routes(
    data_plane: DataPlane, client: Client, agreed: AgreedClient, limit: int
) -> list[LogLine]:
    lines: list[LogLine] = []
    name = client.name
    for address in addresses_of(agreed):
        data_plane.add_iroute(client.peer_id, ip_network(address))
        lines.append(server_lines.learnt(address, name))
        lines.append(server_lines.primary_address(address, name))
    networks = iroutes_of(agreed)
    for network in networks[:limit]:
        data_plane.add_iroute(client.peer_id, network)
        lines.append(server_lines.internal_route(network, name))
        lines.append(server_lines.learnt(str(network), name))
    if len(networks) > limit:
        lines.append(server_lines.routes_refused(name, limit=limit))
    return lines


def keepalive_of(agreed: AgreedClient) -> Keepalive:
    return Keepalive(
        ping_interval=agreed.ping_interval,
        ping_timeout=agreed.ping_timeout,
        inactive_seconds=agreed.inactive,
        inactive_bytes=agreed.inactive_bytes,
    )
