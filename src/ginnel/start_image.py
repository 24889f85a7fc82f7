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
from types import ModuleType

# Not from ``typing``, which would come with many others from files of their own.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from types import CodeType

READING = "ginnel.options.rows"
"""The last module of those that read a configuration."""

LEAN = "json"
"""The last module of those that ``cli.lean_imports`` imports."""

FORKING = "ginnel.shell.early_helper"
"""The last module of those that start the helper."""

CONNECTING = "ctypes"
"""The last module of those that a client needs."""

NEEDED = (
    "ginnel.cli.main",
    "ginnel.cli.openvpn",
    "ginnel.cli.files",
    "ginnel.options.resolve",
    READING,
    FORKING,
    LEAN,
    "ginnel.shell.client",
    "ginnel.shell.frontend",
    # Imported by what a connection uses first.
    "ginnel.core.tls",
    "ginnel.core.tls_wheel",
    "ginnel.core.wrap.crypt",
    "ginnel.core.wrap.plain",
    "ginnel.dataplane.engine",
    "ginnel_engine",
    "ginnel.shell.agent",
    CONNECTING,
    "ginnel.host.helper",
    # Needs hashlib, which loads the system's OpenSSL: only for those who have tls-auth.
    "ginnel.core.wrap.auth",
)
"""What is put into the file, with all that these import, in the order of a start."""

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


def load(last: str) -> None:
    """Loads what is in the file, up to the module ``last``, if there is a file.

    Imports that follow find it all there: Python's machinery for one takes as long as the module
    itself, more often than not.
    """
    for finder in sys.meta_path:
        if isinstance(finder, StartImage):
            finder.load(last)
            break


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
        self._left = iter(self._entries)
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

    def load(self, last: str) -> None:
        """Loads modules in the order in which they were ready when the file was made.

        What a module imports is there by then, but for parts of its own package and what goes in a
        circle: that Python finds here as usual.
        """
        modules = sys.modules
        if last in modules:
            return
        for name in self._left:
            package, _, _ = name.rpartition(".")
            # A part of a package that is not there yet is imported by its package.
            if name not in modules and (not package or package in modules):
                self._load(name, package)
            if name == last:
                return

    def _load(self, name: str, package: str) -> None:
        """Does what ``importlib`` documents as an import, without its locks and searches.

        What fails is left to a later import, which shows its error to whoever can handle it.
        """
        spec = self.find_spec(name)
        if spec is None or not isinstance(spec.loader, _ImageLoader):
            return
        module = ModuleType(name)
        values = vars(module)
        values["__spec__"] = spec
        values["__loader__"] = spec.loader
        values["__package__"] = spec.parent
        values["__file__"] = spec.origin
        values["__cached__"] = spec.cached
        if spec.submodule_search_locations is not None:
            values["__path__"] = spec.submodule_search_locations
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception:
            sys.modules.pop(name, None)
            return
        if package:
            setattr(sys.modules[package], name[len(package) + 1 :], sys.modules[name])


class _ImageLoader(SourceFileLoader):
    """Loads one module; its source is read from its own file, by who shows lines of it."""

    def __init__(self, name: str, origin: str, code: memoryview) -> None:
        super().__init__(name, origin)
        self._code: memoryview | None = code

    def get_code(self, fullname: str) -> "CodeType | None":
        if self._code is None or fullname != self.name:
            return super().get_code(fullname)
        code: CodeType = marshal.loads(self._code)  # noqa: S302
        self._code = None  # A module keeps its loader, which would keep the whole file.
        return code


def build() -> bytes:
    """Imports what a start needs and returns a file's content."""
    from contextlib import suppress
    from importlib import import_module

    for name in NEEDED:
        if name == LEAN:
            import_module("ginnel.cli.lean_imports").import_lean()
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
    content = build()
    # Not before: what is imported here is not part of a start.
    from pathlib import Path

    path = Path(image_path())
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        print(f"ginnel: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
