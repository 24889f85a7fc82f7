"""One file with the compiled modules of a start, read at once instead of each from its own.

A start is mostly imports, and a seventh of it is finding, opening and checking some 350 compiled
files. ``python -m ginnel.start_image`` puts them into one, next to the package's own, as
``compileall`` makes those. Where it is missing, or for a module whose source has another time or
size than it had then, Python imports as ever. Whoever may write it may as well write those files:
it is trusted as they are. This module itself imports next to nothing, and no ``pathlib``.
"""

import marshal
import os
import sys
from importlib.machinery import ExtensionFileLoader, ModuleSpec, SourceFileLoader
from mmap import ACCESS_READ, mmap

# Not from ``typing``, which would come with many others from files of their own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import CodeType, ModuleType

NEEDED = (
    "ginnel.cli.main",
    "ginnel.cli.openvpn",
    "ginnel.cli.files",
    "ginnel.options.resolve",
    "ginnel.options.rows",
    "ginnel.shell.client",
    "ginnel.shell.frontend",
    # Imported by what a connection uses first.
    "ginnel.core.tls",
    "ginnel.core.tls_wheel",
    "ginnel.core.wrap.auth",
    "ginnel.core.wrap.crypt",
    "ginnel.core.wrap.plain",
    "ginnel.dataplane.engine",
    "ginnel.shell.agent",
    "ctypes",
)
"""What is put into the file, with all that these import."""

_LENGTH = 4

_Entry = tuple[str, int, int, list[str] | None, str | None, int, int]
"""Where a module is: its file, that file's time and size; a package's directories; its compiled
file, and from where to where the image has its code (nothing, for one that is no Python)."""


def image_path() -> str:
    """Where the file belongs: with the package's own compiled modules, one for an environment."""
    directory = os.path.dirname(__file__)
    environment = sys.prefix.strip("/").replace("/", "-")[-100:]
    return f"{directory}/__pycache__/start.{sys.implementation.cache_tag}.{environment}.image"


def install(path: str) -> "StartImage | None":
    """Lets modules be imported from the file at ``path`` first, if it is of use."""
    if sys.flags.optimize:
        return None
    try:
        with open(path, "rb") as file:
            # Read where it lies: copying all of it costs more than finding the modules.
            image = StartImage(mmap(file.fileno(), 0, access=ACCESS_READ))
    except (OSError, ValueError, EOFError, TypeError):
        return None  # No file, or one that somebody else made: Python has its own.
    sys.meta_path.insert(0, image)
    return image


def release() -> None:
    """Forgets the file's content: a start is over, and what it is for is imported."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, StartImage)]


class StartImage:
    """Finds modules in a file's content. Raises ValueError when it is not of this environment."""

    _entries: dict[str, _Entry]

    def __init__(self, content: bytes | mmap) -> None:
        mark = _mark()
        start = len(mark) + _LENGTH
        if content[: len(mark)] != mark:
            raise ValueError("no start image of this Python")
        end = start + int.from_bytes(content[len(mark) : start], "little")
        searched, self._entries = marshal.loads(content[start:end])  # noqa: S302
        # The first place is the program's or the working directory, unless Python is told not to
        # look there. Anything else that differs may hold another module of the same name.
        if searched not in (sys.path, sys.path[1:]):
            raise ValueError("a start image of another environment")
        self._codes = memoryview(content)[end:]

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,
        target: "ModuleType | None" = None,
    ) -> ModuleSpec | None:
        """What the import system asks for every module; None leaves it to others."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        origin, changed, size, directories, cached, start, end = entry
        try:
            now = os.stat(origin)
        except OSError:
            return None
        if now.st_size != size or int(now.st_mtime) != changed:
            return None
        loader: Loader
        if cached is None:
            loader = ExtensionFileLoader(name, origin)
        else:
            loader = _ImageLoader(name, origin, self._codes[start:end])
        spec = ModuleSpec(name, loader, origin=origin)
        spec.has_location = True
        spec.cached = cached
        spec.submodule_search_locations = directories
        return spec


class _ImageLoader(SourceFileLoader):
    """Loads one module; its source is read from its own file, by who shows lines of it."""

    def __init__(self, name: str, origin: str, code: memoryview) -> None:
        super().__init__(name, origin)
        self._code: memoryview | None = code

    def get_code(self, fullname: str) -> "CodeType | None":
        if self._code is None or fullname != self.name:
            return super().get_code(fullname)
        code: CodeType = marshal.loads(self._code)  # noqa: S302
        # A module keeps its loader, which would keep the whole file.
        self._code = None
        return code


def build() -> bytes:
    """Imports what a start needs and returns a file's content."""
    from contextlib import suppress
    from importlib import import_module

    import_module("ginnel.cli.lean_asyncio").import_asyncio()
    for name in NEEDED:
        with suppress(ImportError):  # the compiled engine, where there is none
            import_module(name)
    entries: dict[str, _Entry] = {}
    codes = bytearray()
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        if spec is None or spec.origin is None or spec.name != name:
            continue
        code = b""
        if type(spec.loader) is SourceFileLoader:
            code = marshal.dumps(spec.loader.get_code(name))
        elif not isinstance(spec.loader, ExtensionFileLoader):
            continue
        file = os.stat(spec.origin)
        directories = spec.submodule_search_locations
        entries[name] = (
            spec.origin,
            int(file.st_mtime),
            file.st_size,
            None if directories is None else list(directories),
            spec.cached if code else None,
            len(codes),
            len(codes) + len(code),
        )
        codes += code
    index = marshal.dumps((sys.path[1:], entries))
    return _mark() + len(index).to_bytes(_LENGTH, "little") + index + codes


def _mark() -> bytes:
    return f"ginnel start image 1, Python {sys.version}\n".encode()


def main() -> int:
    """Writes the file; returns the exit status."""
    from pathlib import Path

    path = Path(image_path())
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        partial.write_bytes(build())
        partial.replace(path)
    except OSError as error:
        print(f"ginnel: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
