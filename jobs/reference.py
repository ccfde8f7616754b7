"""The reference pages of the documentation, written from what they describe: `python -m jobs.reference` in a checkout.

`docs/reference/` has one page on the recipe's keys, one on the datasets' columns, one on the reasons of the ledger and
one on the presets of thresholds. A test fails where a page and the code differ.
"""

import ast
import inspect
import json
from collections.abc import Callable, Container, Iterable
from datetime import date
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobs.curate import curation
from jobs.recipe import Recipe
from jobs.recipe_blocks import GhArchiveEvents
from jobs.recipe_sources import SourceBlock
from jobs.report import REASONS
from transforms.quality import PRESETS, RULES

DOCS = Path(__file__).parent.parent / "docs" / "reference"

DATASETS = {
    "corpus": 'The kept files, scrubbed. `datasets.load_from_disk("OUT/corpus")`',
    "ledger": 'The fate of every input file. `pyarrow.parquet.read_table("OUT/ledger")`',
    "tokens": 'Packed and shuffled blocks of token ids. `datasets.load_from_disk("OUT/tokens")`',
    "tokenizer": 'The tokenizer. `transformers.AutoTokenizer.from_pretrained("OUT/tokenizer")`',
    "dialogue": "Multi-turn conversations made from commented code.",
    "instructions": "The conversations of `dialogue.files`. Only with that key.",
    "mixture": "How often each file of `corpus` is packed. Aligned with `corpus`. Only with `tokenize.mixture`.",
    "files": "Every input file with its content, before scrubbing, and its cheap measures.",
    "licenses": "Licence, class and evidence of each file, before copies are considered. Aligned with `files`.",
    "measures": "Toxicity, contamination and personal data (places, never values). Aligned with `files`.",
    "copies": "Cluster, survivor, similarity and final licence of each file. Aligned with `files`.",
    "license_texts": "Each distinct text that may state a licence, once. For `license.against` of later runs.",
    "license_rules": "scancode's rules as numbers. For `license.against` of later runs.",
    "signatures": "MinHash and shingle hashes of the kept files. For `dedup.against` of later runs.",
    "families": "Forks and vendored copies: repositories, what they share and with whom.",
    "popularity": "Stars, forks and age of each file's repository. Aligned with `files`. Only with `repositories`.",
    "repositories": "Stars, forks, age and last event by repository. Only with `repositories`.",
    "events": "What was read of the archives of events, and what could not be. Only with `repositories`.",
}
"""The public datasets of a run, in the order in which a reader meets them."""

NAMES = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    date: "day",
    NoneType: "null",
    Any: "value",
}
"""Types in plain words."""

HEAD = "<!-- Written by `python -m jobs.reference`; edit the code that it reads instead. -->\n"


def recipe_page() -> str:
    """Every key of a recipe with its type, default and meaning, block by block."""
    parts = [
        "# Recipe\n",
        "A recipe is YAML (or JSON). Only `sources` is required. Unknown keys, and keys given twice, are refused with",
        "their line. `--set key.path=value` overrides any key. Two recipes are shipped and can be run by name:",
        "`quickstart.yaml` and `codegen.yaml` (six languages, permissive licences, CodeGen's filters).\n",
        *_block("", Recipe),
    ]
    for source in (*get_args(get_args(SourceBlock)[0]), GhArchiveEvents):
        [kind] = get_args(source.model_fields["kind"].annotation)
        place = "repositories" if source is GhArchiveEvents else "sources"
        parts += [f"## {place}: {kind}\n", (source.__doc__ or "") + "\n", _keys(source, source.model_fields)]
    return "\n".join(parts)


def _block(path: str, block: type[BaseModel]) -> list[str]:
    """The keys of a block, and behind them the blocks that it holds, each under a heading of its own."""
    inner = {name: held for name, key in block.model_fields.items() if (held := _held(key.annotation))}
    head = [f"## {path}\n", inspect.cleandoc(block.__doc__ or "") + "\n"] if path else []
    keys = _keys(block, block.model_fields.keys() - inner)
    return [*head, keys, *chain.from_iterable(_block(f"{path}.{name}".lstrip("."), inner[name]) for name in inner)]


def _keys(block: type[BaseModel], names: Container[str]) -> str:
    words = _words(block)
    rows = (
        (f"`{name}`", _type(key.annotation) + _bounds(key), _default(key), words.get(name, ""))
        for name, key in block.model_fields.items()
        if name in names
    )
    return _table(("key", "type", "default", "meaning"), rows)


def _held(kind: Any) -> type[BaseModel] | None:
    """The block that a key holds, also where it may be null."""
    kinds = [kind] if inspect.isclass(kind) else get_args(kind) if get_origin(kind) in (Union, UnionType) else []
    return next((each for each in kinds if inspect.isclass(each) and issubclass(each, BaseModel)), None)


def _type(kind: Any) -> str:
    """A key's type in plain words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f"`{value}`" for value in inner)
    if origin is Annotated:
        return _type(inner[0])
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_type, inner)))
    if origin is list:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"map of {_type(inner[0])} to {_type(inner[1])}"
    return "block" if _held(kind) else NAMES[kind]


def _bounds(key: FieldInfo) -> str:
    """The bounds of a number, as in `, > 0, <= 1`."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    return "".join(
        f", {sign} {getattr(bound, name)}"
        for bound in key.metadata
        for name, sign in signs.items()
        if hasattr(bound, name)
    )


def _default(key: FieldInfo) -> str:
    return "required" if key.is_required() else f"`{json.dumps(key.default)}`"


def _words(block: type[BaseModel]) -> dict[str, str]:
    """What stands in the code below each key."""
    [tree] = ast.parse(inspect.getsource(block)).body
    found: dict[str, str] = {}
    for key, text in pairwise(tree.body if isinstance(tree, ast.ClassDef) else ()):
        if isinstance(key, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(key.target)] = " ".join(str(text.value.value).split())
    return found


def datasets_page() -> str:
    """Every public dataset with its columns, from the schemas of a plan that has them all."""
    schemas = _all_schemas()
    parts = [
        "# Datasets\n",
        "What a run leaves in `OUT`. Datasets that are *aligned with* another one have the same shards and rows:",
        "row *i* of shard *j* is about the same file. A `row_id` is the shard of `files` << 32 plus the row in it.",
        "`content_id` is the git blob id. Texts of `tokenize.text` have the same datasets, named `text_…`.\n",
    ]
    for name, purpose in DATASETS.items():
        parts += [f"## {name}\n", purpose + "\n"]
        if name in schemas:
            rows = ((f"`{each.name}`", f"`{each.type}`", _doc(each)) for each in schemas[name])
            parts.append(_table(("column", "type", "meaning"), rows))
    return "\n".join(parts)


def reasons_page() -> str:
    """Every reason of the ledger, in the order of the families."""
    parts = [
        "# Reasons\n",
        "The column `reason` of `ledger/` says why a file is not in the corpus. Reasons are dotted and stable; the",
        "first part is the rule's family. `detail` has the value and the threshold.\n",
        _table(("reason", "meaning"), ((f"`{reason}`", words) for reason, words in REASONS.items())),
    ]
    return "\n".join(parts)


def presets_page() -> str:
    """The thresholds of each quality preset, side by side."""
    names = [name for name in PRESETS if name != "none"]
    thresholds = [rule.threshold for rule in RULES]
    rows = (
        (f"`{key}`", *(_value(PRESETS[name].get(key)) for name in names))
        for key in dict.fromkeys([*thresholds, *PRESETS["none"]])
    )
    parts = [
        "# Presets of the quality rules\n",
        "`quality.preset` names one of these; any threshold can be set beside it, and `null` switches a rule off. The",
        "preset `none` sets no threshold.\n",
        _table(("threshold", *names), rows),
        "Sources: codex is Chen et al. 2021, section 3.1; codegen is Nijkamp et al. 2022, appendix A; starcoder is",
        "Li et al. 2023, section 3.1, with BigCode's exceptions by language (`inspected_languages`).\n",
    ]
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "recipe.md": recipe_page,
    "datasets.md": datasets_page,
    "reasons.md": reasons_page,
    "presets.md": presets_page,
}


def _all_schemas() -> dict[str, pa.Schema]:
    """The schemas of a plan in which every optional dataset is there."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in {"code/a.py": "pass\n", "text/a.txt": "text\n", "2024-01-01-0.json.gz": ""}.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text)
        turns = [{"role": "user", "content": "Add."}, {"role": "assistant", "content": "a + b"}]
        (place / "turns.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
        recipe = Recipe.model_validate(
            {
                "sources": [{"kind": "directory", "uri": str(place / "code")}],
                "repositories": [{"kind": "gharchive", "uri": str(place / "2024-01-01-0.json.gz")}],
                "tokenize": {"mixture": {"by": "language", "temperature": 1}},
                "dialogue": {"files": [str(place / "turns.jsonl")]},
            }
        )
        return dict(curation(recipe).schemas)


def _doc(column: pa.Field) -> str:
    return (column.metadata or {}).get(b"doc", b"").decode()


def _value(value: Any) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown; cells may hold `|`."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def main() -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(HEAD + page())


if __name__ == "__main__":
    main()
