"""GH Archive: what happened to public repositories on GitHub, hour by hour, as JSON lines (gharchive.org).

Three formats are read. Since 2015 an event names its `repo` and `actor` by number and name. From 2012 to 2014 it holds
a `repository` with its stars and forks by then, and the actor's name alone; in 2011 it is a mixture of both. A
`WatchEvent` is a star and a `ForkEvent` a fork; a `CreateEvent` of a repository tells its age. A star taken back, a
renaming and the deletion of a repository are no events: a `DeleteEvent` is of a branch or a tag.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

import pyarrow as pa

from pipeline.sources import MAX_PARTS
from pipeline.sources.files import Place, find_files, reason
from pipeline.sources.jsonl import ESCAPED, GROWTH, READ, chunks, lines
from pipeline.sources.rows import DEFAULT_LIMITS, Limits
from pipeline.sources.streams import Bomb, Corrupt, LeftOut
from pipeline.sources.tables import count
from schemas.datasets import EVENTS

NAME = re.compile(r"[^/\s]{1,100}/[^/\s]{1,200}")
DATE = "%Y/%m/%d %H:%M:%S %z"
"""How the oldest events write a time; the others follow ISO 8601."""


@dataclass(frozen=True)
class GhArchive:
    """Archives of events, plain or compressed, that match `uri`."""

    uri: str

    def splits(self, target: int) -> list["EventSplit"]:
        """Whole archives, gathered up to about `target` bytes of text. Raises SourceError where none matches."""
        splits: list[list[Place]] = []
        room = 0
        for place in find_files(self.uri):
            if not splits or place.size * GROWTH > room or len(splits[-1]) >= MAX_PARTS:
                splits.append([])
                room = target
            splits[-1].append(place)
            room -= place.size * GROWTH
        return [EventSplit(tuple(places)) for places in splits]


@dataclass(frozen=True)
class EventSplit:
    """Archives of events that one worker reads in one go; see `pipeline.sources.Readable`."""

    places: tuple[Place, ...]
    schema: ClassVar[pa.Schema] = EVENTS

    @property
    def size(self) -> int:
        return sum(place.size for place in self.places) * GROWTH

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256("\n".join(place.key for place in self.places).encode()).hexdigest()

    def read(self, limits: Limits = DEFAULT_LIMITS) -> Iterator[pa.RecordBatch]:
        """Batches of EVENTS: a row for each line that is not blank, and one where an archive is damaged."""
        held: list[Event] = []
        for place in self.places:
            for event in _events(place, limits):
                held.append(event)
                if len(held) >= limits.batch_rows:
                    yield _batch(held)
                    held = []
        if held:
            yield _batch(held)


class Event(NamedTuple):
    """One row of EVENTS; times in seconds since 1970."""

    archive: str
    kind: str
    identity: int | None = None
    repo: str | None = None
    who: int | None = None
    time: int | None = None
    created: int | None = None
    stars: int | None = None
    forks: int | None = None
    reason: str | None = None
    detail: str | None = None
    events: int = 1


def _batch(events: list[Event]) -> pa.RecordBatch:
    columns = [pa.array(column, kind.type) for column, kind in zip(zip(*events, strict=True), EVENTS, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=EVENTS)


def _events(place: Place, limits: Limits) -> Iterator[Event]:
    def failed(why: str, detail: str) -> Event:
        return Event(place.uri, "failed", reason=why, detail=detail)

    bound = limits.max_file_bytes * ESCAPED + READ
    try:
        with place.open() as file:
            number = 0
            for number, (line, size) in enumerate(lines(chunks(file, 0, limits), bound), 1):
                if line is None:
                    yield failed("input.too_large", f"line {number}: {size} bytes > {bound}")
                elif line.strip():
                    try:
                        yield from _parse(place.uri, json.loads(line))
                    except (ValueError, RecursionError) as error:
                        # A decoder's own words may quote the line: only where it stumbled is told.
                        told = error.args[0] if isinstance(error, Unusual) else _trouble(error)
                        yield failed("input.malformed_json", f"line {number}: {told}")
            if not number:
                yield failed("input.empty", "archive without events")
    except Corrupt as error:
        yield failed("input.corrupt", str(error))
    except LeftOut as error:
        yield failed("input.left_out", str(error))
    except Bomb as error:
        yield failed("input.bomb", str(error))
    except OSError as error:
        yield failed("input.unreadable", reason(error))


class Unusual(ValueError):
    """A JSON value that is no event."""


def _trouble(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return "nested too deeply" if isinstance(error, RecursionError) else "a number too long to read"


def _parse(archive: str, event: Any) -> Iterator[Event]:
    """The row of an event, and one for the repository that a fork made."""
    if not isinstance(event, dict):
        raise Unusual(f"{type(event).__name__}, not an object")
    name, time = event.get("type"), _time(event.get("created_at"))
    if not isinstance(name, str) or time is None:
        raise Unusual("no type" if not isinstance(name, str) else "no time under created_at")
    payload, actor = _object(event.get("payload")), _who(event.get("actor"))
    kind, who = "other", None
    if name == "WatchEvent" and payload.get("action", "started") == "started":
        kind, who = "star", actor
    elif name == "ForkEvent":
        forkee = payload.get("forkee")
        kind, who = "fork", _number(_object(forkee).get("id", forkee)) or actor
    elif name == "CreateEvent" and payload.get("ref_type", payload.get("object")) == "repository":
        kind = "creation"
    repository = _repository(event.get("repository") or event.get("repo"))
    if kind == "other" and repository is None:  # a gist, a follower: of no repository
        yield Event(archive, kind, time=time)
        return
    if repository is None or (kind in ("star", "fork") and who is None):
        raise Unusual(f"{name} without {'a repository' if repository is None else 'an actor'}")
    base = _repository(_object(_object(payload.get("pull_request")).get("base")).get("repo"))
    told = base if base is not None and base.identity == repository.identity else repository
    created = time if kind == "creation" else told.created
    yield Event(archive, kind, repository.identity, repository.name, who, time, created, told.stars, told.forks)
    if name == "ForkEvent" and (made := _repository(payload.get("forkee"))):
        yield Event(archive, "other", made.identity, made.name, None, time, made.created, events=0)


class Repository(NamedTuple):
    """What an event tells of a repository."""

    identity: int
    name: str
    created: int | None
    stars: int | None
    forks: int | None


def _repository(value: Any) -> Repository | None:
    value = _object(value)
    name = value.get("full_name") or value.get("name")
    if isinstance(name, str) and "/" not in name and isinstance(owner := value.get("owner"), str):
        name = f"{owner}/{name}"
    if not isinstance(name, str) or not NAME.fullmatch(name) or not name.isprintable():
        return None
    name = name.lower()
    stars = count(value.get("stargazers_count", value.get("watchers")))
    forks = count(value.get("forks_count", value.get("forks")))
    return Repository(_number(value.get("id")) or _hashed(name), name, _time(value.get("created_at")), stars, forks)


def _who(actor: Any) -> int | None:
    login = _object(actor).get("login", actor)
    known = _number(_object(actor).get("id"))
    return known or (_hashed(login.lower()) if isinstance(login, str) and login else None)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 62 else None


def _hashed(name: str) -> int:
    """A number below zero, where none that GitHub gives is."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return -1 - (int.from_bytes(digest) >> 1)


def _time(value: Any) -> int | None:
    """Seconds since 1970; without a zone it is UTC, whatever the machine's."""
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.strptime(value, DATE) if "/" in value else datetime.fromisoformat(value)
    except ValueError:
        return None
    try:
        return int((parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp())
    except OverflowError:
        return None
