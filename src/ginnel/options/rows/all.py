"""All rows of the option table."""

from ginnel.options.rows import COMMON_ROWS, legacy, proxy, server

ALL_ROWS = (*COMMON_ROWS, *proxy.ROWS, *server.ROWS, *legacy.ROWS)
