"""Tests that change a real host, in network namespaces of their own. They need root."""
