"""Licences that a link or a manifest leads to: a file of the same repository speaks in another's place, too.

A link that is named like a licence file or package metadata says what its target says, in whatever folder that lies; a
link that is named like a folder of licences, what the files in its target say. Where package metadata names a file as
its licence, that file speaks for the package. What leads out of the repository, to nothing, or to what was not read,
speaks for unknown terms.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.license_metadata import hosted_file
from transforms.license_names import evidence_scope, is_license_folder, is_license_text, license_scope

UNKNOWN = "LicenseRef-scancode-unknown"
MOST_LINKS = 40
"""Links upon one another that are followed, as on Linux (path_resolution(7))."""
MOST_IN_FOLDER = 1000
"""Files of a linked folder that are heard."""
MOST_NAMES, LONGEST_NAME = 100, 1000
"""Of a manifest that names more files, or longer names, none is looked for."""


class Said(NamedTuple):
    """What is said in a place where no file of that path says it itself."""

    path: str
    scope: str
    expression: str
    evidence: str


def with_pointed(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows and, behind them, one for each text that a link or manifest leads to, under the path of the latter."""
    links = pc.and_(pc.is_valid(batch["link"]), pc.is_null(batch["license_found"]))
    manifests = pc.is_valid(batch["license_files"])
    leading = pc.indices_nonzero(pc.or_(links, manifests))
    if not len(leading):
        return batch
    repo_of_row = batch["repo"].dictionary_encode().indices.to_numpy()
    said: dict[str, list] = {name: [] for name in ("repo", "path", "scope", "expression", "evidence")}
    for repo in np.unique(repo_of_row[leading.to_numpy()]).tolist():
        rows = np.flatnonzero(repo_of_row == repo)
        repository = _Repository(batch.take(pa.array(rows)))
        for told in dict.fromkeys(repository.told()):
            said["repo"].append(repository.name)
            for name, value in told._asdict().items():
                said[name].append(value)
    known = {
        "repo": said["repo"],
        "path": said["path"],
        "license_scope": said["scope"],
        "license_found": said["expression"],
        "license_granted": said["expression"],
        "license_evidence": said["evidence"],
        "row_id": [-1] * len(said["repo"]),
    }
    columns = [
        pa.array(known[given.name], given.type) if given.name in known else pa.nulls(len(said["repo"]), given.type)
        for given in batch.schema
    ]
    schema = pa.schema([given.with_nullable(True) for given in batch.schema])
    behind = pa.RecordBatch.from_arrays(columns, schema=schema)
    both = pa.Table.from_batches([batch.cast(schema), behind]).combine_chunks()
    return both.to_batches()[0]


class _Repository:
    """The paths of one repository, its links, and what its files say."""

    def __init__(self, rows: pa.RecordBatch) -> None:
        self.name: str = rows["repo"][0].as_py()
        self._rows = rows
        self._paths: list[str] = rows["path"].to_pylist()
        self._row_of = {path: row for row, path in reversed(list(enumerate(self._paths)))}
        linked = pc.indices_nonzero(pc.is_valid(rows["link"])).to_pylist()
        self._links: dict[str, str] = {self._paths[row]: rows["link"][row].as_py() for row in linked}
        self._folders = {path[:end] for path in self._paths for end in _slashes(path)} | {""}

    def told(self) -> Iterator[Said]:
        """All that links and manifests lead to, in the order of their paths."""
        for row, path in enumerate(self._paths):
            if path in self._links and not self._rows["license_found"][row].is_valid:
                yield from self._linked(path)
            for names in self._rows["license_files"][row].as_py() or ():
                yield from self._named(path, names)

    def resolved(self, path: str) -> str | None:
        """The path without links and dots; null where it leads out of the repository or in circles."""
        left, done, links = path.split("/")[::-1], [], 0
        if path.startswith("/"):
            return None
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(part)
            target = self._links.get("/".join(done))
            if target is not None:
                links += 1
                if links > MOST_LINKS or target.startswith("/"):
                    return None
                left += target.split("/")[::-1]
                done = []
        return "/".join(done)

    def _linked(self, path: str) -> Iterator[Said]:
        scope, target = evidence_scope(path), self.resolved(path)
        if scope and target is not None and target in self._row_of:
            yield from self._from_file(path, scope, target)
        elif target is not None and target in self._folders and is_license_folder(path):
            yield from self._from_folder(path, target)
        elif scope or is_license_folder(path):
            place = path if scope else f"{path}/LICENSE"
            yield Said(place, scope or "directory", UNKNOWN, f"link to what is not there: {UNKNOWN}")

    def _from_file(self, path: str, scope: str, target: str) -> Iterator[Said]:
        expression, evidence = self._states(target)
        is_mute = expression is None and (scope == "package" or not is_license_text(path))
        if not (is_mute and evidence_scope(target)):
            yield Said(path, scope, expression or UNKNOWN, f"link to {target}: {evidence or UNKNOWN}")

    def _from_folder(self, path: str, target: str) -> Iterator[Said]:
        below = (row for row, found in enumerate(self._paths) if found.startswith(f"{target}/" if target else ""))
        for row in list(below)[:MOST_IN_FOLDER]:
            found = self._paths[row]
            place = path + found[len(target) :]
            scope = evidence_scope(place)
            expression, evidence = self._states(found)
            if scope and expression:
                yield Said(place, scope, expression, f"link to {found}: {evidence}")

    def _named(self, manifest: str, names: list[str]) -> Iterator[Said]:
        folder = manifest.rpartition("/")[0]
        is_said = False
        is_bounded = len(names) <= MOST_NAMES and max(map(len, names)) <= LONGEST_NAME
        for target in self._matching(folder, names) if is_bounded else ():
            expression, evidence = self._states(target)
            is_said |= expression is not None
            # What speaks for the folder anyway is heard there as what it is: a text, one of a store of texts.
            parent = target.rpartition("/")[0]
            parent = parent.rpartition("/")[0] if is_license_folder(parent) and parent != folder else parent
            is_heard = parent == folder and license_scope(target) == "directory"
            if expression and not is_heard:
                yield Said(manifest, "package", expression, f"names {target}: {evidence}")
        if not is_said:
            yield Said(manifest, "package", UNKNOWN, f"names {names[0][:100]}, which states nothing: {UNKNOWN}")

    def _matching(self, folder: str, names: Iterable[str]) -> list[str]:
        """The files that are meant by paths or globs from a folder, or by addresses of the repository itself."""
        found: dict[str | None, None] = {}
        for name in names:
            if hosted := hosted_file(name):
                repository, path = hosted
                is_own = self.name.rpartition("/")[2].lower().startswith(repository.lower().removesuffix(".git"))
                paths = [path] if is_own else []
            elif re.search(r"[*?[]", name):
                matched = pc.match_substring_regex(self._rows["path"], _pattern(folder, name))
                paths = self._rows["path"].filter(matched).to_pylist()
            else:
                paths = [f"{folder}/{name}" if folder and not name.startswith("/") else name]
            found |= dict.fromkeys(target for path in paths if (target := self.resolved(path)) in self._row_of)
        return [target for target in found if target is not None]

    def _states(self, path: str) -> tuple[str | None, str | None]:
        """What a file states as the text of a licence, and the evidence; unknown terms where it was not read."""
        row = self._row_of[path]
        named, granted, evidence, reason = (
            self._rows[name][row].as_py() for name in ("license_named", "license_granted", "license_evidence", "unread")
        )
        if granted is None and reason:
            return UNKNOWN, f"not read ({reason}): {UNKNOWN}"
        return named or granted, evidence


def _slashes(path: str) -> list[int]:
    return [end for end, letter in enumerate(path) if letter == "/"]


def _pattern(folder: str, glob: str) -> str:
    """A glob of PEP 639, from a folder, as a regular expression of RE2: `*` ends at a slash, `**` does not."""
    pieces = re.findall(r"\*\*/|\*\*|\*|\?|\[[^]/\\]+\]|.", glob.removeprefix("./"), re.S)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    body = "".join(
        known.get(piece) or (piece.replace("[!", "[^") if len(piece) > 1 else re.escape(piece)) for piece in pieces
    )
    return f"(?s)\\A{re.escape(f'{folder}/') if folder else ''}{body}\\z"
