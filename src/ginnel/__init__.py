"""ginnel: an OpenVPN-compatible VPN, client and server, for Linux."""

__version__ = "0.1.0"
