"""Which files of its repository a file depends on, and an order in which those come first.

Imports are read from the text by patterns, cheaply: nothing is parsed, run or imported, and a statement inside a
comment or a string counts. They are looked for among the paths of the repository alone, where a name that another
project has too may be taken for its own. What a language does not make a file import is not seen: other files of the
same package in Go and in Java.

The order is that of Guo et al. 2024 (DeepSeek-Coder, arXiv 2401.14196), section 2.2, algorithm 1.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import accumulate
from posixpath import dirname, join, normpath, splitext
from typing import NamedTuple

import pyarrow as pa

from schemas.contracts import BatchFunction
from schemas.datasets import field

PYTHON = re.compile(
    r"^[ \t]*+(?:import[ \t]++([^#;\n]++)"
    r"|from[ \t]++([.\w]{1,300}+)[ \t]++import[ \t]++(?:\(([^)]{0,2000}+)\)|([^#;\n]++)))",
    re.MULTILINE,
)
JAVASCRIPT = re.compile(r"""\b(?:from|import|require)\b\s*+\(?\s*+['"](\.[^'"\n]{0,300}+)['"]""")
JAVA = re.compile(r"^[ \t]*+import[ \t]++((?:static[ \t]++)?[\w.]{1,300}+\*?)", re.MULTILINE)
GO = re.compile(r'^import[ \t]*+(?:\(([^)]{0,4000}+)\)|(?:[\w.]++[ \t]++)?("[^"\n]++"))', re.MULTILINE)
INCLUDE = re.compile(r'^[ \t]*+#[ \t]*+include[ \t]*+"([^"\n]{1,300}+)"', re.MULTILINE)
COMMENT = re.compile(r"#.*")
NAME = re.compile(r"([\w.]{1,300}+)(?:\s++as\s++\w++)?")
QUOTED = re.compile(r'"([^"\n]{1,300}+)"')
VERSION = re.compile(r"v\d+")

PYTHON_FILES = (".py", "/__init__.py")
JAVASCRIPT_FILES = ("", ".js", ".mjs", ".cjs", ".jsx", "/index.js", "/index.mjs", "/index.cjs")
IMPORTED_BY_FOLDER = (".go", ".java")
MOST_COMPONENTS = 8
"""Components of a path's end by which it is found, wherever it lies."""
LONGEST_PATH, MOST_FOLDERS = 1000, 32
"""Bounds on what a file is tied by: characters of its own path, and folders above it that are looked in."""


@dataclass(frozen=True)
class Imports:
    """What each file imports, as it says it; nothing in languages that are not read."""

    reads = ("content", "language")
    adds = pa.schema([field("imports", pa.list_(pa.string()), "what the file imports, in its language's words")])

    def load(self) -> BatchFunction:
        def read(batch: pa.RecordBatch) -> pa.RecordBatch:
            languages = [LANGUAGES.get(name) for name in batch.column("language").to_pylist()]
            found = [
                sorted(set(language.statements(content.as_py() or ""))) if language else []
                for content, language in zip(batch.column("content"), languages, strict=True)
            ]
            return pa.RecordBatch.from_arrays([pa.array(found, self.adds.field(0).type)], schema=self.adds)

        return read


def python_statements(text: str) -> Iterator[str]:
    """`a.b` for an import, `a.b:c` for one of a name from a module."""
    for modules, module, inside, listed in PYTHON.findall(text):
        names = NAME.findall(modules or COMMENT.sub("", inside or listed))
        yield from (f"{module}:{name}" for name in names or [""]) if module else names


def go_statements(text: str) -> Iterator[str]:
    for group in GO.findall(text):
        yield from QUOTED.findall("".join(group))


def python_places(statement: str, repo: str, path: str) -> list[str]:
    module, _, name = statement.partition(":")
    inner = module.lstrip(".")
    stem = inner.replace(".", "/")
    stems = [join(stem, name), stem] if name else [stem]
    files = [f"{stem}{ending}".lstrip("/") for stem in stems for ending in PYTHON_FILES]
    if inner != module:
        folder = join(*[".."] * (len(module) - len(inner) - 1), ".")
        return [place for file in files for place in beside(path, join(folder, file))]
    return files + [f"**/{file}" for file in files if "/" in file]


def javascript_places(statement: str, repo: str, path: str) -> list[str]:
    return [place for ending in JAVASCRIPT_FILES for place in beside(path, statement + ending)]


def java_places(statement: str, repo: str, path: str) -> list[str]:
    """The class's own file or, for a class or a static member inside another, that one's; or the package's folder."""
    name = statement.split()[-1].replace(".", "/")
    return [place for file in (name, dirname(name)) if file for place in (f"{file}.java", f"**/{file}.java")]


def go_places(statement: str, repo: str, path: str) -> list[str]:
    """A folder below the root, whose module is taken to be named like the repository, or else ends of two folders."""
    parts = [*statement.split("/")[-MOST_COMPONENTS:], "*.go"]
    name = repo.rpartition("/")[2]
    if name in parts:
        inside = parts[parts.index(name) + 1 :]
        return ["/" + "/".join(inside[1:] if VERSION.fullmatch(inside[0]) else inside)]
    return ["/" + "/".join(parts[first:]) for first in range(1, len(parts) - 2)]


def include_places(statement: str, repo: str, path: str) -> list[str]:
    return [*beside(path, statement), statement, f"**/{statement}"]


def beside(path: str, relative: str) -> list[str]:
    """The place of a path that is relative to the folder of another; none where it leads out of the repository."""
    place = normpath(join(dirname(path), relative))
    return [] if place.startswith(("..", "/")) else [f"/{place}"]


class Language(NamedTuple):
    """How a file says what it imports, and where that may lie: see `Tree`."""

    statements: Callable[[str], Iterable[str]]
    places: Callable[[str, str, str], list[str]]


LANGUAGES = {
    "Python": Language(python_statements, python_places),
    "JavaScript": Language(JAVASCRIPT.findall, javascript_places),
    "Java": Language(JAVA.findall, java_places),
    "Go": Language(go_statements, go_places),
    "C": Language(INCLUDE.findall, include_places),
    "C++": Language(INCLUDE.findall, include_places),
}
"""By linguist's name."""


def dependency_order(
    repo: str, paths: Sequence[str], languages: Sequence[str | None], imports: Sequence[Sequence[str]]
) -> list[int]:
    """The files of a repository, by number, each after those that it imports, as far as no cycle forbids it.

    Files that nothing ties together follow the order of their paths, and so do files between which the algorithm does
    not choose.
    """
    by_path = sorted(range(len(paths)), key=lambda number: (paths[number], number))
    tree = Tree([paths[number] for number in by_path])
    for file, number in enumerate(by_path):
        language = LANGUAGES.get(languages[number] or "")
        if language and len(paths[number]) <= LONGEST_PATH:
            for statement in imports[number]:
                tree.tie(file, language.places(statement, repo, paths[number]))
    return [by_path[node] for node in topological_order(tree.needs) if node < len(by_path)]


class Tree:
    """The sorted paths of a repository; `needs[n]` are the numbers of what the n-th one needs.

    What is imported by its folder has a name (`a/*.go`) and, once it is needed, a number too, and needs the folder's
    files. A place is a path from the root (`/a/b.py`), a path that is looked for in the file's folder and in each above
    it (`a/b.py`), or the end of a path, if it is that of one alone (`**/a/b.py`).
    """

    def __init__(self, paths: list[str]):
        self.paths = paths
        self.needs: list[set[int]] = [set() for _ in paths]
        self.numbers: dict[str, int] = {}
        self.members: dict[str, set[int]] = {}
        for number, path in enumerate(paths):
            self.numbers.setdefault(path, number)  # two sources may hold the same repository
            ending = splitext(path)[1]
            if ending in IMPORTED_BY_FOLDER and not path.endswith("_test.go"):
                self.members.setdefault(join(dirname(path), f"*{ending}"), set()).add(number)
        self.by_end: dict[str, str | None] = {}
        for path in (*self.numbers, *self.members):
            for end in accumulate(reversed(path.split("/")[-MOST_COMPONENTS:]), lambda end, part: f"{part}/{end}"):
                self.by_end[end] = None if end in self.by_end else path

    def tie(self, file: int, places: list[str]) -> None:
        """Has a file need what lies at the first of some places where something does."""
        found = next(filter(None, (self.find(place, self.paths[file]) for place in places)), None)
        if found is None or file in self.members.get(found, ()):
            return
        if found not in self.numbers:
            self.numbers[found] = len(self.needs)
            self.needs.append(self.members[found])
        self.needs[file] |= {self.numbers[found]} - {file}

    def find(self, place: str, path: str) -> str | None:
        if place.startswith("**/"):
            return self.by_end.get(place[3:])
        if place.startswith("/"):
            return place[1:] if self.has(place[1:]) else None
        folder = dirname(path)
        for _ in range(MOST_FOLDERS):
            if self.has(found := join(folder, place)):
                return found
            if folder in ("", "/"):
                break
            folder = dirname(folder)
        return None

    def has(self, path: str) -> bool:
        return path in self.numbers or path in self.members


def topological_order(needs: Sequence[Iterable[int]]) -> list[int]:
    """All numbers, each after those that it needs; of a cycle the one that needs fewest of what is left comes next.

    What hangs together lies together. Ties break on the number.
    """
    needed_by: list[list[int]] = [[] for _ in needs]
    left = [0] * len(needs)
    for number, others in enumerate(needs):
        for other in others:
            needed_by[other].append(number)
            left[number] += 1
    order: list[int] = []
    done = [False] * len(needs)
    for part in connected(needs, needed_by):
        heap = [(left[number], number) for number in part]
        heapify(heap)
        while heap:
            count, number = heappop(heap)
            if done[number] or count != left[number]:
                continue
            done[number] = True
            order.append(number)
            for other in needed_by[number]:
                left[other] -= 1
                if not done[other]:
                    heappush(heap, (left[other], other))
    return order


def connected(needs: Sequence[Iterable[int]], needed_by: Sequence[Iterable[int]]) -> Iterator[list[int]]:
    """The parts of a graph between which there is no tie, by their first numbers."""
    seen = [False] * len(needs)
    for first in range(len(needs)):
        part = [] if seen[first] else [first]
        seen[first] = True
        for number in part:  # grows as it goes
            for other in (*needs[number], *needed_by[number]):
                if not seen[other]:
                    seen[other] = True
                    part.append(other)
        if part:
            yield part
