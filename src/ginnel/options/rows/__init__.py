"""All rows of the option table, one module for each subject."""

from ginnel.options.rows import (
    data,
    dns,
    legacy,
    link,
    log,
    proxy,
    routes,
    scripts,
    server,
    tls,
    tun,
)

ALL_ROWS = (
    *link.ROWS,
    *proxy.ROWS,
    *tls.ROWS,
    *data.ROWS,
    *tun.ROWS,
    *routes.ROWS,
    *dns.ROWS,
    *server.ROWS,
    *scripts.ROWS,
    *log.ROWS,
    *legacy.ROWS,
)
