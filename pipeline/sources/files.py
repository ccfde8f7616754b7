"""Finding and opening files by patterns, on local disks and object stores.

A uri is a path, a path with wildcards, or an address such as ``gs://bucket/dumps/**/*.tar.gz``. ``*``, ``?``
and ``[…]`` match within a folder and, as in a shell, no hidden name; ``**`` matches any number of folders. A path
that exists as it is written is no pattern, nor is a part of one that does. In an address a ``?`` with a name and ``=``
behind it begins the store's options (``?endpoint_override=…``).
"""

import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import pyarrow as pa
from pyarrow import fs

from pipeline.locations import ADDRESS, LocationError, is_address, open_location, shown
from pipeline.sources.rows import printable


class SourceError(ValueError):
    """A mistake in a recipe's source, in one line that names the uri and the mend."""


class Interrupted(Exception):
    """A remote store failed while a file was read: says nothing of the file, so the read is tried again."""


@dataclass(frozen=True)
class Place:
    """A file or folder that a uri matched."""

    uri: str
    """As found under the recipe's uri, without login and options: fit to be shown."""
    name: str
    """The path below the fixed part of the uri; the base name where the uri has no wildcard."""
    path: str
    """What the file system calls it; absolute where it is local."""
    size: int = 0
    time: int = 0
    """Time of the last change, in nanoseconds."""
    store: str = field(default="", repr=False)
    """Address that leads to the file system, with its login and options; empty for local files."""

    def open(self) -> io.RawIOBase:
        """A seekable, unbuffered binary file. Raises OSError (local) or Interrupted (remote)."""
        if self.store:
            return _RemoteFile(self)
        return io.FileIO(os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))

    @property
    def key(self) -> str:
        """What changes when the file does."""
        return f"{self.uri}\0{self.size}\0{self.time}"


def find_files(uri: str) -> list[Place]:
    """The files that a uri names, sorted by name. Raises SourceError where there is none."""
    places = [place for place, folder in _find(uri) if not folder]
    if not places:
        raise SourceError(
            f"{_shown(uri)}: no file matches; name a file, or files with a pattern such as folder/**/*.zip"
        )
    return places


def find_folders(uri: str) -> list[Place]:
    """The local folders that a uri names, sorted by name; none lies below another one.

    Raises SourceError where there is none, and for an address.
    """
    if is_address(uri):
        raise SourceError(f"{_shown(uri)}: folders are read from local disks only; pack them as archives")
    places: list[Place] = []
    for place, folder in _find(uri):
        if folder and not (places and f"{place.path}/".startswith(f"{places[-1].path}/")):
            places.append(place)
    if not places:
        raise SourceError(f"{uri}: no folder matches; name a folder, or folders with a pattern such as projects/*")
    return places


def open_listed(place: Place) -> io.RawIOBase:
    """A file that the plan itself looks into. Raises SourceError where it cannot be opened."""
    try:
        return place.open()
    except (OSError, Interrupted) as error:
        raise SourceError(f"{place.uri}: cannot be read ({reason(error)}); check its permissions") from None


def without_endings(name: str, endings: tuple[str, ...]) -> str:
    """A name less the longest of the endings that it has."""
    lowered = name.lower()
    for ending in sorted(endings, key=len, reverse=True):
        if lowered.endswith(ending) and not lowered.endswith("/" + ending) and lowered != ending:
            return name[: -len(ending)]
    return name


def _find(uri: str) -> list[tuple[Place, bool]]:
    """Each match and whether it is a folder, sorted by the parts of its name."""
    if not uri.strip():
        raise SourceError("uri is empty; name a path, a pattern or an address")
    address = ADDRESS.match(uri)
    pattern = address["rest"] if address else uri
    parts = pattern.rstrip("/").split("/") if pattern.strip("/") else [pattern]
    fixed = "/" if pattern.startswith("/") else ""
    try:
        wild = _first_wild(parts, address)
        fixed = "/".join(parts[:wild]) or fixed
        if address:
            found = _remote(_store(address, fixed), f"{address['scheme']}{fixed}", parts[wild:])
        else:
            found = _local(fixed, parts[wild:])
        return sorted(found, key=lambda match: match[0].name.split("/"))
    except LocationError as error:
        raise SourceError(str(error)) from None
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, FileNotFoundError):
            raise SourceError(f"{_shown(uri)}: {_shown(fixed) or '.'} does not exist; check the path") from None
        raise SourceError(
            f"{_shown(uri)}: cannot be listed ({reason(error)}); check the path and its permissions"
        ) from None


def _first_wild(parts: list[str], address: re.Match[str] | None) -> int:
    """Where the wildcards begin: the first part that has one, and does not exist as it is written."""
    for index, part in enumerate(parts):
        if re.search(r"[*?[]", part):
            path = "/".join(parts[: index + 1])
            if not (_is_remote_path(_store(address, path)) if address else os.path.exists(path)):
                return index
    return len(parts)


def _is_remote_path(store: str) -> bool:
    with suppress(OSError, pa.ArrowException):  # a name that no bucket can have, or may be looked for
        filesystem, path = open_location(store)
        return filesystem.get_file_info(path).type != fs.FileType.NotFound
    return False


def _store(address: re.Match[str], path: str) -> str:
    return f"{address['scheme']}{address['login'] or ''}{path}{address['options'] or ''}"


def reason(error: BaseException) -> str:
    """An error in few words and one line, without the path that an OSError carries."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return printable(words.splitlines()[0])[:200]


def _shown(uri: str) -> str:
    return printable(shown(uri))


def _matches(name: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not name
    if pattern[0] == "**":
        return _matches(name, pattern[1:]) or (bool(name) and name[0][:1] != "." and _matches(name[1:], pattern))
    if not name or (name[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return fnmatchcase(name[0], pattern[0]) and _matches(name[1:], pattern[1:])


def _local(fixed: str, pattern: list[str]) -> Iterator[tuple[Place, bool]]:
    root = os.path.abspath(fixed)

    def place(path: str, name: str, shown: str) -> tuple[Place, bool]:
        status = os.stat(path)
        folder = os.path.isdir(path)
        return Place(
            printable(shown), printable(name), path, 0 if folder else status.st_size, status.st_mtime_ns
        ), folder

    if not pattern:
        yield place(root, os.path.basename(root), fixed)
        return
    prefix = fixed if fixed in ("", "/") else f"{fixed}/"
    for name in set(_local_names(root, "", pattern)):
        path = os.path.join(root, name)
        if os.path.exists(path):  # a dangling link is no file
            yield place(path, name, prefix + name)


def _local_names(root: str, below: str, pattern: list[str]) -> Iterator[str]:
    """Paths below `root` that match; ``**`` does not walk into links, so that a cycle of them ends."""
    head, rest = pattern[0], pattern[1:]
    if head == "**" and rest:
        yield from _local_names(root, below, rest)
    for child in os.scandir(os.path.join(root, below)):
        name = below + child.name
        if head == "**":
            if not rest and _matches([child.name], pattern):
                yield name
            if child.is_dir(follow_symlinks=False) and not child.name.startswith("."):
                yield from _local_names(root, f"{name}/", pattern)
        elif _matches([child.name], [head]):
            if not rest:
                yield name
            elif child.is_dir():
                yield from _local_names(root, f"{name}/", rest)


def _remote(store: str, prefix: str, pattern: list[str]) -> Iterator[tuple[Place, bool]]:
    filesystem, root = open_location(store)
    if pattern:
        infos = filesystem.get_file_info(fs.FileSelector(root, recursive=len(pattern) > 1 or pattern[0] == "**"))
    else:
        infos = [filesystem.get_file_info(root)]
        if infos[0].type == fs.FileType.NotFound:
            raise FileNotFoundError(errno.ENOENT, "no such file")
    for info in infos:
        name = info.path[len(root) :].strip("/") if pattern else info.base_name
        if not pattern or _matches(name.split("/"), pattern):
            uri = f"{prefix}/{name}" if pattern else prefix
            place = Place(printable(uri), printable(name), info.path, info.size or 0, info.mtime_ns or 0, store)
            yield place, info.type == fs.FileType.Directory


class _RemoteFile(io.RawIOBase):
    """A file of a pyarrow file system; each failure of the store is an `Interrupted`."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._file = self._try(lambda: open_location(place.store)[0].open_input_file(place.path))

    def _try(self, action: Callable):
        try:
            return action()
        except (OSError, pa.ArrowException) as error:
            raise Interrupted(f"{self._place.uri}: {reason(error)}") from None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._try(lambda: self._file.seek(offset, whence))

    def readinto(self, buffer) -> int:
        return self._try(lambda: self._file.readinto(buffer))

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
