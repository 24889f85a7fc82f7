"""Writes server.json: what a real openvpn makes of a server's options, or why it refuses them.

Run by hand, with openvpn 2.6 on the PATH, as root (it gets a network of its own, in which it opens
nothing); the result is committed. The program stops before it does anything, as its user does not
exist, but behind the checks and behind showing what it made of the options.
"""

import json
import re
import subprocess
import tempfile
from pathlib import Path

TARGET = Path(__file__).with_name("server.json")
BASE = "ca ca\ncert cert\nkey key\ndh none\nverb 4\nuser no-such-user\n"
DEVICE = "dev tun\n"
NET = "server 10.8.0.0 255.255.255.0"
SHOWN = re.compile(
    r"^ +(topology|ifconfig_local|ifconfig_remote_netmask|ifconfig_ipv6_(?:local|netbits|remote)"
    r"|ping_send_timeout|ping_rec_timeout|ping_rec_timeout_action|route_default_gateway"
    r"|push_entry|ifconfig_pool_(?:defined|start|end|netmask|persist_refresh_freq)"
    r"|ifconfig_ipv6_pool_(?:defined|base|netbits)|max_clients|max_routes_per_client|cf_max|cf_per"
    r"|cf_initial_max|cf_initial_per|n_bcast_buf|tcp_queue_limit|enable_c2c|duplicate_cn"
    r"|ccd_exclusive|local_port) = '?([^']*)'?$"
)
ROUTE = re.compile(r"^ +route ([0-9.]+)/([0-9.]+)/")
EXPANSIONS = (
    NET,
    f"{NET} nopool",
    f"{NET};topology subnet",
    f"{NET};topology p2p",
    f"{NET};dev tap",
    f"{NET};client-to-client",
    f"{NET};client-to-client;topology p2p",
    f"{NET};client-to-client;topology subnet",
    f"{NET};topology subnet;route-gateway 10.8.0.7",
    f'{NET};topology subnet;push "route-gateway 10.8.0.99"',
    f"{NET};ifconfig 10.8.0.3 10.8.0.4",
    f"{NET};topology subnet;server-ipv6 fd00:1::/64;keepalive 10 60",
    f"{NET};topology p2p;server-ipv6 fd00:1::/64;keepalive 10 60;tcp-nodelay",
    f"{NET};dev tap;server-ipv6 fd00:1::/64;keepalive 10 60",
    f"{NET};ping-exit 10",
    f"{NET};max-clients 9;max-routes-per-client 0;connect-freq 3 4;connect-freq-initial 5 6",
    f"{NET};bcast-buffers 3;tcp-queue-limit 4;duplicate-cn;lport 7",
    f"{NET};ifconfig-pool-persist ipp.txt 7",
    "server 10.8.0.0 255.255.255.248",
    "server 10.8.0.0 255.255.255.248;topology p2p",
    "server 10.8.0.0 255.255.255.248;topology subnet",
    "server 10.8.0.0 255.255.255.240",
    "server 10.8.0.0 255.255.0.0;topology subnet",
    "server 10.8.0.0 255.255.255.252;dev tap",
    "server-bridge 10.8.0.4 255.255.255.0 10.8.0.128 10.8.0.254;dev tap",
    "server-bridge nogw;dev tap",
    "server-bridge;dev tap",
    "server-bridge nogw;dev tap;ifconfig 10.8.0.1 255.255.255.0",
    "server-ipv6 fd00::/111",
    "server-ipv6 fd00::/112",
    "server-ipv6 fd00::/124",
    "server-ipv6 fd00::5/64",
    "mode server;tls-server;ifconfig 10.1.0.1 10.1.0.2;ifconfig-pool 10.1.0.4 10.1.0.100",
    "mode server;tls-server;topology subnet;ifconfig 10.1.0.1 255.255.255.0;"
    "ifconfig-pool 10.1.0.4 10.1.0.100 255.255.255.0;keepalive 10 60;tcp-nodelay",
    "mode server;tls-server;ifconfig-ipv6 fd00::1/64 fd00::2;ifconfig-ipv6-pool fd00::9/64",
)
REFUSALS = (
    "server 10.8.0.1 255.255.255.0",
    "server 10.8.0.0 255.255.0.255",
    "server 10.8.0.0 255.255.255.255",
    "server 10.8.0.0 255.255.255.252",
    "server 10.0.0.0 255.0.0.0",
    "server 10.8.0.0 x",
    "server 10.8.0.0",
    f"{NET} foo",
    f"{NET};ifconfig-pool 10.8.0.5 10.8.0.6",
    f"{NET};client",
    f"{NET};pull",
    f"{NET};remote 192.0.2.1",
    f"{NET};nobind",
    f"{NET};tls-client",
    f"{NET};secret x",
    f"{NET};dev null",
    f"{NET};server-bridge nogw",
    f"{NET};shaper 1000",
    f"{NET};ipchange /bin/true",
    f"{NET};redirect-gateway",
    f"{NET};route-delay 3",
    f"{NET};up-delay",
    f"{NET};allow-recursive-routing",
    f"{NET};http-proxy 192.0.2.1 8080",
    f"{NET};socks-proxy 192.0.2.1 8080",
    f"{NET};auth-user-pass",
    f"{NET};proto tcp-client",
    f"{NET};proto tcp-server;fragment 1200",
    f"{NET};port-share 127.0.0.1 80",
    f"{NET};connect-freq 1 1;proto tcp-server",
    f"{NET};keepalive 10 15",
    f"{NET};keepalive 10 60;ping 10",
    f"{NET};keepalive 10 60;ping-exit 10",
    f"{NET};keepalive 10 60;ping-restart 10",
    f"{NET};ccd-exclusive",
    f"{NET};client-config-dir /nonexistent",
    f"{NET};client-connect /nonexistent",
    f"{NET};verify-client-cert none",
    f"{NET};verify-client-cert optional",
    f"{NET};username-as-common-name",
    f"{NET};auth-user-pass-optional",
    f"{NET};auth-user-pass-verify /bin/true",
    f"{NET};auth-gen-token 3600 10 external-auth",
    f"{NET};auth-gen-token 3600 10 x",
    f"{NET};tls-crypt ta;tls-auth ta",
    f"{NET};dh /nonexistent",
    f"{NET};vlan-tagging",
    f"{NET};vlan-pvid 2",
    f"{NET};vlan-pvid 5000",
    f"{NET};vlan-accept tagged",
    f"{NET};dev tap;vlan-tagging;vlan-accept foo",
    f"{NET};hash-size 0 1",
    f"{NET};bcast-buffers 0",
    f"{NET};tcp-queue-limit 0",
    f"{NET};stale-routes-check 0",
    f"{NET};stale-routes-check 10 0",
    f"{NET};max-clients 99999999",
    f"{NET};management-client-auth",
    f'{NET};push "a,b"',
    f"{NET};push route 10.0.0.0",
    f"{NET};iroute 10.0.0.0",
    f"{NET};ifconfig-push 10.0.0.1 10.0.0.2",
    f"{NET};ifconfig-ipv6-push fd00::4/64",
    f"{NET};iroute-ipv6 fd00::/64",
    f"{NET};push-reset",
    f"{NET};push-remove route",
    f"{NET};disable",
    f"{NET} nopool;ifconfig-pool-persist ipp",
    f"{NET} nopool;server-ipv6 fd00::/64",
    f"{NET};server-ipv6 fd00::/64;ifconfig-ipv6-pool fd00::9/64",
    "server-ipv6 fd00::/63",
    "server-ipv6 fd00::/125",
    "server-ipv6 fd00::/64;client",
    "server-ipv6 fd00::/64;dev null",
    "server-bridge 10.8.0.4 255.255.255.0 10.8.0.128 10.8.0.254",
    "server-bridge 10.8.0.4 255.255.255.0 10.9.0.128 10.9.0.254;dev tap",
    "server-bridge 10.8.0.4 255.255.255.0 10.8.0.254 10.8.0.128;dev tap",
    "server-bridge 10.8.0.4;dev tap",
    "server-bridge foo;dev tap",
    "server-bridge nogw;dev tap;client",
    "server-bridge nogw;dev tap;ifconfig-pool 10.8.0.5 10.8.0.6",
    "mode server",
    "mode server;tls-server;ifconfig-pool 10.1.0.100 10.1.0.4",
    "mode server;tls-server;ifconfig-pool 10.1.0.4 10.9.0.100",
    "mode server;tls-server;ifconfig-pool-persist ipp",
    "mode server;tls-server;ifconfig-ipv6-pool fd00::/64",
)
ACCEPTED = (
    f"{NET};inactive 10",
    f"{NET};connect-retry 4",
    f"{NET};explicit-exit-notify 1",
    f"{NET};proto tcp-server;explicit-exit-notify 1",
    f"{NET};proto tcp",
    f"{NET};proto tcp;multihome",
    f"{NET};mode p2p",
    f"{NET};opt-verify",
    f"{NET};hash-size 64 64",
    f"{NET};stale-routes-check 10",
    f"{NET};compress migrate",
    f"{NET};force-tls-key-material-export",
    f"{NET};reneg-sec 0",
    f"{NET};reneg-sec 200 100",
    f"{NET};float",
    f"{NET};remote-cert-tls client",
    f"{NET};learn-address /bin/true",
    f"{NET};client-disconnect /bin/true",
    f"{NET};client-crresponse /bin/true",
    f"{NET};auth-user-pass-verify /bin/true via-file;verify-client-cert none;"
    "username-as-common-name;auth-user-pass-optional",
    f"{NET};auth-gen-token",
    f"{NET};auth-gen-token 3600 external-auth",
    f"{NET};auth-gen-token 3600 3600",
    f"{NET};management 127.0.0.1 3;management-client-auth;verify-client-cert optional",
    f"{NET};dev tap;vlan-accept all",
    f"{NET};route 10.9.0.0 255.255.255.0 10.8.0.2",
    f"{NET};ifconfig-push-constraint 10.0.0.0 255.0.0.0",
    f"{NET};route-nopull",
    f"{NET};pull-filter ignore x",
    f"{NET};remote-random",
    f"{NET};auth-retry none",
    f"{NET};auth-nocache",
    f"{NET};session-timeout 3",
    f"{NET};push-peer-info",
    f"{NET};tls-server",
    f"{NET};ping-timer-rem",
    f"{NET};single-session",
    f"{NET};tls-exit",
    f'{NET};push ""',
    f"{NET};bind-dev lo",
    f"{NET};proto-force udp",
    f"{NET};resolv-retry 3",
)


def seen(case: str) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as directory:
        for name in ("ca", "cert", "key", "ta"):
            Path(directory, name).write_text("")
        text = BASE + DEVICE + case.replace(";", "\n") + "\n"
        Path(directory, "c").write_text(text)
        done = subprocess.run(
            ["unshare", "--net", "openvpn", "--config", "c"],
            cwd=directory,
            capture_output=True,
            check=False,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
    lines = done.stdout.decode("utf-8", "replace").splitlines()
    errors = [line.split("Options error: ", 1)[1] for line in lines if "Options error: " in line]
    if errors:
        return {"lines": case, "error": errors[0]}
    found: dict[str, object] = {"lines": case}
    pushes, routes = [], []
    for raw in lines:
        line = re.sub(r"^[0-9-]+ [0-9:]+ us=[0-9]+", "", raw)
        route = ROUTE.match(line)
        if route is not None:
            routes.append("/".join(route.groups()))
        shown = SHOWN.match(line)
        if shown is not None and shown[1] == "push_entry":
            pushes.append(shown[2])
        elif shown is not None:
            found[shown[1]] = shown[2]
    return {**found, "pushes": pushes, "routes": routes}


def main() -> None:
    version = subprocess.run(["openvpn", "--version"], capture_output=True, check=False).stdout
    document = {
        "origin": "tests/vectors/options/make_server_vectors.py",
        "tool": version.decode().split(" [", 1)[0],
        "command": "openvpn --config FILE",
        "meaning": "what a server's options come to, or the first line that refuses them; before "
        f"these lines stand: {(BASE + DEVICE).replace(chr(10), '; ')}",
        "expansions": [seen(case) for case in EXPANSIONS],
        "refusals": [seen(case) for case in REFUSALS],
        "accepted": [seen(case)["lines"] for case in ACCEPTED if "error" not in seen(case)],
    }
    TARGET.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
