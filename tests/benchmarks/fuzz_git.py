"""Fuzzes the git source under atheris, which looks for inputs that reach new code.

    python -m pip install atheris        # into an environment of its own: no part of codesieve needs it
    python -m tests.benchmarks.fuzz_git [-max_total_time=600] [CORPUS]      # the options are libFuzzer's

An input overwrites, cuts or lengthens bytes in the files of a small repository. The first exception, file left behind
or lost row ends the fuzzing, and libFuzzer writes the input that led to it; so does one that takes over ten seconds.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["dulwich", "pipeline"]):
    from pipeline.sources import Limits
    from pipeline.sources.git import GitSource

LIMITS = Limits(max_file_bytes=20_000)


def seed(folder: Path) -> Path:
    """A bare repository with a packed and a loose commit, deltas, a tag, a folder and a link."""
    work, bare = folder / "work", folder / "repo.git"
    who = ("-c", "user.name=n", "-c", "user.email=a@example.com")

    def git(*command: str, at: Path = work) -> None:
        subprocess.run(["git", *who, *command], cwd=at, check=True, capture_output=True)

    work.mkdir()
    git("init", "-b", "main")
    for number in range(4):
        text = "".join(f"line {line}\n" for line in range(number, 400))
        (work / "d").mkdir(exist_ok=True)
        (work / "d/text").write_text(text)
        (work / f"{number}").write_text(f"{number}")
        git("add", "-A")
        git("commit", "-m", "m")
    git("tag", "-a", "v1", "-m", "m")
    git("clone", "--bare", ".", str(bare))
    git("repack", "-a", "-d", "-f", at=bare)
    for path in bare.rglob("*"):
        path.chmod(0o755)
    return bare


def main() -> None:
    """Runs libFuzzer until it is told to stop."""
    with tempfile.TemporaryDirectory() as scratch:
        repo = seed(Path(scratch))
        held = {path: path.read_bytes() for path in sorted(repo.rglob("*")) if path.is_file()}
        names = [path for path in held if "hooks" not in path.parts]

        def one_input(data: bytes) -> None:
            given = atheris.FuzzedDataProvider(data)
            changed = set()
            try:
                for _ in range(given.ConsumeIntInRange(1, 4)):
                    path = names[given.ConsumeIntInRange(0, len(names) - 1)]
                    content = bytearray(path.read_bytes())
                    at = given.ConsumeIntInRange(0, len(content))
                    stop = at + given.ConsumeIntInRange(0, 8)
                    content[at:stop] = given.ConsumeBytes(given.ConsumeIntInRange(0, 32))
                    path.write_bytes(content)
                    changed.add(path)
                (split,) = GitSource(f"{scratch}/repo.gi?").splits(1 << 40)
                found = [row for batch in split.read(LIMITS) for row in batch.to_pylist()]
                assert found
                assert all((row["content"] is None) == (row["input_reason"] is not None) for row in found)
                assert {path for path in repo.rglob("*") if path.is_file()} == held.keys()
            finally:
                for path in changed:
                    path.write_bytes(held[path])

        atheris.Setup([sys.argv[0], "-timeout=10", "-rss_limit_mb=2048", *sys.argv[1:]], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
