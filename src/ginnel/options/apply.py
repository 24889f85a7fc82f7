"""Carries a directive out on a draft: the generic cases here, the special ones by handlers."""

from functools import cache

from ginnel.options import (
    apply_data,
    apply_dns,
    apply_identity,
    apply_link,
    apply_login,
    apply_payload,
    apply_process,
    apply_proxy,
    apply_tls,
    apply_tun,
)
from ginnel.options.arguments import ArgKind
from ginnel.options.draft import Draft, Handler, Use, no_effect
from ginnel.options.errors import ConfigError
from ginnel.options.table import Support

HANDLERS: dict[str, Handler] = {
    **apply_link.HANDLERS,
    **apply_proxy.HANDLERS,
    **apply_tls.HANDLERS,
    **apply_login.HANDLERS,
    **apply_data.HANDLERS,
    **apply_payload.HANDLERS,
    **apply_tun.HANDLERS,
    **apply_process.HANDLERS,
    **apply_dns.HANDLERS,
    **apply_identity.HANDLERS,
}
"""Of all options but those that ``server_handlers`` has."""


@cache
def server_handlers() -> dict[str, Handler]:
    """The handlers of options that hardly any client has."""
    # Imported here: a client connects sooner without them.
    from ginnel.options import apply_access, apply_instance, apply_server

    return {**apply_server.HANDLERS, **apply_access.HANDLERS, **apply_instance.HANDLERS}


def apply_use(draft: Draft, use: Use) -> None:
    """Applies one directive. Raises ConfigError when its value is wrong or it is refused."""
    row = use.row
    draft.places.note(row.name, use.origin)
    handler = HANDLERS.get(row.name)
    if handler is not None:
        handler(draft, use)
    elif row.support is Support.NO_EFFECT:
        draft.notes.append(no_effect(use))
    elif row.support is Support.REFUSED:
        raise ConfigError(
            f"In {use.origin}: --{row.name} is refused: {row.why}",
            origin=use.origin,
            option=row.name,
        )
    elif row.field:
        _set_field(draft, use)
    else:
        server_handlers()[row.name](draft, use)


def _set_field(draft: Draft, use: Use) -> None:
    row = use.row
    if row.args and row.args[0].kind is ArgKind.FILE and (row.inline or use.inline is not None):
        draft.refer(row.field, use, use.words[0] if use.words else None)
    elif not row.args:
        draft.set_field(row.field, True)
    elif row.args[-1].repeated:
        draft.set_field(row.field, use.words)
    else:
        draft.set_field(row.field, use.values[0])
