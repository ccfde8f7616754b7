"""Fuzzes the sources under atheris, which looks for inputs that reach new code.

    python -m pip install atheris        # into an environment of its own: no part of codesieve needs it
    python -m tests.benchmarks.fuzz git|archive|parquet|jsonl [-max_total_time=600] [FOLDER]     # libFuzzer's options

An input overwrites, cuts or lengthens bytes of small seeds: the files of a repository; an archive, or the tar inside
it; a parquet file; JSON lines, plain or compressed. The first exception but `SourceError` in one line, the first row
lost between other splits, file left behind, crash, input that takes over ten seconds or 2 GB of memory ends the
fuzzing, and libFuzzer writes the input that led to it.
"""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["dulwich", "pipeline"]):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline.sources import Limits, Source, SourceError
    from pipeline.sources.archive import ArchiveSource
    from pipeline.sources.git import GitSource
    from pipeline.sources.jsonl import JsonlSource
    from pipeline.sources.parquet import ParquetSource

LIMITS = Limits(max_file_bytes=20_000, batch_bytes=50_000, batch_rows=100)
WHOLE = 1 << 40
"""Bytes of a split that holds all."""

Given = Any
"""atheris.FuzzedDataProvider, which takes an input apart."""


def git(folder: Path) -> Callable[[Given], None]:
    """Bytes in the files of a bare repository."""
    repo = repository(folder)
    held = {path: path.read_bytes() for path in sorted(repo.rglob("*")) if path.is_file()}
    names = [path for path in held if "hooks" not in path.parts]

    def one_input(given: Given) -> None:
        changed = {names[given.ConsumeIntInRange(0, len(names) - 1)] for _ in range(given.ConsumeIntInRange(1, 4))}
        try:
            for path in sorted(changed):
                path.write_bytes(mutated(given, held[path]))
            assert check(GitSource(f"{repo.parent}/repo.gi?"))
            assert {path for path in repo.rglob("*") if path.is_file()} == held.keys()
        finally:
            for path in changed:
                path.write_bytes(held[path])

    return one_input


def repository(folder: Path) -> Path:
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


def archive(folder: Path) -> Callable[[Given], None]:
    """Bytes of an archive or, where it is compressed, first those of the tar inside; checksums of headers made good."""
    tars = [tar_seed(format) for format in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)]
    tars.append(tars[0] + tars[2])
    zips = [zip_seed(), b"#!/bin/sh\n" + zip_seed(), zip_seed() * 2 + b"garbage"]
    packs: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, bz2.compress, lzma.compress, zstd]
    path = folder / "a" / "x"

    def one_input(given: Given) -> None:
        pack = given.ConsumeIntInRange(0, len(packs))
        if pack == len(packs):
            data = mutated(given, zips[given.ConsumeIntInRange(0, len(zips) - 1)])
        else:
            data = mutated(given, tars[given.ConsumeIntInRange(0, len(tars) - 1)])
            data = with_checksums(data) if given.ConsumeBool() else data
            cut = given.ConsumeIntInRange(0, len(data))
            data = packs[pack](data[:cut]) + packs[pack](data[cut:])
            data = mutated(given, data) if given.ConsumeBool() else data
        write_alone(path, data)
        found = check(ArchiveSource(str(path)))
        assert 1 <= len(found) <= len(data) + LIMITS.max_ratio * len(data) // tarfile.BLOCKSIZE + 1
        assert [*folder.rglob("*")] == [path.parent, path]

    return one_input


def tar_seed(format: int) -> bytes:
    """A tar with a long name, an empty file, links, a folder, and extended headers."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as packed:
        for name, kind, link in (
            ("top", tarfile.DIRTYPE, ""),
            ("top/a.py", tarfile.REGTYPE, ""),
            ("top/" + "n" * 90 + "/long", tarfile.REGTYPE, ""),
            ("top/é", tarfile.REGTYPE, ""),
            ("top/link", tarfile.SYMTYPE, "../../etc/passwd"),
            ("top/hard", tarfile.LNKTYPE, "top/a.py"),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            data = b"x = 1\n" * 100 if kind == tarfile.REGTYPE else b""
            info.size = len(data)
            info.pax_headers = {"comment": "0" * 40, "size": str(len(data))} if name == "top/a.py" else {}
            packed.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def with_checksums(tar: bytes) -> bytes:
    """Makes good the checksum of each block that looks like a header, so that its other fields are read."""
    data = bytearray(tar)
    for at in range(0, len(data) - 511, 512):
        if data[at + 257 : at + 262] == b"ustar":
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    return bytes(data)


def zip_seed() -> bytes:
    """A zip with deflated and stored members, a folder, a link and a comment."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("top/a.py", "x = 1\n" * 100, zipfile.ZIP_DEFLATED)
        packed.writestr("top/é", "stored")
        packed.mkdir("top/d")
        link = zipfile.ZipInfo("top/link")
        link.create_system, link.external_attr, link.extra = 3, 0o120777 << 16, b"\x01\x00\x08\x00" + b"\1" * 8
        packed.writestr(link, "/etc/passwd")
        packed.comment = b"a comment"
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def parquet(folder: Path) -> Callable[[Given], None]:
    """Bytes of small parquet files: of their pages, their headers and the footer.

    What reads them is compiled and leads the fuzzer nowhere, so an input is only the seed of random changes.
    """
    columns = {
        "content": [f"x = {number % 30}\n" * 20 for number in range(40)],
        "repo": ["a/b", None] * 20,
        "path": [f"{number}.py" for number in range(40)],
        "license": [["MIT"], None, [], ["MIT", None]] * 10,
        "revision": pa.array([b"main", b"\xff", None, b"v1"] * 10).view(pa.string()),
        "stars": [1.0, None] * 20,
    }
    seeds = []
    for compression, version in (("none", "2.6"), ("snappy", "1.0"), ("zstd", "2.4")):
        sink = pa.BufferOutputStream()
        pages = "2.0" if version == "2.4" else "1.0"
        table = pa.table(columns)
        pq.write_table(
            table, sink, row_group_size=20, compression=compression, version=version, data_page_version=pages
        )
        seeds.append(sink.getvalue().to_pybytes())
    path = folder / "t" / "x.parquet"

    def one_input(given: Given) -> None:
        random = Random(given.ConsumeBytes(400))
        data = bytearray(random.choice(seeds))
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        low, high = random.choice(((footer, len(data) - 8), (0, footer), (0, len(data))))
        for _ in range(random.randint(1, 4)):
            at = random.randrange(low, high)
            stop = at + random.choice((0, 1, 1, 1, 2, 8))
            data[at:stop] = random.randbytes(random.choice((0, stop - at, stop - at, stop - at, 1, 8)))
        write_alone(path, bytes(data))
        check(ParquetSource(str(path)))
        assert [*folder.rglob("*")] == [path.parent, path]

    return one_input


def jsonl(folder: Path) -> Callable[[Given], None]:
    """Bytes of JSON lines, plain or compressed."""
    text = b'{"content": "x", "path": "a", "repo": "r", "license": ["MIT", null], "stars": 3}\n' * 3
    packs: list[Callable[[bytes], bytes]] = [bytes, gzip.compress, bz2.compress, lzma.compress, zstd]
    path = folder / "t" / "x.jsonl"

    def one_input(given: Given) -> None:
        data = packs[given.ConsumeIntInRange(0, len(packs) - 1)](mutated(given, text))
        write_alone(path, mutated(given, data) if given.ConsumeBool() else data)
        check(JsonlSource(str(path)))
        assert [*folder.rglob("*")] == [path.parent, path]

    return one_input


def mutated(given: Given, data: bytes) -> bytes:
    """The bytes with some overwritten, cut or put between."""
    content = bytearray(data)
    for _ in range(given.ConsumeIntInRange(0, 4)):
        at = given.ConsumeIntInRange(0, len(content))
        stop = at + given.ConsumeIntInRange(0, 8)
        content[at:stop] = given.ConsumeBytes(given.ConsumeIntInRange(0, 32))
    return bytes(content)


def write_alone(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def check(source: Source) -> list[dict]:
    """Reads a source whole and in small splits; raises AssertionError where rows differ or say too much or too little.

    A mistake in the recipe's source is one line, and no rows.
    """
    try:
        found = rows(source, WHOLE)
    except SourceError as error:
        if len(str(error).splitlines()) > 1:
            raise
        return []
    for row in found:
        assert (row["content"] is None) == (row["input_reason"] is not None)
        assert len((row["content"] or "").encode()) <= LIMITS.max_file_bytes
        assert "\n" not in row["path"] + (row["input_detail"] or "")
    if not isinstance(source, GitSource):  # whose shares come each to an end of their own
        assert sorted(map(repr, rows(source, 500))) == sorted(map(repr, found))
    return found


def rows(source: Source, target: int) -> list[dict]:
    found = []
    for split in source.splits(target, LIMITS):
        for batch in split.read(LIMITS):
            batch.validate(full=True)
            found += batch.to_pylist()
    return found


def main() -> None:
    """Runs libFuzzer until it is told to stop."""
    targets = {target.__name__: target for target in (git, archive, parquet, jsonl)}
    if sys.argv[1:2] == [] or sys.argv[1] not in targets:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as scratch:
        one_input = targets[sys.argv[1]](Path(scratch))
        one_input(atheris.FuzzedDataProvider(b""))  # imports what is imported late
        options = [sys.argv[0], "-timeout=10", "-rss_limit_mb=2048", "-len_control=0", "-max_len=400", *sys.argv[2:]]
        atheris.Setup(options, lambda data: one_input(atheris.FuzzedDataProvider(data)))
        atheris.Fuzz()


if __name__ == "__main__":
    main()
