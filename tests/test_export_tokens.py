"""Exported tokens are read back, block by block, by the libraries whose formats they are.

They are installed with `pip install --no-deps megatron-core mosaicml-streaming python-snappy cramjam zstd`, because
mosaicml-streaming's own pins contradict those of this project; where they are missing, their tests are skipped.
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import stdlib
from tests.test_curate import codesieve

BLOCK = 32


@pytest.fixture(scope="module", params=[600, 70000], ids=["uint16", "uint32"])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("export")
    for module in ("heapq", "bisect", "queue"):
        (folder / "dumps" / module).mkdir(parents=True)
        (folder / "dumps" / module / "code.py").write_text(stdlib(module))
    (folder / "recipe.yaml").write_text(
        f"sources: [{{kind: directory, uri: {folder}/dumps/*}}]\n"
        f"tokenize: {{vocab_size: {request.param}, block: {BLOCK}}}\n"
        "output: {shards: 2}\nengine: {kind: inline}\n"
        "dedup: {exact: {enabled: false}, near: {enabled: false}}\n"
        + "".join(f"{block}: {{enabled: false}}\n" for block in ("license", "toxicity", "pii", "decontaminate"))
    )
    out = Store(str(folder / "out"))
    run(load_recipe(folder / "recipe.yaml"), out)
    return out


def blocks(store: Store) -> list[tuple[list[int], int]]:
    return [(row["tokens"], row["token_count"]) for row in store.table("tokens").to_pylist()]


def test_megatron_reads_the_blocks(store: Store, tmp_path: Path) -> None:
    indexed = pytest.importorskip("megatron.core.datasets.indexed_dataset", reason="megatron-core is not installed")
    done = codesieve("export-tokens", store.uri, "--format", "megatron", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    dataset = indexed.IndexedDataset(str(tmp_path / "tokens"))
    assert [dataset[place].tolist() for place in range(len(dataset))] == [
        tokens[:count] for tokens, count in blocks(store)
    ]
    assert dataset.document_indices.tolist() == list(range(len(dataset) + 1))
    assert dataset.get(1, offset=3, length=5).tolist() == blocks(store)[1][0][3:8]


def test_streaming_reads_the_blocks(store: Store, tmp_path: Path) -> None:
    sys.modules.setdefault("streaming.vision", ModuleType("streaming.vision"))  # images, and torchvision with them
    streaming = pytest.importorskip("streaming", reason="mosaicml-streaming is not installed")
    done = codesieve("export-tokens", store.uri, "--format", "mds", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    streaming.base.util.clean_stale_shared_memory()
    dataset = streaming.StreamingDataset(local=str(tmp_path), batch_size=1, shuffle=False)
    read = [dataset[place]["tokens"] for place in range(len(dataset))]
    assert [tokens.tolist() for tokens in read] == [tokens for tokens, _ in blocks(store)]
    assert read[0].dtype == np.dtype(str(store.table("tokens")["tokens"].type.value_type))


def test_what_was_not_tokenized_is_not_exported(tmp_path: Path) -> None:
    done = codesieve("export-tokens", str(tmp_path), "--format", "mds", "--out", str(tmp_path / "mds"))
    assert done.returncode == 2
    assert "tokens has no" in done.stderr
    assert not (tmp_path / "mds").exists()
