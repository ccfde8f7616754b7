"""Broken and hostile files: each gives a row that says why, none a traceback, and none fills the memory."""

import io
import os
import random
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import Limits, Source, SourceError
from pipeline.sources.archive import ArchiveSource
from pipeline.sources.directory import DirectorySource
from pipeline.sources.jsonl import JsonlSource
from pipeline.sources.parquet import ParquetSource
from tests.test_sources import HUGE, PROJECT, rows, tar_bytes, write, zip_bytes, zstd_bytes

SMALL = Limits(max_file_bytes=1000)


def archive_rows(folder: Path, data: bytes, limits: Limits = SMALL, name: str = "x") -> list[dict]:
    return rows(ArchiveSource(str(write(folder / name, data))), limits=limits)


def reasons(found: list[dict]) -> dict[str, str | None]:
    return {row["path"]: row["input_reason"] for row in found}


def details(found: list[dict]) -> dict[str, str | None]:
    return {row["path"]: row["input_detail"] for row in found}


ODD = {
    "empty": b"",
    "nul": b"a\0b",
    "utf16": "text".encode("utf-16"),
    "latin1": b"caf\xe9",
    "bom": b"\xef\xbb\xbfx",
    "large": b"x" * 1001,
    "full": b"x" * 1000,
}
ODD_REASONS = {
    "empty": "input.empty",
    "nul": "input.binary",
    "utf16": "input.binary",
    "latin1": "input.not_utf8",
    "bom": None,
    "large": "input.too_large",
    "full": None,
}


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes, None])
def test_what_is_no_text_has_a_row_that_says_why(tmp_path, pack):
    if pack:
        found = archive_rows(tmp_path, pack({f"top/{name}": data for name, data in ODD.items()}))
    else:
        for name, data in ODD.items():
            write(tmp_path / "p" / name, data)
        found = rows(DirectorySource(str(tmp_path / "p")), limits=SMALL)
    assert reasons(found) == ODD_REASONS
    told = details(found)
    assert told["latin1"] == "byte 3"
    assert told["large"] == "1001 bytes > 1000"
    by_path = {row["path"]: row for row in found}
    assert by_path["bom"]["content"] == "\ufeffx"
    assert by_path["large"]["content_id"] is None
    assert by_path["large"]["size"] == 1001
    assert by_path["empty"]["content_id"] == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert by_path["nul"]["content_id"]
    assert [row["path"] for row in found if row["content"] is not None and row["input_reason"]] == []


UNSAFE = ["/etc/passwd", "../up", "a/../../up", "C:\\x", "c:/x", "\\\\server\\x", "a\\..\\..\\x", "n" * 5000]


@pytest.mark.parametrize("pack", [tar_bytes, zip_bytes])
def test_names_that_lead_elsewhere_are_not_read(tmp_path, pack):
    found = archive_rows(tmp_path, pack({**dict.fromkeys(UNSAFE, b"text"), "a..b/..c": b"fine"}))
    assert {row["input_reason"] for row in found[:-1]} == {"input.unsafe_path"}
    assert [row["path"] for row in found[:-2]] == UNSAFE[:-1]
    assert len(found[-2]["path"]) == 4096
    assert (found[-1]["path"], found[-1]["content"]) == ("a..b/..c", "fine")


def test_names_are_made_printable(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("a\nb", "caf\udce9", "tab\tü"):
            archive.addfile(tarfile.TarInfo(name))
    found = archive_rows(tmp_path, buffer.getvalue())
    assert [row["path"] for row in found] == ["a\\nb", "caf\\xe9", "tab\\tü"]
    os.mkdir(tmp_path / "p")
    write(tmp_path / "p" / "caf\udce9\x1b[31m", "x")
    assert [row["path"] for row in rows(DirectorySource(str(tmp_path / "p")))] == ["caf\\xe9\\x1b[31m"]


def test_links_and_devices_are_no_files(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (b"1", b"2", b"3", b"4", b"6", b"7", b"Z"):
            info = tarfile.TarInfo(f"t/{kind.decode()}")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    found = archive_rows(tmp_path, buffer.getvalue())
    assert details(found) == {
        "1": "hard link",
        "2": "symlink",
        "3": "character device",
        "4": "block device",
        "6": "fifo",
        "7": None,
        "Z": "tar type Z",
    }
    assert reasons(found)["2"] == "input.not_regular"
    link = zipfile.ZipInfo("t/link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr(link, "/etc/passwd")
    assert details(archive_rows(tmp_path, buffer.getvalue())) == {"link": "symlink"}
    folder = tmp_path / "p"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    (folder / "up").symlink_to("..")
    (folder / "passwd").symlink_to("/etc/passwd")
    found = rows(DirectorySource(str(folder)))
    assert details(found) == {"fifo": "fifo", "passwd": "symlink", "up": "symlink"}


def test_empty_archives_say_so(tmp_path):
    folders = io.BytesIO()
    with tarfile.open(fileobj=folders, mode="w:gz") as archive:
        info = tarfile.TarInfo("only/")
        info.type = tarfile.DIRTYPE
        archive.addfile(info)
    for data in (tar_bytes({}), tar_bytes({}, "w:gz"), zip_bytes({}), folders.getvalue()):
        assert reasons(archive_rows(tmp_path, data)) == {"": "input.empty_archive"}


def test_the_same_name_twice_is_two_rows(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("t/a", "1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("t/a", "2")
    assert [row["content"] for row in archive_rows(tmp_path, buffer.getvalue())] == ["1", "2"]
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for data in (b"1", b"2"):
            info = tarfile.TarInfo("t/a")
            info.size = 1
            archive.addfile(info, io.BytesIO(data))
    assert [row["content"] for row in archive_rows(tmp_path, tar.getvalue())] == ["1", "2"]


FILES = {f"top/{i}": random.Random(i).randbytes(400).hex().encode() for i in range(40)}


@pytest.mark.parametrize(
    "whole",
    [
        tar_bytes(FILES),
        tar_bytes(FILES, "w:gz"),
        tar_bytes(FILES, "w:bz2"),
        tar_bytes(FILES, "w:xz"),
        zstd_bytes(tar_bytes(FILES)),
    ],
    ids=["tar", "gz", "bz2", "xz", "zst"],
)
def test_of_a_truncated_tar_what_can_be_read_is_kept(tmp_path, whole):
    for share in (0.1, 0.5, 0.8):
        found = archive_rows(tmp_path, whole[: int(len(whole) * share)])
        *kept, last = found
        assert (last["path"], last["input_reason"]) == ("", "input.corrupt_archive")
        assert last["size"] == int(len(whole) * share)
        assert [row["path"] for row in kept] == [str(i) for i in range(len(kept))]
        assert [row["content"].encode() for row in kept] == list(FILES.values())[: len(kept)]
    assert len(archive_rows(tmp_path, whole)) == 40


def test_a_wrong_checksum_at_the_very_end_is_noticed(tmp_path):
    data = bytearray(tar_bytes(FILES, "w:gz"))
    data[-6] ^= 1
    assert reasons(archive_rows(tmp_path, bytes(data)))[""] == "input.corrupt_archive"


@pytest.mark.parametrize(
    "data", [b"", b"x", b"not an archive" * 100, b"\x1f\x8b", b"PK\x03\x04", b"\x28\xb5\x2f\xfdxx"]
)
def test_what_is_no_archive_has_one_row(tmp_path, data):
    for name in ("x.tar.gz", "x.zip", "x"):
        found = archive_rows(tmp_path, data, name=name)
        assert [(row["path"], row["input_reason"]) for row in found] == [("", "input.corrupt_archive")]


# Bombs


def test_a_compressed_tar_that_grows_too_much_is_left(tmp_path):
    files = {"t/a": b"kept", "t/zeros": bytes(50 << 20), "t/z": b"not reached"}
    for data in (
        tar_bytes(files, "w:gz"),
        tar_bytes(files, "w:bz2"),
        tar_bytes(files, "w:xz"),
        zstd_bytes(tar_bytes(files)),
    ):
        found = archive_rows(tmp_path, data)
        assert reasons(found) == {"a": None, "zeros": "input.too_large", "": "input.bomb"}
        assert details(found)[""] == "grows more than 200-fold"
    bounded = Limits(max_archive_bytes=100_000)
    found = archive_rows(tmp_path, tar_bytes(FILES | {"top/z": random.Random(0).randbytes(1 << 18)}, "w:gz"), bounded)
    assert len(found) == 41
    assert found[-1]["input_reason"] == "input.bomb"


# Folders and tables


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root reads everything; so step down where the tests run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_without_permission_a_file_or_a_folder_has_a_failed_row(tmp_path):
    for parent in [tmp_path, *tmp_path.parents][:-2]:
        if os.stat(parent).st_uid == os.geteuid():
            parent.chmod(0o755)
    write(tmp_path / "p/closed/a", "x")
    write(tmp_path / "p/file", "x")
    write(tmp_path / "p/open", "x")
    write(tmp_path / "a.zip", zip_bytes(PROJECT))
    write(tmp_path / "t.jsonl", "{}")
    write(tmp_path / "t.parquet", "x")
    for path in ("p/closed", "p/file", "a.zip", "t.jsonl", "t.parquet"):
        (tmp_path / path).chmod(0)
    with as_nobody():
        found = rows(DirectorySource(str(tmp_path / "p")))
        packed = rows(ArchiveSource(str(tmp_path / "a.zip")))
        for kind, path in (
            (DirectorySource, "p/closed"),
            (JsonlSource, "t.jsonl"),
            (ParquetSource, "t.parquet"),
        ):
            with pytest.raises(SourceError, match=f"{path}.*ermission denied"):
                kind(str(tmp_path / path)).splits(HUGE)
        globbed = rows(DirectorySource(str(tmp_path / "p/*")))
    (tmp_path / "p/closed").chmod(0o755)
    assert reasons(found) == {"closed": "input.unreadable", "file": "input.unreadable", "open": None}
    assert details(found)["file"] == "Permission denied"
    assert reasons(packed) == {"": "input.unreadable"}
    assert [(row["repo"], row["path"], row["input_reason"]) for row in globbed] == [("closed", "", "input.unreadable")]


def test_malformed_json_lines(tmp_path):
    lines = [
        b'{"content": "a"}',
        b"{",
        b"[1]",
        b'{"content": "\xff"}',
        b'{"content": "\\ud800"}',
        b"[" * 100_000,
    ]
    lines += [
        b'{"content": ' + b"9" * 5000 + b"}",
        b'{"content": {"a": 1}}',
        b'{"content": "' + b"x" * (2 << 20) + b'"}',
    ]
    found = rows(JsonlSource(str(write(tmp_path / "t.jsonl", b"\n".join(lines)))), limits=SMALL)
    assert reasons(found) == {
        "t.jsonl#L1": None,
        "t.jsonl#L2": "input.malformed_json",
        "t.jsonl#L3": "input.malformed_json",
        "t.jsonl#L4": "input.malformed_json",
        "t.jsonl#L5": "input.not_utf8",
        "t.jsonl#L6": "input.malformed_json",
        "t.jsonl#L7": "input.malformed_json",
        "t.jsonl#L8": "input.no_content",
        "t.jsonl#L9": "input.too_large",
    }
    bomb = zstd_bytes(b'{"content": "a"}\n' + b" " * (64 << 20))
    found = rows(JsonlSource(str(write(tmp_path / "t.jsonl.zst", bomb))), limits=SMALL)
    assert reasons(found) == {"t.jsonl.zst#L1": None, "t.jsonl.zst": "input.bomb"}
    cut = zstd_bytes(b'{"content": "a"}\n' * 1000)[:-8]
    found = rows(JsonlSource(str(write(tmp_path / "t.jsonl.zst", cut))), limits=SMALL)
    assert reasons(found)["t.jsonl.zst"] == "input.corrupt"


def test_a_corrupt_parquet_file_has_one_row(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"content": [random.Random(i).randbytes(50).hex() for i in range(100)]}),
        path,
        row_group_size=50,
    )
    data = path.read_bytes()
    for damaged in (b"", data[:100], data[:-1], b"x" * 1000):
        path.write_bytes(damaged)
        assert reasons(rows(ParquetSource(str(path)))) == {"t.parquet": "input.corrupt"}
    second = len(data) // 2 + 300
    path.write_bytes(data[:second] + b"\xff" * 2000 + data[second + 2000 :])
    found = rows(ParquetSource(str(path)))
    assert len([row for row in found if not row["input_reason"]]) >= 50
    assert found == rows(ParquetSource(str(path)), 1)


def test_a_parquet_dictionary_does_not_grow(tmp_path):
    large = "x = 1\n" * 100_000
    path, limits = tmp_path / "t.parquet", Limits(max_file_bytes=1 << 20)
    table = pa.table({"content": [large] * 4000, "path": [f"{i}.py" for i in range(4000)]})
    pq.write_table(table, path, compression="zstd", row_group_size=2000)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    kept, bombs, peak = 0, [], 0
    for split in ParquetSource(str(path)).splits(HUGE):
        for batch in split.read(limits):
            peak = max(peak, pa.total_allocated_bytes() - before)
            kept += batch["input_reason"].null_count
            bombs += [row["path"] for row in batch.select(["path", "input_reason"]).to_pylist() if row["input_reason"]]
    assert bombs == ["t.parquet#row-group-1", "t.parquet#row-group-2"]
    assert 2 <= kept < 100
    assert max(peak, tracemalloc.get_traced_memory()[1]) < 200 << 20
    tracemalloc.stop()


def varint(number: int) -> bytes:
    """A number as parquet's headers have it: Thrift's varint of a zigzag."""
    number = number << 1 ^ number >> 63
    return b"".join(
        bytes([number >> shift & 127 | (128 if number >> shift + 7 else 0)])
        for shift in range(0, max(number.bit_length(), 1), 7)
    )


def footer_with(data: bytes, old: int, new: int) -> bytes:
    """A parquet file with a number in its footer changed for another one."""
    start = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    footer = data[start:-8].replace(varint(old), varint(new))
    assert footer != data[start:-8]
    return data[:start] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def test_a_parquet_footer_that_lies_about_sizes_costs_no_crash(tmp_path):
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"content": [random.Random(0).randbytes(5000).hex()] * 3}), path)
    data, size = path.read_bytes(), pq.read_metadata(path).row_group(0).total_byte_size
    stored = pq.read_metadata(path).row_group(0).column(0).total_compressed_size
    for old, new, why in (
        (size, -1, [None] * 3),
        (size, 1 << 40, ["input.bomb"]),
        (stored, 1 << 40, ["input.corrupt"]),
        (stored, -5, ["input.corrupt"]),
    ):
        path.write_bytes(footer_with(data, old, new))
        found = check_rows(ParquetSource(str(path)), Limits())
        assert [row["input_reason"] for row in found] == why


def test_a_parquet_page_that_lies_about_its_size_gets_no_memory(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"content": [random.Random(0).randbytes(5000).hex()]})
    pq.write_table(table, path, use_dictionary=False, compression="none", write_statistics=False)
    data = path.read_bytes()
    size = varint(4 + 4 + 10_000 + 2)  # the text, its length, and the definition levels
    assert data.count(size) >= 2
    before = pa.default_memory_pool().max_memory()
    path.write_bytes(data.replace(size, varint((1 << 31) - 1), 2))
    assert [row["input_reason"] for row in rows(ParquetSource(str(path)))] == ["input.corrupt"]
    assert pa.default_memory_pool().max_memory() < before + (100 << 20)


def read_with_each_byte_of_the_footer_changed(path: Path, bits: tuple[int, ...]) -> None:
    data = path.read_bytes()
    for at in range(len(data) - 8 - int.from_bytes(data[-8:-4], "little"), len(data)):
        for bit in bits:
            path.write_bytes(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :])
            with suppress(SourceError):  # a column may have lost its name
                check_rows(ParquetSource(str(path)), Limits())


def test_no_footer_ends_the_process(tmp_path):
    path = tmp_path / "t.parquet"
    license = pa.array([["MIT"], None], pa.list_(pa.string()))
    pq.write_table(pa.table({"content": ["a", "b"], "license": license}), path, store_schema=False)
    assert len(rows(ParquetSource(str(path)))) == 2
    arguments = (path, (1, 16, 128))
    reader = get_context("spawn").Process(target=read_with_each_byte_of_the_footer_changed, args=arguments)
    reader.start()
    reader.join()
    assert reader.exitcode == 0


# Fuzz

SEEDS = [
    tar_bytes(PROJECT),
    tar_bytes(PROJECT, format=tarfile.GNU_FORMAT),
    tar_bytes({"n" * 300: b"x", "top/é": b"y"}),
    tar_bytes(PROJECT, "w:gz"),
    zip_bytes(PROJECT),
    zstd_bytes(tar_bytes(PROJECT)),
    tar_bytes(PROJECT, "w:xz"),
]
LINES = b'{"content": "x", "path": "a", "repo": "r"}\n' * 3


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        match draw(st.sampled_from(["set", "cut", "insert", "repeat"])):
            case "set":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=4))
            case "cut":
                del data[at : at + draw(st.integers(1, 600))]
            case "insert":
                data[at:at] = draw(st.binary(max_size=20))
            case "repeat":
                data[at:at] = data[at : at + 600]
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


def check_rows(source: Source, limits: Limits) -> list[dict]:
    found = rows(source, limits=limits)
    for row in found:
        assert (row["content"] is None) == (row["input_reason"] is not None)
        assert len((row["content"] or "").encode()) <= limits.max_file_bytes
        assert "\n" not in row["path"] + (row["input_detail"] or "")
    return found


@settings(deadline=None, max_examples=500)
@given(data=mutated(SEEDS), name=st.sampled_from(["x.tar", "x.zip"]))
def test_mutated_archives_always_give_rows(tmp_path_factory, data, name):
    path = write(tmp_path_factory.getbasetemp() / "fuzz" / name, data)
    found = check_rows(ArchiveSource(str(path)), SMALL)
    assert 1 <= len(found) <= len(data) // 50 + 40


@settings(deadline=None, max_examples=150)
@given(data=mutated([LINES, zstd_bytes(LINES)]))
def test_mutated_json_lines_never_crash(tmp_path_factory, data):
    path = write(tmp_path_factory.getbasetemp() / "fuzz" / "x.jsonl", data)
    with suppress(SourceError):  # the first line may have lost its content
        check_rows(JsonlSource(str(path)), SMALL)
