"""Interop tests: ginnel against real OpenVPN programs in network namespaces."""
