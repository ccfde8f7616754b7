"""What the installation compiles is what a run would have compiled."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.corpora import MIT, tar_gz

DONE = {"minhash", "text_measures", "toxicity", "decontaminate", "byte_level", "words", "comments", "sha1"}
"""Modules whose kernels take nine tenths of the time that a first run compiles."""


def compiled(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*.nbc")}


@pytest.mark.slow
def test_a_run_after_it_compiles_none_of_these_modules(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-m", "jobs.kernels"], env=environment, check=True)
    before = compiled(tmp_path / "cache")
    assert {name.split(".")[0] for name in before} >= {"minhash", "text_measures", "decontaminate", "byte_level"}

    files = {
        "a/LICENSE": MIT,
        **{f"a/{n}.py": f"# Adds {n}.\ndef add{n}(x):\n    return x + {n}\n" * 9 for n in range(4)},
    }
    tar_gz(tmp_path / "a.tar.gz", files)
    recipe = tmp_path / "a.yaml"
    recipe.write_text(
        f"sources: [{{kind: archive, uri: {tmp_path}/a.tar.gz}}]\ntokenize: {{vocab_size: 300, block: 64}}\n"
    )
    command = [
        sys.executable,
        "-m",
        "jobs.cli",
        "run",
        str(recipe),
        "--out",
        str(tmp_path / "out"),
        "--engine",
        "inline",
    ]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    assert not {name for name in compiled(tmp_path / "cache") - before if name.split(".")[0] in DONE}
