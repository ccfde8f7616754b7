"""The packages of the running Python environment, each taken as if it were a repository.

Real code with real licences that every machine has, offline: the quickstart's corpus.
"""

import csv
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import Distribution, distributions

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipeline.sources import Split, grouped
from pipeline.sources.directory import FILE_OVERHEAD, Entry, FolderPart, Piece, entry_rows, fingerprint, pieces, walk
from pipeline.sources.files import SourceError
from pipeline.sources.rows import DEFAULT_LIMITS, Limits, Origin, Row, failed_row

SITE_FOLDERS = ("site-packages", "dist-packages")
BYTECODE_FOLDER = "__pycache__"
STANDARD_LIBRARY = "python"
"""Name of the standard library among the packages."""


@dataclass(frozen=True)
class EnvironmentSource:
    """Each installed distribution, named and versioned as its metadata says, and the standard library.

    With `packages`, only the distributions of these names and what they require, with the requirements' extras, as the
    installed metadata tell: the same ones whatever else is installed. Of a package in `leave_out`, name → why, no file
    is read; it has one row that tells how many it has. `paths` are the folders that packages are installed in; by
    default those on ``sys.path``. Packages installed as editable are left out: they are a checkout, not an installed
    package. So is bytecode.
    """

    paths: tuple[str, ...] = ()
    standard_library: bool = True
    packages: tuple[str, ...] | None = None
    leave_out: Mapping[str, str] = field(default_factory=dict)

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Small distributions are grouped, large ones cut; see `pipeline.sources.Source`."""
        return grouped(self._parts(target, limits), target)

    def _parts(self, target: int, limits: Limits) -> Iterator["PackagePart | FolderPart | LeftOutPart"]:
        paths = self.paths or tuple(path for path in sys.path if os.path.basename(path) in SITE_FOLDERS)
        if missing := [path for path in paths if not os.path.isdir(path)]:
            raise SourceError(
                f"environment: {missing[0]} is no folder; name the folders that packages are installed in"
            )
        installed = _distributions(paths)
        if self.packages is not None:
            installed = _required(installed, self.packages)
        reasons: dict[str, str] = {canonicalize_name(name): why for name, why in self.leave_out.items()}
        _check("leave_out", reasons, [*installed, STANDARD_LIBRARY])
        owners: dict[str, str] = {}
        for name, distribution in installed.items():
            if _editable(distribution):
                continue
            info = str(distribution._path)  # type: ignore[attr-defined]
            files = _files(info)
            earlier = tuple(sorted({owners[file] for file in files if file in owners}))
            owners.update((file, info) for file in files if file not in owners)
            origin = Origin(f"environment:{name}", name, distribution.version, _claimed_license(info))
            if name in reasons:
                yield _left_out(origin, _entries(info, earlier), reasons[name], limits)
                continue
            for piece in pieces(_entries(info, earlier), target, limits):
                yield PackagePart(info, earlier, origin, piece)
        if self.standard_library:
            yield from _standard_library(target, limits, reasons.get(STANDARD_LIBRARY))


@dataclass(frozen=True)
class PackagePart:
    """A stretch of a distribution's files below its site folder, less what earlier distributions own."""

    info: str
    """Path of the distribution's metadata, a ``.dist-info`` or ``.egg-info``."""
    earlier: tuple[str, ...]
    """Metadata of the distributions, earlier by name, that claim some of the same files."""
    origin: Origin
    piece: Piece

    @property
    def size(self) -> int:
        """Bytes of the files that are within the size bound."""
        return self.piece.size

    @property
    def fingerprint(self) -> str:
        """Hash of name and version, and of each file's name, size and time."""
        return fingerprint(self.origin, self.piece)

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per file, in the order of their paths."""
        return entry_rows(self.origin, _entries(self.info, self.earlier), self.piece, limits)


@dataclass(frozen=True)
class LeftOutPart:
    """A package of which no file is read."""

    origin: Origin
    files: int
    bytes: int
    why: str
    fingerprint: str
    size: int = FILE_OVERHEAD

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row for all of its files."""
        yield failed_row(self.origin, "", self.bytes, "input.left_out", f"{self.files:,} files: {self.why}")


def _left_out(origin: Origin, entries: Iterable[Entry], why: str, limits: Limits) -> LeftOutPart:
    held = list(entries)
    sizes = [0 if isinstance(entry.status, OSError) else entry.status.st_size for entry in held]
    names = f"{len(held)} {sum(sizes)} {why}"
    told = fingerprint(origin, Piece(0, None, 0, names))
    return LeftOutPart(origin, len(held), sum(sizes), why, told)


def _standard_library(target: int, limits: Limits, why: str | None) -> Iterator[FolderPart | LeftOutPart]:
    folder = sysconfig.get_paths()["stdlib"]
    leave_out = (*SITE_FOLDERS, BYTECODE_FOLDER)
    origin = Origin(f"environment:{STANDARD_LIBRARY}", STANDARD_LIBRARY, platform.python_version())
    if why is not None:
        yield _left_out(origin, walk(folder, leave_out), why, limits)
        return
    for piece in pieces(walk(folder, leave_out), target, limits):
        yield FolderPart(folder, leave_out, origin, piece)


def _distributions(paths: tuple[str, ...]) -> dict[str, Distribution]:
    """Normalised name → distribution, sorted; of two by one name the first on the path."""
    found: dict[str, Distribution] = {}
    for distribution in distributions(path=list(paths)):
        if name := distribution.metadata["Name"]:
            found.setdefault(canonicalize_name(name), distribution)
    return dict(sorted(found.items()))


def _required(installed: dict[str, Distribution], names: Iterable[str]) -> dict[str, Distribution]:
    """Those of the names, and what they require in this environment (PEP 508), where it is installed."""
    _check("packages", names := [canonicalize_name(name) for name in names], installed)
    pending, seen = [(name, "") for name in names], set()
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen or name not in installed:
            continue
        seen.add((name, extra))
        for line in installed[name].requires or ():
            try:
                needed = Requirement(line)
            except InvalidRequirement:
                raise SourceError(f"environment: {name} requires {line!r}, which is no requirement; mend it") from None
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                pending += [(canonicalize_name(needed.name), wanted) for wanted in ("", *needed.extras)]
    wanted = {name for name, _ in seen}
    return {name: distribution for name, distribution in installed.items() if name in wanted}


def _check(key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            mend = f"did you mean {near[0]}?" if near else "install it, or take the name out"
            raise SourceError(f"environment: {key}: {name} is no package that is installed here; {mend}")


def _editable(distribution: Distribution) -> bool:
    """What `pip install --editable` notes (PyPA specification "Recording the Direct URL Origin")."""
    try:
        origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    except ValueError:
        return False
    return isinstance(origin, dict) and bool((origin.get("dir_info") or {}).get("editable"))


def _claimed_license(info: str) -> str | None:
    """The SPDX expression in the metadata (PEP 639), or else its short licence field."""
    metadata = Distribution.at(info).metadata
    claim = (metadata["License-Expression"] or metadata["License"] or "").strip()
    return claim if claim and len(claim) <= 100 and "\n" not in claim and claim != "UNKNOWN" else None


def _files(info: str) -> list[str]:
    """Paths below the site folder that the distribution's record names, sorted, without bytecode.

    A distribution without a record, as some system packagers leave it, has its metadata and the modules
    that ``top_level.txt`` names.
    """
    if record := Distribution.at(info).read_text("RECORD"):
        listed = (line[0] for line in csv.reader(record.splitlines()) if line)
    else:
        listed = _unrecorded(info)
    return sorted({file for file in listed if _is_source(file)})


def _unrecorded(info: str) -> Iterator[str]:
    site = os.path.dirname(info)
    modules = (Distribution.at(info).read_text("top_level.txt") or "").split()
    for name in (os.path.basename(info), *modules, *(f"{module}.py" for module in modules)):
        if os.path.lexists(os.path.join(site, name)):
            for entry in walk(os.path.join(site, name), (BYTECODE_FOLDER,)):
                yield f"{name}/{entry.path}" if entry.path else name


def _is_source(file: str) -> bool:
    parts = file.split("/")
    return not file.startswith("/") and ".." not in parts and BYTECODE_FOLDER not in parts and not file.endswith(".pyc")


def _entries(info: str, earlier: tuple[str, ...]) -> Iterator[Entry]:
    """The distribution's files that exist; what is no longer there has no fate to tell."""
    site = os.path.dirname(info)
    owned = {file for other in earlier for file in _files(other)}
    for path in _files(info):
        if path not in owned:
            file = os.path.join(site, path)
            try:
                yield Entry(path, file, os.lstat(file))
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                yield Entry(path, file, error)
