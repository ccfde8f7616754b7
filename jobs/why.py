"""What became of a file, and why: the ledger's row with everything that was measured of it."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.progress import RUN, TEXT, makes
from pipeline.sources.rows import printable
from pipeline.storage import ROW_BITS, Manifest, Store
from schemas.datasets import LEDGER
from transforms.fill_in_the_middle import FillInTheMiddle

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HIDDEN = frozenset({"content", "failed", "minhash", "row_id", "pii"})
"""Columns that are no answer to a person, that the reason tells already, or that point at a secret."""


def fates(store: Store, file: str) -> Iterator[dict[str, Any]]:
    """Every ledger row whose `repo/path` is `file`, with the measures and evidence of the other datasets.

    There is more than one where two sources hold the same repository; rows of `tokenize.text` come last. The name may
    be the ledger's or the one on disk, with any bytes; a repository alone names the row of an archive or folder that
    could not be read. Raises MissingDataset where the ledger is not whole yet.
    """
    yield from fates_of(store, file, "")
    if makes(store, f"{TEXT}ledger"):
        yield from fates_of(store, file, TEXT)


def fates_of(store: Store, file: str, kind: str) -> Iterator[dict[str, Any]]:
    """Those of one kind, which is empty for code, `TEXT` for rows of `tokenize.text`."""
    file = printable(file).rstrip("/")
    before = 0
    ledger = store.committed(f"{kind}ledger")
    for shard in range(len(ledger.shards)):
        kept = 0
        for batch in store.read(f"{kind}ledger", shard, tuple(LEDGER.names)):
            name = pc.utf8_rtrim(pc.binary_join_element_wise(batch.column("repo"), batch.column("path"), "/"), "/")
            for row in pc.indices_nonzero(pc.equal(name, file)).to_pylist():
                [fate] = batch.slice(row, 1).to_pylist()
                measures = _measures(store, before + row, kind)
                if fate["decision"] == "kept" and not kind:
                    measures |= _mixed(store, shard, kept + _count_kept(batch.slice(0, row)))
                yield fate | {"measures": measures}
            before += batch.num_rows
            kept += _count_kept(batch)


def _count_kept(batch: pa.RecordBatch) -> int:
    return pc.sum(pc.equal(batch.column("decision"), "kept")).as_py() or 0


def _mixed(store: Store, shard: int, row: int) -> dict[str, Any]:
    """How often the recipe's mixture packs a row of the corpus, which has the ledger's kept rows, shard by shard."""
    if not makes(store, "mixture"):
        return {}
    [batch] = store.read("mixture", shard, ("group", "copies"), (row, row + 1))
    [told] = batch.to_pylist()
    return {"mixture": f"{told['copies']} times in tokens, as {told['group']}"}


@dataclass(frozen=True)
class Token:
    """A token of `tokens`, and the document that it is from."""

    id: int
    text: str
    place: int
    """Tokens of the document before it."""
    repo: str
    path: str
    content_id: str
    rearranged: str | None = None
    """Where in the file it stands, if fill-in-the-middle has rearranged that."""


def token(store: Store, block: int, offset: int, kind: str = "") -> Token:
    """The token `offset` of a block, the blocks counted over the shards of `tokens` in order, both from 0.

    `kind` is empty, or `TEXT` for those of `text_tokens`. Raises LookupError where there is no such token,
    FileNotFoundError where the tokens are not whole yet.
    """
    dataset = f"{kind}tokens"
    manifest = store.committed(dataset)
    if not 0 <= block < manifest.rows:
        raise LookupError(f"there is no block {block}; {store.address(dataset)} has {manifest.rows:,}, from 0 on")
    shard, row = _find(manifest, block)
    [batch] = store.read(dataset, shard, ("tokens", "starts", "documents", "token_count"), (row, row + 1))
    [packed] = batch.to_pylist()
    if not 0 <= offset < packed["token_count"]:
        padding = len(packed["tokens"]) - packed["token_count"]
        told = f"{packed['token_count']:,} of documents, from 0 on, and {padding:,} of padding"
        raise LookupError(f"there is no token {offset} in block {block}, which has {told}")
    entry = bisect_right(packed["starts"], offset) - 1
    shard, row = packed["documents"][entry] >> ROW_BITS, packed["documents"][entry] & ((1 << ROW_BITS) - 1)
    [document] = store.read(f"{kind}corpus", shard, ("repo", "path", "content_id", "content"), (row, row + 1))
    [file] = document.to_pylist()
    tokenizer = _tokenizer(store)
    found, place, content = packed["tokens"][offset], offset - packed["starts"][entry], file.pop("content")
    text = tokenizer.decode([found], skip_special_tokens=False)
    return Token(
        found, text, place, **file, rearranged=_rearranged(store, tokenizer, content, file["content_id"], place)
    )


def _rearranged(store: Store, tokenizer: "Tokenizer", content: str, content_id: str, place: int) -> str | None:
    """Where a token of a document stands in its file; null where the file was encoded as it is."""
    recipe = store.read_json(RUN)["recipe"]
    if not (fim := recipe["tokenize"].get("fim")):  # of a release before this was there
        return None
    [pieces] = FillInTheMiddle(**fim, seed=recipe["seed"]).arranged([content], pa.array([content_id]))
    if len(pieces) == 1:
        return None
    tokenizer.encode_special_tokens = True
    for piece in pieces:
        encoded = tokenizer.encode(piece.text, add_special_tokens=False)
        if place < len(encoded.ids):
            return f"its {piece.part}, character {piece.start + encoded.offsets[place][0]:,} of the file"
        place -= len(encoded.ids) + (piece.sentinel is not None)
        if place < 0:
            return "a sentinel"
    return "its end"


def _tokenizer(store: Store) -> "Tokenizer":
    from tokenizers import Tokenizer

    files = store.table("tokenizer").to_pylist()
    return Tokenizer.from_str(next(file["data"] for file in files if file["name"] == "tokenizer.json").decode())


def _find(manifest: Manifest, row: int) -> tuple[int, int]:
    """Shard, and row in it, of the n-th row of a dataset."""
    for shard, part in enumerate(manifest.shards):
        if row < part.rows:
            return shard, row
        row -= part.rows
    raise IndexError(row)


def _measures(store: Store, row: int, kind: str) -> dict[str, Any]:
    """The ledger keeps the order of `files`, so the n-th row of one is the n-th of the other."""
    shard, row = _find(store.committed(f"{kind}files"), row)
    found: dict[str, Any] = {}
    for name in ("files", "measures", "copies", "popularity"):
        dataset = f"{kind}{name}"
        if name == "popularity" and not makes(store, dataset):  # the recipe named no events
            continue
        columns = [entry["name"] for entry in store.committed(dataset).schema]
        shown = tuple(name for name in columns if name not in HIDDEN and name not in LEDGER.names)
        for batch in store.read(dataset, shard, shown, (row, row + 1)):
            found |= {name: value for name, value in batch.to_pylist()[0].items() if value is not None}
    return found


def tell(fate: dict[str, Any]) -> list[tuple[str, str]]:
    """A fate as (label, text) lines in the order in which a person asks."""
    verdict = fate["decision"] if fate["reason"] is None else f"{fate['decision']}: {fate['reason']}"
    lines = [("file", f"{fate['repo']}/{fate['path']}"), ("fate", verdict)]
    lines += [(name, str(fate[name])) for name in ("detail", "survivor") if fate[name] is not None]
    measures = dict(fate["measures"])
    evidence, license_class = (measures.pop(f"license_{name}", None) for name in ("evidence", "class"))
    lines += [("license", f"{fate['license'] or 'none known'} ({license_class or 'unknown'})")]
    lines += [("evidence", part) for part in evidence.split("; ")] if evidence else []
    lines += [
        (name, str(fate[name])) for name in ("language", "size", "content_id", "revision", "source") if fate[name]
    ]
    lines += [(name, _short(value)) for name, value in sorted(measures.items())]
    return lines


def tell_token(token: Token) -> list[tuple[str, str]]:
    """The token as (label, text) lines; characters that do not print are spelled out."""
    place = f"token {token.place:,} of the file, from 0 on"
    if token.rearranged:
        place = f"token {token.place:,} of the file as it was rearranged, from 0 on: {token.rearranged}"
    return [("token", f"{token.text!r} (id {token.id})"), ("place", place)]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def nearest(store: Store, file: str) -> list[str]:
    """Names in the ledger that end like `file`, for a reader who mistyped the repository."""
    ending = printable(file).rstrip("/").rpartition("/")[2]
    found: list[str] = []
    for shard in range(len(store.committed("ledger").shards)):
        for batch in store.read("ledger", shard, ("repo", "path")):
            name: pa.Array = pc.binary_join_element_wise(batch.column("repo"), batch.column("path"), "/")
            found += name.filter(pc.ends_with(name, ending)).to_pylist()
            if len(found) >= 5:
                return found[:5]
    return found
