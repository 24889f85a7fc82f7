"""The rows of the option table, one module for each subject.

Those of most configurations are here; ``all`` has the others too.
"""

from ginnel.options.rows import data, dns, link, log, modes, routes, scripts, tls, tun

COMMON_ROWS = (
    *link.ROWS,
    *tls.ROWS,
    *data.ROWS,
    *tun.ROWS,
    *routes.ROWS,
    *dns.ROWS,
    *scripts.ROWS,
    *log.ROWS,
    *modes.ROWS,
)
