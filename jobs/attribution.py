"""Whom the corpus owes thanks: each kept repository's licences, copyright holders and files.

MIT, BSD and Apache-2.0 let code be passed on with its copyright notices. `report/attribution.parquet` holds them for
programs, `report/NOTICE.txt` for people.
"""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import IO, Any

import license_expression
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from jobs.report import Totals
from pipeline.storage import Store
from schemas.datasets import field
from transforms.copyrights import copyright_holders
from transforms.license import license_scope

HEADER_BYTES = 4096
"""Where a kept file's own copyright statements are looked for; licence files are read whole."""
MOST_HOLDERS = 1000
"""Holders that are named for one repository; those of its licence files come first, then by first appearance."""
FILES_AT_ONCE = 1 << 22
"""Kept files whose paths are in memory at a time, some 60 bytes each; each such run of repositories reads the ledger
again."""

NAMES = pa.list_(pa.string())
ATTRIBUTION = pa.schema(
    [
        field("repo", pa.string(), "repository: owner/name, a package, a folder", nullable=False),
        field("revisions", NAMES, "commits, tags or versions of its kept files, where known"),
        field("sources", NAMES, "kind and uri of the recipe's sources that gave its kept files"),
        field("licenses", NAMES, "SPDX expressions of its kept files; empty where none was found"),
        field("holders", NAMES, "copyright holders, without years and e-mail addresses; sorted"),
        field("holders_left_out", pa.int64(), f"statements of holders beyond the first {MOST_HOLDERS:,}"),
        field("files", pa.int64(), "number of its files in the corpus"),
        field("paths", NAMES, "these files; sorted"),
    ]
)
"""One row per repository with a kept file, sorted by its name."""

Holders = dict[str, dict[str, str]]
"""By repository: a holder's name by the name's key."""


def write_attribution(store: Store) -> None:
    """Writes report/attribution.parquet and report/NOTICE.txt about the kept files of the run in a location.

    The same datasets give the same bytes. Reads the contents of `corpus` and `files` once, batch by batch; memory grows
    with the number of kept repositories and their holders. Raises FileNotFoundError where one of these or the ledger is
    not committed.
    """
    kept = _kept_repositories(store)
    holders, left_out = _holders(store, kept)
    identifiers: set[str] = set()
    with store.writing("report", "attribution.parquet") as data, store.writing("report", "NOTICE.txt") as notice:
        notice.write(_opening(kept).encode())
        with pq.ParquetWriter(data, ATTRIBUTION, compression="zstd") as writer:
            for first, last in _runs(kept):
                table = _attributed(_kept_files(store, first, last), holders, left_out)
                writer.write_table(table, row_group_size=max(table.num_rows, 1))
                _write_sections(notice, table, identifiers)
        notice.write(_closing(identifiers).encode())


def _batches(store: Store, dataset: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    for shard in range(len(store.committed(dataset).shards)):
        yield from store.read(dataset, shard, columns)


# the repositories, and the files that are kept of them


def _kept_repositories(store: Store) -> dict[str, int]:
    """Kept files by repository, sorted by its name."""
    totals = Totals(("repo",), ("rows",), most_bytes=1 << 62)
    for batch in _batches(store, "ledger", ("repo", "decision")):
        repos = batch.filter(pc.equal(batch.column("decision"), "kept")).column("repo")
        totals.add(pa.table({"repo": repos, "rows": pa.repeat(pa.scalar(1, pa.int64()), len(repos))}))
    counts = totals.table()
    return dict(sorted(zip(counts["repo"].to_pylist(), counts["rows"].to_pylist(), strict=True)))


def _runs(kept: dict[str, int]) -> Iterator[tuple[str, str]]:
    """First and last name of runs of repositories with some `FILES_AT_ONCE` kept files each."""
    before, numbered = 0, []
    for repo, files in kept.items():
        numbered.append((before // FILES_AT_ONCE, repo))
        before += files
    for _, run in groupby(numbered, key=lambda entry: entry[0]):
        names = [repo for _, repo in run]
        yield names[0], names[-1]


def _kept_files(store: Store, first: str, last: str) -> pa.Table:
    """The ledger's kept files of the repositories from `first` to `last`, sorted."""
    columns = ("repo", "path", "source", "revision", "license")
    parts = []
    for batch in _batches(store, "ledger", (*columns, "decision")):
        repo = batch.column("repo")
        within = pc.and_(pc.greater_equal(repo, first), pc.less_equal(repo, last))
        parts.append(batch.filter(pc.and_(within, pc.equal(batch.column("decision"), "kept"))).select(columns))
    return pa.Table.from_batches(parts).sort_by([(name, "ascending") for name in columns])


def _attributed(files: pa.Table, holders: Holders, left_out: dict[str, int]) -> pa.Table:
    """Rows of `ATTRIBUTION` for the repositories of sorted files."""
    distinct = ("revision", "source", "license")
    wanted = [*((name, "distinct") for name in distinct), ("path", "list"), ("path", "count")]
    grouped = files.group_by("repo", use_threads=False).aggregate(wanted)
    repos = grouped["repo"].to_pylist()
    revisions, sources, licenses = (
        pa.array([sorted(set(values) - {None}) for values in grouped[f"{name}_distinct"].to_pylist()], NAMES)
        for name in distinct
    )
    named = pa.array([sorted(holders.get(repo, {}).values()) for repo in repos], NAMES)
    beyond = pa.array([left_out.get(repo, 0) for repo in repos], pa.int64())
    made = [grouped["repo"], revisions, sources, licenses, named, beyond]
    return pa.Table.from_arrays([*made, grouped["path_count"], grouped["path_list"]], schema=ATTRIBUTION)


# the holders: in licence files of the repositories, then in the first lines of the kept files


def _holders(store: Store, kept: dict[str, int]) -> tuple[Holders, dict[str, int]]:
    """Copyright holders of the kept repositories, and how many statements were left out for want of room."""
    holders: Holders = {}
    left_out: dict[str, int] = {}
    for repo, text in _texts(store):
        if repo not in kept:
            continue
        names = holders.setdefault(repo, {})
        for holder in copyright_holders(text):
            key = "".join(one for one in holder if unicodedata.category(one)[0] in "LMN").casefold()
            if key in names or len(names) < MOST_HOLDERS:
                names.setdefault(key, holder)
            else:
                left_out[repo] = left_out.get(repo, 0) + 1
    return holders, left_out


def _texts(store: Store) -> Iterator[tuple[str, bytes]]:
    """Repository and text of what may state a copyright: licence files whole, kept files by their header."""
    for batch in _batches(store, "files", ("repo", "path", "content")):
        batch = batch.filter(pc.match_substring_regex(batch.column("path"), _MAYBE_NOTICE))
        batch = batch.filter(pa.array([is_notice(path) for path in batch.column("path").to_pylist()], pa.bool_()))
        yield from _stating(batch.column("repo"), batch.column("content").cast(pa.binary()))
    for batch in _batches(store, "corpus", ("repo", "content")):
        header = pc.binary_slice(batch.column("content").cast(pa.binary()), 0, HEADER_BYTES)
        yield from _stating(batch.column("repo"), header)


def _stating(repo: pa.Array, text: pa.Array) -> Iterator[tuple[str, bytes]]:
    stating = pc.fill_null(pc.match_substring_regex(text, _MAYBE_STATEMENT), False)
    yield from zip(repo.filter(stating).to_pylist(), text.filter(stating).to_pylist(), strict=True)


def is_notice(path: str) -> bool:
    """Whether a file of this path speaks of a repository's copyright: a licence file, NOTICE, AUTHORS, COPYRIGHT."""
    return license_scope(path) == "directory" or _NOTICE_NAME.search(path) is not None


_MAYBE_NOTICE = r"(?i)licen[cs]e|copying|copyright|notice|authors"
_NOTICE_NAME = re.compile(r"(?:^|/)(?:notices?|authors|copyright)(?:\.(?:txt|md|rst|html?))?$", re.I)
_MAYBE_STATEMENT = r"(?i)copyright|\(c\)|©"


# the notice


def _opening(kept: dict[str, int]) -> str:
    return (
        f"NOTICE\n\nThe corpus holds {sum(kept.values()):,} files of {len(kept):,} repositories. "
        "It was made from them; the rights stay with their holders.\n"
        "The files of each are listed in attribution.parquet.\n"
    )


def _write_sections(notice: IO[bytes], table: pa.Table, identifiers: set[str]) -> None:
    """One section per repository; the SPDX ids that they name are added to `identifiers`."""
    for row in table.drop_columns(["paths"]).to_pylist():
        for expression in row["licenses"]:
            identifiers.update(_identifiers(expression))
        notice.write(_section(row).encode())


def _section(row: dict[str, Any]) -> str:
    holders = "; ".join(row["holders"]) or "none stated"
    if row["holders_left_out"]:
        holders += f"; and others, in {row['holders_left_out']:,} more statements"
    entries = {
        "revision": ", ".join(row["revisions"]) or "not known",
        "source": ", ".join(row["sources"]),
        "licences": "; ".join(row["licenses"]) or "none found",
        "copyright": holders,
        "files": f"{row['files']:,}",
    }
    lines = [row["repo"], *(f"  {label + ':':<11}{text}" for label, text in entries.items())]
    return "\n" + "".join(f"{_one_line(line)}\n" for line in lines)


def _closing(identifiers: set[str]) -> str:
    lines = [
        name if name.startswith("LicenseRef-") else f"{name}  https://spdx.org/licenses/{name}.html"
        for name in sorted(identifiers)
    ]
    return "\nLicences named above\n" + "".join(f"  {_one_line(line)}\n" for line in lines)


def _identifiers(expression: str) -> list[str]:
    """The SPDX ids of licences and exceptions in an expression; the whole of one that does not parse."""
    try:
        return license_expression.Licensing().license_keys(expression)
    except license_expression.ExpressionError:
        return [expression]


def _one_line(text: str) -> str:
    """A text from a corpus with its control and direction marks spelled out, so that no name fakes a line."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
