"""ginnel: an OpenVPN-compatible VPN, client and server, for Linux."""

__version__ = "0.1.0"

OPENVPN_RELEASE = "2.6.14"
"""The OpenVPN release whose command line, log lines and announcements ginnel reproduces.

Tools parse it: NetworkManager reads ``OpenVPN 2.6.14`` from ``--version`` to choose the options it
passes, and servers read ``IV_VER=2.6.14`` from the peer info.
"""
