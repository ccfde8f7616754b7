"""Git repositories, bare or ordinary, read from their objects without a checkout.

A row is an entry of the revision's tree. Its bytes are those of the blob, as in a checkout without conversions of line
ends, filters and LFS. Trees, commits and blobs are checked against their ids.
"""

import glob
import hashlib
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from fnmatch import fnmatchcase
from heapq import heappop, heappush
from typing import NamedTuple

from pipeline.sources import Split, grouped
from pipeline.sources.files import Place, SourceError, find_folders, reason, without_endings
from pipeline.sources.git_objects import (
    BLOB,
    MAX_METADATA_BYTES,
    Budget,
    Commit,
    Entry,
    Objects,
    TooLarge,
)
from pipeline.sources.git_repository import MAX_LINKS, Repository, Unreadable
from pipeline.sources.rows import (
    DEFAULT_LIMITS,
    FILE_KINDS,
    MAX_PATH,
    Limits,
    Origin,
    Row,
    content_id,
    failed_row,
    link_row,
    link_target,
    member_path,
    printable,
    text_row,
    too_large_row,
)
from pipeline.sources.streams import RATIO_GRACE, Bomb, Corrupt

MAX_SHARES = 16
"""Splits of one repository. Each walks its trees and its history, so more would repeat more than they spread."""
STRIPE = 64
"""The shares of a repository take turns by this many files: no share needs to know how many there are."""
ENTRY_BYTES = 256
"""What an entry of a tree takes of the budget, so that trees that repeat one another come to an end."""
MAX_DEPTH = 2048
"""Folders within one another; git's own bound (`core.maxTreeDepth`)."""
MAX_COMMITS = 100_000
"""Commits whose authors are counted, the newest ones."""
LAST_TIME = 253402300799
"""The last second of the year 9999; a later date is none."""

SUBMODULE = 0o160000


@dataclass(frozen=True)
class GitSource:
    """Repositories whose folders match `uri`, such as ``repos/**/*.git``, at `revision` or the branch of HEAD.

    `revision` is a branch, a tag or a commit's full id. With `since`, of repositories committed to on that day (UTC) or
    later, the files that differ from the last commit before it on the first-parent line; all where there is none.
    Of the other files those are read, as evidence alone, that speak for the licences of these.
    """

    uri: str
    revision: str | None = None
    since: date | None = None

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Small repositories are grouped, large ones dealt out; reads references and no objects."""
        return grouped((part for place in find_folders(self.uri) for part in self._shares(place, target)), target)

    def _shares(self, place: Place, target: int) -> Iterator["GitPart"]:
        name = os.path.basename(os.path.dirname(place.path)) if place.name == ".git" else place.name
        name = without_endings(name.removesuffix("/.git"), (".git",))
        since = int(datetime.combine(self.since, time(), UTC).timestamp()) if self.since else None
        part = GitPart(place.path, Origin(f"git:{place.uri}", printable(name)), since)
        try:
            with Repository(place.path) as repository:
                size, state = repository.state()
                tip, reference = repository.resolve(self.revision)
        except (Unreadable, OSError) as error:
            if place.uri == self.uri.rstrip("/"):
                raise SourceError(f"{place.uri}: {reason(error)}") from None
            yield replace(part, trouble=("input.unreadable", reason(error)))
            return
        if tip is None:
            yield replace(part, state=state, trouble=("input.empty", f"{printable(reference)} has no commit"))
            return
        shares = max(1, min(MAX_SHARES, -(-size // target)))
        for share in range(shares):
            yield replace(part, tip=tip, state=state, share=share, shares=shares, size=size // shares, stored=size)


@dataclass(frozen=True)
class GitPart:
    """One share of a repository's files; the first share also gives the rows about the repository as a whole."""

    folder: str
    origin: Origin
    since: int | None
    """Seconds since 1970 from which a commit is new."""
    tip: bytes | None = None
    """The commit, or the tag that leads to it."""
    trouble: tuple[str, str] | None = None
    """Reason and detail why there is no tip."""
    state: str = ""
    """What changes when the files that hold the objects do."""
    share: int = 0
    shares: int = 1
    size: int = 0
    """As many bytes as the objects take: a whole history packs to more than its last state, one commit to less."""
    stored: int = 0
    """Bytes of all objects of the repository on disk."""

    @property
    def fingerprint(self) -> str:
        """Hash of the repository's name, of its commit and the state of its objects, and of the share."""
        told = (self.origin, self.since, self.tip, self.trouble, self.state, self.share, self.shares)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per file of this share, in git's order of paths."""
        if self.tip is None:
            assert self.trouble
            yield failed_row(self.origin, "", None, *self.trouble)
            return
        budget = Budget(min(limits.max_archive_bytes, max(RATIO_GRACE, limits.max_ratio * self.stored)))
        try:
            with Repository(self.folder) as repository, Objects(repository, budget) as objects:
                yield from self._tip_rows(objects, self.tip, repository.shallow(), limits)
        except Bomb as error:  # each share comes to its own end
            yield failed_row(self.origin, "", self.stored, "input.bomb", str(error))
        except (Corrupt, TooLarge) as error:
            yield from self._whole("input.corrupt", str(error))
        except (Unreadable, OSError) as error:
            yield from self._whole("input.unreadable", reason(error))

    def _whole(self, why: str, detail: str) -> Iterator[Row]:
        if self.share == 0:
            yield failed_row(self.origin, "", self.stored, why, printable(detail))

    def _tip_rows(self, objects: Objects, tip: bytes, shallow: frozenset[bytes], limits: Limits) -> Iterator[Row]:
        commit = objects.peeled(tip)
        base = None
        if self.since is not None:
            if is_before(commit, self.since):
                return
            base = last_before(objects, commit, shallow, self.since)
        last = commit.time if commit.time is not None and 0 <= commit.time <= LAST_TIME else None
        authors = count_authors(objects, commit, shallow)
        origin = replace(self.origin, revision=commit.id.decode(), last_commit=last, authors=authors)
        found = False
        for index, file in enumerate(files(objects, commit.tree, base.tree if base else None)):
            found = True
            if index // STRIPE % self.shares == self.share:
                yield _row(objects, origin, file, limits)
        if found and base and self.share == 0 and limits.evidence:
            yield from _unchanged(objects, origin, (commit.tree, base.tree), limits)
        if not found and self.since is None:
            yield from replace(self, origin=origin)._whole("input.empty", "commit without files")


def is_before(commit: Commit, start: int) -> bool:
    """Whether a commit is known to be from before `start`; one without a date is taken for new."""
    return commit.time is not None and commit.time < start


def last_before(objects: Objects, tip: Commit, shallow: frozenset[bytes], start: int) -> Commit | None:
    """The nearest commit on the first-parent line that was committed before `start`, if there is one.

    Raises as `Objects.read` does, where the line is broken too; a shallow clone's end is no break.
    """
    commit = tip
    while not is_before(commit, start):
        if not commit.parents or commit.id in shallow:
            return None
        commit = objects.commit(commit.parents[0])
    return commit


def count_authors(objects: Objects, tip: Commit, shallow: frozenset[bytes]) -> int | None:
    """Distinct addresses of authors in the tip's history, or in its newest `MAX_COMMITS` commits.

    None where a commit of it cannot be read, and where none names one; what a shallow clone left out does not count.
    """
    waiting, seen, authors = [(-(tip.time or 0), tip.id, tip)], {tip.id}, set()
    for _ in range(MAX_COMMITS):
        if not waiting:
            break
        commit = heappop(waiting)[2]
        authors.add(commit.author)
        for id in commit.parents if commit.id not in shallow else ():
            if id not in seen:
                seen.add(id)
                try:
                    parent = objects.commit(id)
                except (Corrupt, TooLarge, Unreadable, OSError):
                    return None
                heappush(waiting, (-(parent.time or 0), id, parent))
    return len(authors - {b""}) or None


class File(NamedTuple):
    """An entry that is no folder, or a folder that cannot be read."""

    path: bytes
    entry: Entry
    trouble: tuple[str, str] | None
    is_unchanged: bool = False


class _Open(NamedTuple):
    """A folder while it is walked."""

    path: bytes
    entries: Iterator[Entry]
    earlier: dict[bytes, Entry]
    size: int


def files(objects: Objects, tree: bytes, base: bytes | None, whole: bool = False) -> Iterator[File]:
    """The files of a tree that are not just so in the tree `base`, or all with `whole`, in its order. Raises Bomb."""
    folders: list[_Open] = []
    size = 0

    def opened(path: bytes, entry: Entry, earlier: Entry | None) -> tuple[str, str] | None:
        nonlocal size
        if len(folders) == MAX_DEPTH or len(path) > 4 * MAX_PATH:
            return "input.unsafe_path", f"more than {MAX_DEPTH} folders or {4 * MAX_PATH} bytes deep"
        try:
            entries, taken = objects.tree(entry.id)
            if size + taken > MAX_METADATA_BYTES:
                raise TooLarge(taken)
            before = objects.tree(earlier.id)[0] if earlier and stat.S_ISDIR(earlier.mode) else ()
        except TooLarge as error:
            return "input.bomb", f"the folder and those above it hold {size + error.size} bytes of names and ids"
        except Corrupt as error:
            return "input.corrupt", str(error)
        except (Unreadable, OSError) as error:
            return "input.unreadable", reason(error)
        size += taken
        folders.append(_Open(path, iter(entries), {entry.name: entry for entry in before}, taken))
        return None

    root = Entry(b"", stat.S_IFDIR, tree)
    if trouble := opened(b"", root, root._replace(id=base) if base else None):
        yield File(b"", root, trouble)
    while folders:
        folder = folders[-1]
        entry = next(folder.entries, None)
        if entry is None:
            size -= folders.pop().size
            continue
        earlier = folder.earlier.get(entry.name)
        if earlier == entry and not whole:
            continue
        objects.budget.spend(ENTRY_BYTES)
        path = folder.path + entry.name
        if not stat.S_ISDIR(entry.mode):
            yield File(path, entry, None, earlier == entry)
        elif trouble := opened(path + b"/", entry, earlier):
            yield File(path, entry, trouble)


def _unchanged(objects: Objects, origin: Origin, trees: tuple[bytes, bytes], limits: Limits) -> Iterator[Row]:
    """Rows of unchanged files that speak for the licences of changed ones, or through which others speak.

    They are those that `limits.evidence` names, then what links and package metadata lead to: one link further with
    each walk through the tree.
    """
    assert limits.evidence
    given: set[str] = set()
    leads = dict.fromkeys(("",))
    seen: set[str] = set()
    for walk in range(MAX_LINKS):
        seen |= set(leads)
        wanted, leads = _Wanted(leads), {}
        for file in files(objects, *trees, whole=True):
            path = member_path(file.path)[0]
            if path in given or not (wanted.has(path) if walk else limits.is_evidence(path)):
                continue
            row = _row(objects, origin, file, limits)
            if row.link is not None:
                leads |= dict.fromkeys(wanted.behind(path, row.link) if walk else (row.link,))
            elif text := row.content or row.evidence:
                leads |= dict.fromkeys(limits.evidence.leads(path, text) if limits.is_evidence(path) else ())
            if file.is_unchanged:
                given.add(path)
                yield _as_unchanged(row)
        leads = {lead: None for lead in map(posixpath.normpath, leads) if lead not in seen}
        if not leads:
            return


class _Wanted:
    """Paths and globs of paths that links and package metadata lead to."""

    def __init__(self, leads: Iterable[str]) -> None:
        self._globs = [lead for lead in leads if glob.has_magic(lead)]
        self._paths = {lead for lead in leads if not glob.has_magic(lead)}
        self._folders = {path[:end] for path in self._paths for end, letter in enumerate(path) if letter == "/"}

    def has(self, path: str) -> bool:
        """Whether a file is wanted, or lies in a folder that is, or is a link in the place of a folder above one."""
        if path in self._paths or path in self._folders:
            return True
        above = (path[:end] for end, letter in enumerate(path) if letter == "/")
        return any(folder in self._paths for folder in above) or any(fnmatchcase(path, name) for name in self._globs)

    def behind(self, link: str, target: str) -> list[str]:
        """Where that which is wanted lies, now that a part of its path proves to be a link."""
        return [target + path[len(link) :] for path in self._paths if path == link or path.startswith(f"{link}/")]


def _as_unchanged(row: Row) -> Row:
    """The same row for its evidence alone."""
    text = b"" if row.reason == "input.empty" else row.content or row.evidence
    told = None if text is not None or row.link else row.reason
    return row._replace(
        content=None, content_id=None, evidence=text, reason="input.unchanged", detail=told and f"not read: {told}"
    )


def _row(objects: Objects, origin: Origin, file: File, limits: Limits) -> Row:
    path, unsafe = member_path(file.path)
    if unsafe:
        return failed_row(origin, path, None, "input.unsafe_path", unsafe)
    if file.trouble:
        return failed_row(origin, path, None, *file.trouble)
    if file.entry.name in (b"", b"."):
        return failed_row(origin, path, None, "input.unsafe_path", "no name")
    mode, id = file.entry.mode, file.entry.id
    if stat.S_IFMT(mode) == SUBMODULE:
        return failed_row(origin, path, None, "input.submodule", f"commit {id.decode()}")
    if stat.S_ISLNK(mode):
        return link_row(origin, path, None, "symlink", _link(objects, id, path))
    if not stat.S_ISREG(mode):
        return failed_row(origin, path, None, "input.not_regular", FILE_KINDS.get(stat.S_IFMT(mode), f"mode {mode:o}"))
    try:
        data = objects.unchecked(id, BLOB, limits.most_bytes(path))
    except TooLarge as error:
        return too_large_row(origin, path, error.size, limits)
    except Corrupt as error:
        return failed_row(origin, path, None, "input.corrupt", str(error))
    except (Unreadable, OSError) as error:
        return failed_row(origin, path, None, "input.unreadable", reason(error))
    row = text_row(origin, path, data, limits)
    if row.content_id != id.decode():
        return failed_row(origin, path, len(data), "input.corrupt", f"{id.decode()} has other bytes than its id says")
    return row


def _link(objects: Objects, id: bytes, path: str) -> str | None:
    """Where a symbolic link leads; null where its object cannot be read."""
    try:
        target = objects.unchecked(id, BLOB, MAX_PATH)
    except (Corrupt, TooLarge, Unreadable, OSError):
        return None
    return link_target(path, target) if content_id(target) == id.decode() else None
