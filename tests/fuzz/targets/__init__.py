"""What a fuzzer may throw bytes at, by name. A target raises only when something is wrong."""

from collections.abc import Callable, Mapping

from tests.fuzz.targets import (
    control,
    files,
    host,
    identity,
    inner,
    link,
    management,
    options,
    proxy,
    texts,
)

Target = Callable[[bytes], None]

TARGETS: Mapping[str, Target] = {
    **control.TARGETS,
    **texts.TARGETS,
    **options.TARGETS,
    **files.TARGETS,
    **management.TARGETS,
    **proxy.TARGETS,
    **host.TARGETS,
    **inner.TARGETS,
    **link.TARGETS,
    **identity.TARGETS,
}
