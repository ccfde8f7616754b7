"""What a git repository's folder holds: its files, and its references.

The layout is git's own (gitrepository-layout, gitrevisions). Configuration, hooks, filters, grafts and replacements are
not looked at; no file outside the folder is opened, neither through a link nor as an alternate; nothing is written.
"""

import hashlib
import os
import re
import stat
from contextlib import suppress

from pipeline.sources.rows import printable

MAX_REFERENCE_BYTES = 64 << 20
"""A larger packed-refs is not read: a million references."""
MAX_LINKS = 10
"""References and tags that may follow upon one another."""
CHUNK = 1 << 16

OBJECT_ID = re.compile(rb"[0-9a-f]{40}")
LONG_ID = re.compile(rb"[0-9a-f]{64}\s*")


class Unreadable(Exception):
    """A repository, or an object, is stored in a way that is not read; the message says which, and what mends it."""


class Folder:
    """Files below a folder, none of them reached through a link."""

    def __init__(self, path: str) -> None:
        self._root = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self._root)

    def open(self, path: str, flags: int = 0) -> int:
        """A descriptor of a file or, with O_DIRECTORY, of a folder. Raises OSError."""
        *parents, name = path.split("/")
        if not all((*parents, name)) or ".." in (*parents, name):
            raise FileNotFoundError(2, "no such name", path)
        at = self._root
        try:
            for parent in parents:
                below = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
                if at != self._root:
                    os.close(at)
                at = below
            return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=at)
        finally:
            if at != self._root:
                os.close(at)

    def read(self, path: str, bound: int) -> bytes | None:
        """A file's bytes, None where there is no such file. Raises OSError; Unreadable where it is over the bound."""
        try:
            descriptor = self.open(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(bound + 1)
        if len(data) > bound:
            raise Unreadable(f"{path} is larger than {bound} bytes")
        return data

    def list(self, path: str) -> list[tuple[str, os.stat_result]]:
        """Names and states of a folder's files, sorted; nothing where there is no such folder. Raises OSError."""
        try:
            descriptor = self.open(path, os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return []
        found = []
        try:
            for name in sorted(os.listdir(descriptor)):
                with suppress(FileNotFoundError):  # git may remove a file meanwhile
                    found.append((name, os.stat(name, dir_fd=descriptor, follow_symlinks=False)))
        finally:
            os.close(descriptor)
        return found


class Repository:
    """A repository's references, and where its objects are; a context manager.

    Raises Unreadable where the folder is no repository that can be read by itself, and OSError.
    """

    def __init__(self, path: str) -> None:
        inner = os.path.join(path, ".git")
        with suppress(FileNotFoundError):
            mode = os.lstat(inner).st_mode
            if not stat.S_ISDIR(mode):
                kind = "link" if stat.S_ISLNK(mode) else "file"
                raise Unreadable(f".git is a {kind} that leads elsewhere; name the repository it leads to")
            path = inner
        self.folder = Folder(path)
        try:
            self._check()
        except BaseException:
            self.folder.close()
            raise

    def __enter__(self) -> "Repository":
        return self

    def __exit__(self, *error: object) -> None:
        self.folder.close()

    def _check(self) -> None:
        names = {name: status.st_mode for name, status in self.folder.list(".")}
        if "commondir" in names:
            raise Unreadable("is a linked worktree, whose objects are elsewhere; name the main repository")
        if "HEAD" not in names or not stat.S_ISDIR(names.get("objects", 0)):
            raise Unreadable("no git repository; it has no HEAD and no folder of objects")
        if "reftable" in names:
            raise Unreadable("keeps its references as reftable; convert them with git refs migrate --ref-format=files")
        if (self.folder.read("objects/info/alternates", CHUNK) or b"").strip():
            raise Unreadable(
                "borrows objects from elsewhere (objects/info/alternates); make it whole with git repack -a -d"
            )

    def state(self) -> tuple[int, str]:
        """Bytes that the objects take on disk, and what changes when a file of them does: by listing alone."""
        digest, size = hashlib.sha256(), 0
        for folder, _ in [("pack", None), *self.folder.list("objects")]:
            if folder == "pack" or re.fullmatch("[0-9a-f]{2}", folder):
                for name, status in self.folder.list(f"objects/{folder}"):
                    if folder != "pack" or name.endswith((".pack", ".idx")):
                        size += status.st_size
                        digest.update(
                            f"{folder}/{name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode(
                                "utf-8", "surrogateescape"
                            )
                        )
        return size, digest.hexdigest()

    def resolve(self, revision: str | None) -> tuple[bytes | None, str]:
        """The object that a revision, or HEAD, names; and the name of the reference that led to it.

        None where HEAD names a branch without a commit. Raises Unreadable for an unknown name, in gitrevisions' order.
        """
        if revision is None:
            return self._follow("HEAD")
        if OBJECT_ID.fullmatch(revision.encode("utf-8", "replace")):
            return revision.encode(), revision
        for form in ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD"):
            name = form.format(revision)
            if name.startswith("refs/") or name == "HEAD":
                found, last = self._follow(name)
                if found:
                    return found, last
        raise Unreadable(f"no branch, tag or commit {printable(revision)}; name one, a commit with all its 40 digits")

    def _follow(self, name: str) -> tuple[bytes | None, str]:
        for _ in range(MAX_LINKS):
            value = self._value(name)
            if value is None:
                return None, name
            if not value.startswith(b"ref:"):
                if LONG_ID.fullmatch(value):
                    raise Unreadable("names its objects by SHA-256, which is not read; convert it to SHA-1")
                if not OBJECT_ID.fullmatch(value):
                    raise Unreadable(f"{printable(name)} holds no object id")
                return value, name
            name = os.fsdecode(value[4:].strip())
            if not name.startswith("refs/"):
                raise Unreadable(f"{printable(name)[:100]} is no name of a reference")
        raise Unreadable("references follow upon one another without end")

    def _value(self, name: str) -> bytes | None:
        if "\0" in name or len(name) > 4096:
            return None
        with suppress(IsADirectoryError):
            value = self.folder.read(name, CHUNK)
            if value is not None:
                return value.strip()
        wanted = os.fsencode(name)
        for line in (self.folder.read("packed-refs", MAX_REFERENCE_BYTES) or b"").splitlines():
            id, _, at = line.partition(b" ")
            if at == wanted and not line.startswith(b"#"):
                return id
        return None

    def shallow(self) -> frozenset[bytes]:
        """Commits whose parents were left out when the repository was cloned."""
        return frozenset((self.folder.read("shallow", MAX_REFERENCE_BYTES) or b"").split())
