"""Applies what a server pushed: options in, new options out.

Nothing here raises: a pushed option that is wrong, unknown or not allowed is refused on its own.
"""
