"""The report of a run: counts and names for programs (summary.json) and for people (index.html)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jinja2
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.license_scopes import other_scope
from jobs.progress import TEXT, makes
from pipeline.storage import ROW_BITS, Manifest, Store
from schemas.datasets import CAPPED
from transforms.license_inheritance import NOT_ALL_HEARD

RULES = (
    "input",
    "failed",
    "language",
    "quality",
    "repository",
    "license",
    "toxicity",
    "contaminated",
    "pii",
    "duplicate.repository",
    "duplicate.exact",
    "duplicate.near",
)
"""Families of reasons, in the order in which the rules are asked."""

REASONS = {
    "input": "It could not be read as a text file.",
    "input.altered": "Its bytes in the source are not those of its blob id, as where a table's text is not the file's.",
    "input.bomb": "The archive or repository unpacks to far more than it weighs; what came before the bound was read.",
    "input.binary": "It holds a NUL byte, so it is no text.",
    "input.corrupt": "The file is damaged or a part of it is missing, and what is left cannot be read.",
    "input.corrupt_archive": "The archive is damaged or cut short; what came before the damage was read.",
    "input.empty": "It has no content.",
    "input.empty_archive": "The archive holds no file.",
    "input.git_lfs_pointer": "It is the pointer that Git LFS keeps in the place of a file stored elsewhere.",
    "input.left_out": "It was not read: it lies beside an archive proper, or is a package that the recipe leaves out.",
    "input.malformed_json": "The line is not the JSON object that the source promises.",
    "input.no_content": "The source has a row for it, and no content.",
    "input.not_regular": "It is a link, a device or another member that is no regular file.",
    "input.not_utf8": "Its bytes are not valid UTF-8.",
    "input.submodule": "It is a submodule: another repository, named by a commit and not held in this one.",
    "input.unchanged": "It has not changed since the day of `since`; it is read for the licences of what has.",
    "input.too_large": "It is larger than the recipe's bound on file size.",
    "input.truncated": "The source holds a part of its bytes, or none of them.",
    "input.unreadable": "It could not be opened or read, for example for want of permission.",
    "input.unsafe_path": "Its name leads out of the archive or repository.",
    "failed": "The transform that the reason names raised an exception on it; the detail has the exception's type.",
    "language": "The recipe does not keep its language.",
    "language.not_selected": "Its language is not among those that the recipe keeps.",
    "language.unknown": "No language was recognised from its name and content.",
    "quality": "A measure of its text lies beyond the recipe's threshold.",
    "quality.alnum_fraction": "Too few of its characters are letters or digits.",
    "quality.alpha_fraction": "Too few of its characters are letters.",
    "quality.digit_fraction": "Too many of its characters are digits: data rather than code.",
    "quality.generated": "It says that a tool wrote it, or looks so.",
    "quality.hex_fraction": "Too many of its characters are hexadecimal digits: data rather than code.",
    "quality.max_line_length": "Its longest line is too long: minified code or data.",
    "quality.max_lines": "It has too many lines.",
    "quality.max_size": "It is larger than the quality rules allow.",
    "quality.mean_line_length": "Its lines are too long on average: minified code or data.",
    "quality.min_lines": "It has too few lines.",
    "quality.min_size": "It is smaller than the quality rules allow.",
    "quality.minified": "It is minified: whitespace and names were squeezed out.",
    "quality.vendored": "It is a copy of somebody else's project inside this one.",
    "repository": "Its repository is not one that the recipe keeps.",
    "repository.stars": "Its repository has fewer stars than the recipe asks for, or nobody tells how many.",
    "license": "Its licence is not among those that the recipe keeps.",
    "license.copyleft": "Its strictest licence is copyleft, such as the GPL.",
    "license.permissive": "Its licence is permissive, but is not among those that the recipe keeps.",
    "license.proprietary": "Its strictest licence is proprietary, or forbids some uses.",
    "license.unknown": "No licence was found; silence is never taken for permission.",
    "license.weak-copyleft": "Its strictest licence is weak copyleft, such as the LGPL or the MPL.",
    "toxicity": "A comment or string in it scores as abusive above the recipe's bound.",
    "contaminated": "It holds passages of a benchmark, which a model trained on it could then recite.",
    "pii": "It holds personal data or secrets, and the recipe drops such files whole.",
    "duplicate": "Another file stands for it.",
    "duplicate.exact": "Byte for byte the same as a file that is kept.",
    "duplicate.repository": "Its repository is a fork, by the share of contents in both, of one that is kept.",
    "duplicate.near": "Its measured similarity to a file that is kept reaches the recipe's threshold.",
}
"""What a reason says of a file. A name that is not here has the words of the family before its dot."""

OTHER_REASON = "A rule of the recipe; `codesieve why` tells the details of any file."

MEASURES = ("rows", "kept", "bytes", "bytes_kept")
MOST_BYTES = 256 << 20
"""Memory for the names that are counted apart: millions of repositories, or of survivors."""
MERGE_BYTES = 64 << 20
MERGE_PARTS = 256
LISTED = 20
"""Entries of a kind that the page shows."""
BINS = 20
"""Steps of similarity, each 0.05 wide."""
NAME_LENGTH = 120
NOTHING = pa.array([], pa.int64())


def write_report(store: Store) -> dict[str, Any]:
    """Writes report/summary.json and report/index.html about the run in a location; gives the summary.

    The same datasets give the same bytes. Raises FileNotFoundError where the ledger, the copies or the corpus
    is not committed, and ValueError where their rows do not add up.
    """
    summary = summarize(store)
    store.write_json(summary, "report", "summary.json")
    store.write_bytes(render(summary).encode(), "report", "index.html")
    return summary


def summarize(store: Store) -> dict[str, Any]:
    """Counts the ledger and the copies, batch by batch, in memory that the number of files does not change.

    All sizes are in bytes as read from the source; `rows` are files. The keys:

    - `rows`, `kept`, `dropped`, `failed`, `bytes`, `bytes_kept`; `conservation` says that they add up
    - `reasons`: decision, reason (null for kept), rows, bytes; in the order of the rules, kept last
    - `languages`: language (null where none was found), rows, kept, bytes, bytes_kept; largest first
    - `licenses`: `classes` (license_class, rows, kept, made_stricter), `expressions` (the same by license),
      both largest first; `made_stricter`, `made_stricter_kept`: files that a copy gave a stricter licence, and
      `turned`, from what to what (from, to, rows, kept), largest first;
      `not_all_heard`: files with more near copies than are asked for their licence, none of which changed it;
      `other_scope`: what the other `license.scope` would keep and drop (`jobs.license_scopes`)
    - `duplicates`: `exact` and `near` (rows, bytes), dropped; `survivors`: files that stand for them;
      `largest` clusters (survivor as repo/path, members with the survivor, exact, near, bytes dropped);
      `similarities` of the near ones (from, to, rows); `buckets` of more candidates than usual (file: the first,
      exact or of bands, files in the largest, number of such buckets), whose files were all compared none the less;
      `capped`: kept files that were like so many that they were compared with some of them only
    - `families` of repositories that share most of their contents: families, repositories in them, forks, `largest`
      (family, repositories, forks); `dropped` for being forks (rows, bytes, and `alone`: rows whose content no kept
      file has); null where the run did not look for them
    - `repositories`: `rows` (their number), `kept` (those with a kept file), `largest` by files
    - `corpus`: rows, bytes on storage, shards, format
    - `tokens`: blocks, block, tokens (padding of last blocks too), bytes; null where the run made none
    - `mixture` of the corpus in the tokens: files of it, how many it left out, copies of the others; `groups` (group,
      files, left_out, copies, bytes as read, and bytes of all copies as `packed`), largest first; null without one
    - `tokenizer`: vocabulary (null where it has no tokenizer.json), files; null where the run made none
    - `text` of `tokenize.text`: rows, kept, dropped, failed, bytes, bytes_kept, reasons, tokens, as above; null without
    - `complete`: false where names took more than `MOST_BYTES`, so that the rarest were let go
    - `fingerprint`, `code`: of the step that wrote the ledger
    """
    ledger, copies, corpus = (store.committed(name) for name in ("ledger", "copies", "corpus"))
    fates = _fates(store)
    told = _copies(store)
    dropped = _rows(fates["reasons"], "reason", "duplicate.repository") | {"alone": told["alone"]}
    families = _families(store)
    summary = fates | {
        "licenses": told["licenses"] | {"other_scope": other_scope(store)},
        "duplicates": fates["duplicates"] | told["duplicates"] | {"buckets": _buckets(store)},
        "families": families and families | {"dropped": dropped},
        "complete": fates["complete"] and told["complete"],
        "corpus": {
            "rows": corpus.rows,
            "bytes": corpus.bytes,
            "shards": len(corpus.shards),
            "format": corpus.format,
        },
        "tokens": _tokens(store.manifest("tokens")),
        "mixture": _mixture(store, corpus),
        "text": _text(store),
        "tokenizer": _tokenizer(store, store.manifest("tokenizer")),
        "fingerprint": ledger.fingerprint,
        "code": ledger.code,
    }
    return summary | {"conservation": _conservation(summary, ledger, copies)}


def _conservation(summary: dict[str, Any], ledger: Manifest, copies: Manifest) -> str:
    """The promise of the product as a line. Raises ValueError where it does not hold."""
    rows, kept, dropped, failed = (summary[name] for name in ("rows", "kept", "dropped", "failed"))
    line = f"{rows:,} = {kept:,} kept + {dropped:,} dropped + {failed:,} failed"
    if rows != kept + dropped + failed or rows != ledger.rows:
        raise ValueError(f"the ledger of {ledger.rows:,} files does not add up: {line}")
    if kept != summary["corpus"]["rows"]:
        raise ValueError(f"the ledger keeps {kept:,} files, the corpus holds {summary['corpus']['rows']:,}")
    if rows != copies.rows:
        raise ValueError(f"the ledger holds {rows:,} files, copies {copies.rows:,}")
    for entry in summary["reasons"]:
        if (entry["decision"] == "kept") != (entry["reason"] is None):
            raise ValueError(f"{entry['rows']:,} files are {entry['decision']} with reason {entry['reason']}")
    return line


class Totals:
    """Sums by key over a stream of tables, in bounded memory.

    Where the keys take more than `most_bytes`, the rarest are let go: `complete` turns false, and the sums
    of a key that comes again miss what was let go.
    """

    def __init__(self, keys: tuple[str, ...], sums: tuple[str, ...] = MEASURES, most_bytes: int = MOST_BYTES) -> None:
        self._keys, self._sums, self._most_bytes = list(keys), list(sums), most_bytes
        self._parts: list[pa.Table] = []
        self.complete = True

    def add(self, table: pa.Table) -> None:
        """Adds a table that has the keys and, as int64, what is summed; `rows` must be among the sums."""
        self._parts.append(self._summed(table))
        if len(self._parts) > MERGE_PARTS or sum(part.nbytes for part in self._parts[1:]) > MERGE_BYTES:
            self._merge()

    def table(self) -> pa.Table:
        """The sums so far, most rows first, then by key."""
        self._merge()
        return self._parts[0] if self._parts else pa.table(dict.fromkeys(self._keys + self._sums, NOTHING))

    def _summed(self, table: pa.Table) -> pa.Table:
        groups = table.group_by(self._keys, use_threads=False)
        sums = groups.aggregate([(name, "sum") for name in self._sums])
        columns = self._keys + [f"{name}_sum" for name in self._sums]
        return sums.select(columns).rename_columns(self._keys + self._sums)

    def _merge(self) -> None:
        if not self._parts:
            return
        order = [("rows", "descending"), *((key, "ascending") for key in self._keys)]
        merged = self._summed(pa.concat_tables(self._parts)).sort_by(order)
        if merged.nbytes > self._most_bytes:
            self.complete = False
            merged = merged.slice(0, merged.num_rows * self._most_bytes // merged.nbytes)
        self._parts = [merged]


def _batches(store: Store, dataset: str, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    for shard in range(len(store.committed(dataset).shards)):
        for batch in store.read(dataset, shard, columns):
            yield pa.Table.from_batches([batch])


def _with_counts(table: pa.Table, **counts: Any) -> pa.Table:
    for name, values in counts.items():
        table = table.append_column(name, pc.cast(pc.fill_null(values, 0), pa.int64()))
    return table


def _fates(store: Store, ledger: str = "ledger") -> dict[str, Any]:
    """What the ledger tells: fates, languages, repositories, and which files stand for others."""
    fates, languages, repositories = Totals(("decision", "reason")), Totals(("language",)), Totals(("repo",))
    survivors = Totals(("survivor",), ("rows", "exact", "near", "bytes"))
    for table in _batches(store, ledger, ("repo", "size", "language", "decision", "reason", "survivor")):
        kept = pc.equal(table["decision"], "kept")
        table = _with_counts(
            table,
            rows=pa.repeat(pa.scalar(1), table.num_rows),
            kept=pc.cast(kept, pa.int64()),
            bytes=table["size"],
            bytes_kept=pc.if_else(kept, table["size"], 0),
            exact=pc.cast(pc.equal(table["reason"], "duplicate.exact"), pa.int64()),
            near=pc.cast(pc.equal(table["reason"], "duplicate.near"), pa.int64()),
        )
        for totals in (fates, languages, repositories):
            totals.add(table)
        survivors.add(
            table.filter(pc.is_in(table["reason"], value_set=pa.array(["duplicate.exact", "duplicate.near"])))
        )
    reasons = sorted(fates.table().to_pylist(), key=_place)
    found, standing = repositories.table(), survivors.table()
    largest = standing.slice(0, LISTED).to_pylist()
    return {
        "rows": sum(entry["rows"] for entry in reasons),
        "bytes": sum(entry["bytes"] for entry in reasons),
        "bytes_kept": sum(entry["bytes_kept"] for entry in reasons),
        **{fate: _rows(reasons, "decision", fate)["rows"] for fate in ("kept", "dropped", "failed")},
        "reasons": [{key: entry[key] for key in ("decision", "reason", "rows", "bytes")} for entry in reasons],
        "languages": languages.table().to_pylist(),
        "duplicates": {
            "exact": _rows(reasons, "reason", "duplicate.exact"),
            "near": _rows(reasons, "reason", "duplicate.near"),
            "survivors": standing.num_rows,
            "largest": [_without(entry, "rows") | {"members": entry["rows"] + 1} for entry in largest],
        },
        "repositories": {
            "rows": found.num_rows,
            "kept": pc.sum(pc.greater(found["kept"], 0)).as_py() or 0,
            "largest": found.slice(0, LISTED).to_pylist(),
        },
        "complete": repositories.complete and survivors.complete,
    }


def _rows(reasons: list[dict[str, Any]], key: str, value: str) -> dict[str, int]:
    chosen = [entry for entry in reasons if entry[key] == value]
    return {name: sum(entry[name] for entry in chosen) for name in ("rows", "bytes")}


def _without(entry: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in keys}


def family(reason: str) -> str:
    """The family of `RULES` that a reason belongs to; an unknown reason's is what stands before its dot."""
    known = next((rule for rule in RULES if reason == rule or reason.startswith(f"{rule}.")), None)
    return known or reason.partition(".")[0]


def _place(entry: dict[str, Any]) -> tuple[int, str, int, str, str]:
    """Sorts reasons by the order of the rules, then by weight; what is kept comes last."""
    if entry["reason"] is None:
        return len(RULES) + 1, "", 0, "", entry["decision"]
    name = family(entry["reason"])
    rank = RULES.index(name) if name in RULES else len(RULES)
    return rank, name, -entry["rows"], entry["reason"], entry["decision"]


COPIES_READ = ("license", "license_class", "license_evidence", "reason", "detail", "similarity")


def _copies(store: Store) -> dict[str, Any]:
    """What the copies tell: licences by expression and class, and what duplicates are like."""
    sums = ("rows", "kept", "made_stricter", "made_stricter_kept", "not_all_heard")
    classes, expressions = Totals(("license_class",), sums), Totals(("license", "license_class"), sums)
    turned = Totals(("from", "to"), ("rows", "kept"))
    similarities = np.zeros(BINS, np.int64)
    alone = capped = 0
    for table in _with_own_license(store, COPIES_READ):
        kept = pc.is_null(table["reason"])
        stricter = pc.not_equal(pc.fill_null(table["license"], ""), pc.fill_null(table["own"], ""))
        not_all_heard = pc.fill_null(pc.match_substring(table["license_evidence"], NOT_ALL_HEARD), False)
        near = table.filter(pc.equal(table["reason"], "duplicate.near"))["similarity"].drop_null().to_numpy()
        similarities += np.bincount(np.clip((near * BINS).astype(int), 0, BINS - 1), minlength=BINS)
        forked = pc.equal(table["reason"], "duplicate.repository")
        alone += pc.sum(pc.and_(forked, pc.is_null(table["similarity"]))).as_py() or 0
        capped += pc.sum(pc.and_(kept, pc.starts_with(table["detail"], CAPPED))).as_py() or 0
        table = _with_counts(
            table,
            rows=pa.repeat(pa.scalar(1), table.num_rows),
            kept=pc.cast(kept, pa.int64()),
            made_stricter=pc.cast(stricter, pa.int64()),
            made_stricter_kept=pc.cast(pc.and_(kept, stricter), pa.int64()),
            not_all_heard=pc.cast(not_all_heard, pa.int64()),
        )
        classes.add(table)
        expressions.add(table)
        changed = table.filter(stricter)
        turned.add(changed.append_column("from", changed["own"]).append_column("to", changed["license"]))
    by_class = classes.table().to_pylist()
    return {
        "licenses": {
            "classes": [_without(entry, "made_stricter_kept", "not_all_heard") for entry in by_class],
            "expressions": [
                _without(entry, "made_stricter_kept", "not_all_heard") for entry in expressions.table().to_pylist()
            ],
            "made_stricter": sum(entry["made_stricter"] for entry in by_class),
            "made_stricter_kept": sum(entry["made_stricter_kept"] for entry in by_class),
            "turned": turned.table().to_pylist(),
            "not_all_heard": sum(entry["not_all_heard"] for entry in by_class),
        },
        "duplicates": {
            "similarities": [
                {"from": bin / BINS, "to": (bin + 1) / BINS, "rows": rows}
                for bin, rows in enumerate(similarities.tolist())
            ],
            "capped": capped,
        },
        "alone": alone,
        "complete": expressions.complete and turned.complete,
    }


def _with_own_license(store: Store, columns: tuple[str, ...]) -> Iterator[pa.Table]:
    """The copies with the licence (`own`) that each file had before its copies were heard."""
    is_measured = store.manifest("licenses") is not None
    for shard, part in enumerate(store.committed("copies").shards):
        before = [batch.column(0) for batch in store.read("licenses", shard, ("license",))] if is_measured else []
        own = pa.chunked_array(before if is_measured else [pa.nulls(part.rows, pa.string())], pa.string())
        if len(own) != part.rows:
            raise ValueError(f"shard {shard} of copies holds {part.rows:,} files, of licenses {len(own):,}")
        row = 0
        for batch in store.read("copies", shard, columns):
            yield pa.Table.from_batches([batch]).append_column("own", own.slice(row, batch.num_rows))
            row += batch.num_rows


def _buckets(store: Store) -> list[dict[str, Any]]:
    """The largest buckets of candidates, by their first file: one content, or the bands that several contents share."""
    if store.manifest("_work/edges") is None:
        return []
    found: dict[tuple[int, bool], list[int]] = {}
    for table in _batches(store, "_work/edges", ("left", "exact", "bucket_size")):
        for edge in table.filter(pc.is_valid(table["bucket_size"])).to_pylist():
            found.setdefault((edge["left"], edge["exact"]), []).append(edge["bucket_size"])
    largest = sorted(found.items(), key=lambda entry: (-max(entry[1]), entry[0]))[:LISTED]
    return [
        {"file": _file(store, row_id), "exact": exact, "files": max(sizes), "buckets": len(sizes)}
        for (row_id, exact), sizes in largest
    ]


def _file(store: Store, row_id: int) -> str:
    shard, row = row_id >> ROW_BITS, row_id & ((1 << ROW_BITS) - 1)
    if shard >= len(store.committed("files").shards):
        return "a file of an earlier run"
    [found] = next(store.read("files", shard, ("repo", "path"), (row, row + 1))).to_pylist()
    return f"{found['repo']}/{found['path']}"


def _families(store: Store) -> dict[str, Any] | None:
    """Families of repositories, and how many of them are forks of one another."""
    if store.manifest("families") is None:
        return None
    families = Totals(("family",), ("rows", "forks"))
    for table in _batches(store, "families", ("family", "fork_of")):
        ones = pa.repeat(pa.scalar(1), table.num_rows)
        families.add(_with_counts(table, rows=ones, forks=pc.cast(pc.is_valid(table["fork_of"]), pa.int64())))
    found = families.table()
    largest = found.slice(0, LISTED).rename_columns(["family", "repositories", "forks"]).to_pylist()
    return {
        "families": found.num_rows,
        "repositories": pc.sum(found["rows"]).as_py() or 0,
        "forks": pc.sum(found["forks"]).as_py() or 0,
        "largest": largest,
    }


def _tokens(manifest: Manifest | None) -> dict[str, int] | None:
    if manifest is None:
        return None
    # The type reads like fixed_size_list<element: uint16>[2048].
    kind = next(entry["type"] for entry in manifest.schema if entry["name"] == "tokens")
    block = int(kind.rpartition("[")[2].removesuffix("]"))
    return {"blocks": manifest.rows, "block": block, "tokens": manifest.rows * block, "bytes": manifest.bytes}


def _mixture(store: Store, corpus: Manifest) -> dict[str, Any] | None:
    """Raises ValueError where a file of the corpus is neither packed nor left out."""
    if not makes(store, "mixture"):
        return None
    sums = ("rows", "left_out", "copies", "bytes", "packed")
    totals = Totals(("group",), sums)
    for table in _batches(store, "mixture", ("group", "size", "copies")):
        copies = pc.cast(table["copies"], pa.int64())
        table = table.drop_columns(["copies"])
        totals.add(
            _with_counts(
                table,
                rows=pa.repeat(pa.scalar(1), table.num_rows),
                left_out=pc.cast(pc.equal(copies, 0), pa.int64()),
                copies=copies,
                bytes=table["size"],
                packed=pc.multiply(table["size"], copies),
            )
        )
    groups = [_without(entry, "rows") | {"files": entry["rows"]} for entry in totals.table().to_pylist()]
    told = {name: sum(entry[name] for entry in groups) for name in ("files", "left_out", "copies")}
    if told["files"] != corpus.rows:
        raise ValueError(f"the mixture tells of {told['files']:,} files, the corpus holds {corpus.rows:,}")
    return told | {"groups": groups}


def _text(store: Store) -> dict[str, Any] | None:
    """Raises ValueError where its rows do not add up."""
    if not makes(store, f"{TEXT}ledger"):
        return None
    fates = _fates(store, f"{TEXT}ledger")
    names = ("rows", "kept", "dropped", "failed", "bytes", "bytes_kept", "reasons")
    told = {name: fates[name] for name in names}
    kept = store.committed(f"{TEXT}corpus").rows
    if told["kept"] != kept or told["rows"] != kept + told["dropped"] + told["failed"]:
        raise ValueError(f"the text's ledger of {told['rows']:,} rows does not add up: {kept:,} are in its corpus")
    return told | {"tokens": _tokens(store.manifest(f"{TEXT}tokens"))}


def _tokenizer(store: Store, manifest: Manifest | None) -> dict[str, Any] | None:
    if manifest is None:
        return None
    data = store.read_json("tokenizer", "tokenizer.json")
    vocabulary = None
    if data is not None:
        vocabulary = len(set(data["model"]["vocab"]) | {token["content"] for token in data["added_tokens"]})
    return {"vocabulary": vocabulary, "files": sorted(shard.file for shard in manifest.shards)}


def render(summary: dict[str, Any]) -> str:
    """The page of a summary: one HTML file that needs no network and no scripts."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("jobs"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "size": size, "name": name, "meaning": meaning}
    environment.globals |= {"share": share, "label": label}
    return environment.get_template("report.html.j2").render(summary, charts=charts(summary), listed=LISTED)


@dataclass(frozen=True)
class Bar:
    """A line of a bar chart, in words, and its pieces: kind, and start and width in percent of the line."""

    label: str
    note: str
    pieces: tuple[tuple[str, float, float], ...]


def bar(label: str, note: str, whole: int, **parts: int) -> Bar:
    """A bar of parts, named by what they show, beside each other; `whole` is the full width."""
    pieces, start = [], 0
    for kind, amount in parts.items():
        pieces.append((kind, round(100 * start / max(whole, 1), 3), round(100 * amount / max(whole, 1), 3)))
        start += amount
    return Bar(label, note, tuple(pieces))


def charts(summary: dict[str, Any]) -> dict[str, list[Bar]]:
    """The bars of each chart of the page."""
    licenses, repositories = summary["licenses"], summary["repositories"]["largest"]
    similarities = summary["duplicates"]["similarities"]
    first = next((n for n, entry in enumerate(similarities) if entry["rows"]), BINS)
    most = max(entry["rows"] for entry in similarities)
    return {
        "funnel": _funnel(summary),
        "languages": _kept_bars(summary["languages"][:LISTED], "language"),
        "classes": _kept_bars(licenses["classes"], "license_class"),
        "licenses": _kept_bars(licenses["expressions"][:LISTED], "license"),
        "repositories": _kept_bars(repositories, "repo"),
        "similarities": [
            bar(f"{entry['from']:.2f} to {entry['to']:.2f}", count(entry["rows"]), most, gone=entry["rows"])
            for entry in similarities[first:]
        ],
    }


def _funnel(summary: dict[str, Any]) -> list[Bar]:
    leaving: dict[str, int] = dict.fromkeys(RULES, 0)
    for entry in summary["reasons"]:
        if entry["reason"] is not None:
            leaving[family(entry["reason"])] = leaving.get(family(entry["reason"]), 0) + entry["rows"]
    rows = left = summary["rows"]
    bars = [bar("read", count(rows), rows, still=rows)]
    for rule, gone in leaving.items():
        left -= gone
        note = f"\N{MINUS SIGN}{count(gone)} ({share(gone, rows)})" if gone else "0"
        bars.append(bar(rule, note, rows, still=left, gone=gone))
    return [*bars, bar("kept", f"{count(left)} ({share(left, rows)})", rows, kept=left)]


def _kept_bars(entries: list[dict[str, Any]], key: str) -> list[Bar]:
    most = max((entry["rows"] for entry in entries), default=0)
    return [
        bar(
            label(entry, key),
            f"{count(entry['kept'])} of {count(entry['rows'])}",
            most,
            kept=entry["kept"],
            gone=entry["rows"] - entry["kept"],
        )
        for entry in entries
    ]


def label(entry: dict[str, Any], key: str) -> str:
    """What the page calls an entry of the summary; a file may have left before it was judged at all."""
    if entry[key] is not None:
        return name(entry[key])
    return "not judged" if entry.get("license_class", "") is None else "none found"


def count(number: int) -> str:
    """A number with thousands separators."""
    return f"{number:,}"


def size(number: int) -> str:
    """Bytes in decimal units, to three digits: 379 MB."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 999.5 or unit == "TB":
            break
        value /= 1000
    digits = 0 if unit == "B" or value >= 99.95 else 1 if value >= 9.995 else 2
    return f"{value:,.{digits}f} {unit}"


def share(part: int, whole: int) -> str:
    """A percentage that reads 0% or 100% only where that is exact."""
    if part in (0, whole):
        return "0%" if part == 0 else "100%"
    percent = 100 * part / whole
    return "<0.1%" if percent < 0.1 else ">99.9%" if percent > 99.9 else f"{percent:.1f}%"


def name(text: str) -> str:
    """A name from a corpus as one short line: control and direction marks spelled out, its middle cut."""
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    half = NAME_LENGTH // 2
    return text if len(text) <= NAME_LENGTH else f"{text[:half]}…{text[-half:]}"


def meaning(reason: str) -> str:
    """What a dotted reason says of a file."""
    return REASONS.get(reason) or REASONS.get(reason.partition(".")[0], OTHER_REASON)
