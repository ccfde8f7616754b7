"""From a file's bytes to its row: text, or the reason why there is none."""

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import pyarrow as pa
from charset_normalizer import from_bytes

from schemas.datasets import SOURCE_ROW

MAX_PATH = 4096
"""Characters in a path; Linux's PATH_MAX."""

CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
DRIVE_LETTER = re.compile(r"[A-Za-z]:[/\\]")

LFS_VERSIONS = rb"https://git-lfs\.github\.com/spec/v1|https://hawser\.github\.com/spec/v1|http://git-media\.io/v/2"
LFS_POINTER = re.compile(
    rb"(?:\xef\xbb\xbf)?version (?:%b)[ \t]*[\r\n]+(?:\S+ [^\r\n]*[\r\n]+)*?"
    rb"oid sha256:([0-9A-Za-z]{64})[ \t]*[\r\n]+(?:\S+ [^\r\n]*[\r\n]+)*?size (\d+)[ \t]*(?:[\r\n]|\Z)" % LFS_VERSIONS
)
"""The versions that git-lfs itself reads, the last two from before it had its name; other keys may stand between."""
LFS_POINTER_BYTES = 1024
"""A pointer's form and largest size (Git LFS Specification, "The Pointer")."""

UNKEPT = ("input.binary", "input.not_utf8", "input.too_large")
"""Reasons of files whose bytes were read, though no row has them as its content."""

FILE_KINDS = {
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFDIR: "folder",
}
"""What a file's mode says of it, where it is no regular file."""


MAX_EVIDENCE_BYTES = 1 << 20
"""A larger file is no licence, nor package metadata that anyone wrote."""


class EvidenceNames(Protocol):
    """Which files speak for the licences of others, by their names: what nobody could keep is read of them as well."""

    def speaks(self, path: str) -> bool:
        """Whether a file of this path does."""
        ...

    def leads(self, path: str, text: bytes) -> Iterable[str]:
        """Paths, and globs of paths, from the repository's root that a file of this path and text speaks through."""
        ...


@dataclass(frozen=True)
class Limits:
    """Bounds on what is read, so that no input can fill memory, disk or time; and what is read for its evidence."""

    max_file_bytes: int = 1 << 20
    """A larger file is not read: `input.too_large`."""
    max_ratio: int = 200
    """Bytes out per byte in of a compressed archive; deflate itself can reach 1,032. Above: `input.bomb`."""
    max_archive_bytes: int = 64 << 30
    """Bytes that one compressed archive may grow to. Above: `input.bomb`."""
    batch_bytes: int = 8 << 20
    """Content in one record batch; a larger file is a batch alone."""
    batch_rows: int = 4096
    """Rows in one record batch."""
    evidence: EvidenceNames | None = None
    """Files whose text is given as `evidence` where they have no `content`; None: of no file."""

    def __post_init__(self) -> None:
        if min(self.max_file_bytes, self.max_ratio, self.max_archive_bytes, self.batch_bytes, self.batch_rows) < 1:
            raise ValueError(f"limits must be positive: {self}")
        if max(self.max_file_bytes, self.batch_bytes) > 1 << 30:
            raise ValueError("max_file_bytes and batch_bytes must not exceed 1 GiB: a batch addresses 2 GiB of text")

    def is_evidence(self, path: str) -> bool:
        """Whether a file of this path is read for its evidence."""
        return self.evidence is not None and self.evidence.speaks(path)

    def most_bytes(self, path: str) -> int:
        """Bytes up to which a file of this path is read."""
        return max(self.max_file_bytes, MAX_EVIDENCE_BYTES) if self.is_evidence(path) else self.max_file_bytes


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True)
class Origin:
    """What the rows of one repository share."""

    source: str
    repo: str
    revision: str | None = None
    license: str | None = None
    stars: int | None = None
    last_commit: int | None = None
    """In seconds since 1970."""
    authors: int | None = None


class Row(NamedTuple):
    """One row of SOURCE_ROW; `content` is UTF-8 that was checked."""

    origin: Origin
    path: str
    size: int | None
    content_id: str | None
    content: bytes | None
    reason: str | None
    detail: str | None
    evidence: bytes | None = None
    """UTF-8 as well."""
    link: str | None = None


def content_id(data: bytes) -> str:
    """The git blob id of a file's bytes: SHA-1 over ``blob <size>\\0`` and the bytes, as 40 hex digits."""
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def text_row(origin: Origin, path: str, data: bytes, limits: Limits) -> Row:
    """The row of a file that was read whole: its text, or the reason why there is none, and what it is evidence of."""
    if len(data) > limits.max_file_bytes:
        row = too_large_row(origin, path, len(data), limits)._replace(content_id=content_id(data))
    else:
        row = _text_row(origin, path, data)
    is_evidence = row.reason in UNKEPT and len(data) <= MAX_EVIDENCE_BYTES and limits.is_evidence(path)
    return row._replace(evidence=decoded(data)) if is_evidence else row


def _text_row(origin: Origin, path: str, data: bytes) -> Row:
    name = content_id(data)
    if not data:
        return Row(origin, path, 0, name, None, "input.empty", None)
    if (nul := data.find(b"\0")) >= 0:
        return Row(origin, path, len(data), name, None, "input.binary", f"NUL at byte {nul}")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return Row(origin, path, len(data), name, None, "input.not_utf8", f"byte {error.start}")
    if len(data) < LFS_POINTER_BYTES and (pointer := LFS_POINTER.match(data)):
        told = f"sha256:{pointer[1].decode()}, {pointer[2].decode()} bytes"
        return Row(origin, path, len(data), name, None, "input.git_lfs_pointer", told)
    return Row(origin, path, len(data), name, data, None, None)


def decoded(data: bytes) -> bytes | None:
    """A text in whatever encoding as UTF-8, a NUL as a blank; None where it is no text.

    Words of a licence are ASCII in any code page, so one that is mistaken for another changes none of them.
    """
    if b"\0" not in data and _is_utf8(data):
        return data
    best = from_bytes(data).best()
    return None if best is None else str(best).replace("\0", " ").encode("utf-8", "replace")


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def failed_row(origin: Origin, path: str, size: int | None, reason: str, detail: str | None = None) -> Row:
    """The row of a file that was not read."""
    return Row(origin, path, size, None, None, reason, detail)


def link_row(origin: Origin, path: str, size: int | None, kind: str, link: str | None) -> Row:
    """The row of a link, which is not followed; `link` leads from the repository's root."""
    return failed_row(origin, path, size, "input.not_regular", kind)._replace(link=link)


def link_target(path: str, target: bytes | str) -> str:
    """Where a symbolic link leads, from the root that its own path starts from; an absolute one stays as it is."""
    text, folder = printable(target)[:MAX_PATH], path.rpartition("/")[0]
    return f"{folder}/{text}" if folder and not text.startswith("/") else text


def too_large_row(origin: Origin, path: str, size: int, limits: Limits) -> Row:
    """The row of a file over the size bound."""
    return failed_row(origin, path, size, "input.too_large", f"{size} bytes > {limits.max_file_bytes}")


def printable(name: bytes | str) -> str:
    """A name as valid UTF-8 in one line: other bytes and control characters appear as ``\\xff``."""
    if isinstance(name, bytes):
        name = name.decode("utf-8", "surrogateescape")
    return CONTROL_CHARACTERS.sub(_escape, name)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else ascii(match[0])[1:-1]


def member_path(name: bytes | str) -> tuple[str, str | None]:
    """A member's name in an archive as a relative path, and what makes it unsafe, if anything does.

    ``./`` and doubled slashes go. An unsafe name is kept as it stands, cut to `MAX_PATH`, for the ledger.
    """
    text = printable(name)
    unsafe = None
    if text.startswith(("/", "\\")):
        unsafe = "absolute path"
    elif DRIVE_LETTER.match(text):
        unsafe = "drive letter"
    elif ".." in text and ".." in re.split(r"[/\\]", text):
        unsafe = "leads out of the archive"
    elif len(text) > MAX_PATH:
        unsafe = f"{len(text)} characters > {MAX_PATH}"
    if unsafe:
        return text[:MAX_PATH], unsafe
    if text.startswith("./") or "//" in text or "/./" in text:
        text = "/".join(part for part in text.split("/") if part not in ("", "."))
    return text, None


def batches(rows: Iterable[Row], limits: Limits) -> Iterator[pa.RecordBatch]:
    """Rows gathered into record batches of SOURCE_ROW, within the bounds of `limits`."""
    held: list[Row] = []
    held_bytes = 0
    for row in rows:
        size = len(row.content or row.evidence or b"")
        if held and (held_bytes + size > limits.batch_bytes or len(held) >= limits.batch_rows):
            yield _batch(held)
            held, held_bytes = [], 0
        held.append(row)
        held_bytes += size
    if held:
        yield _batch(held)


def _batch(rows: list[Row]) -> pa.RecordBatch:
    origins, paths, sizes, content_ids, contents, reasons, details, evidence, links = zip(*rows, strict=True)
    columns = [
        pa.array([origin.source for origin in origins], pa.string()),
        pa.array([origin.repo for origin in origins], pa.string()),
        pa.array([origin.revision for origin in origins], pa.string()),
        pa.array(paths, pa.string()),
        pa.array(sizes, pa.int64()),
        pa.array(content_ids, pa.string()),
        pa.array(contents, pa.binary()).view(pa.string()),  # checked by text_row
        pa.array([origin.license for origin in origins], pa.string()),
        pa.array([origin.stars for origin in origins], pa.int64()),
        pa.array([origin.last_commit for origin in origins], SOURCE_ROW.field("repo_last_commit").type),
        pa.array([origin.authors for origin in origins], pa.int32()),
        pa.array(reasons, pa.string()),
        pa.array(details, pa.string()),
        pa.array(evidence, pa.binary()).view(pa.string()),
        pa.array(links, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SOURCE_ROW)
