"""What unzip reads of an archive is read, or one row tells that it was not."""

import io
import shutil
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from pipeline.sources import Limits
from pipeline.sources.archive import ArchiveSource
from tests.test_hostile_inputs import archive_rows, details, reasons
from tests.test_sources import in_any_order, rows, tar_bytes, write, zip_bytes

FILES = {"p/a.py": b"a;\n" * 30, "p/d/b.py": b"b;\n"}
BOTH = {"a.py": "a;\n" * 30, "d/b.py": "b;\n"}
WHOLE = zip_bytes(FILES)


def read(folder: Path, data: bytes, name: str = "x") -> dict[str, str]:
    """Path → the text, or the reason and its detail; the same from every share of the archive."""
    source = ArchiveSource(str(write(folder / name, data)))
    found = rows(source)
    assert in_any_order(rows(source, 100)) == in_any_order(found)
    told = {row["path"]: f"{row['input_reason']} {row['input_detail'] or ''}".strip() for row in found}
    assert len(told) == len(found)
    return {row["path"]: row["content"] or told[row["path"]] for row in found}


def unzipped(folder: Path, data: bytes) -> dict[str, str]:
    """What unzip makes of the same bytes; that something lies beside the archive it tells with exit code 1."""
    (folder / "unzip.zip").write_bytes(data)
    done = subprocess.run(["unzip", "-q", "unzip.zip", "-d", "out"], cwd=folder, capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    top = folder / "out" / "p"
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


BEFORE = {
    "a script": b"#!/bin/sh\nexec unzip $0\n",
    "a program": b"MZ" + bytes(range(256)) * 300,
    "a mark of spanned archives": b"PK00",
    "zeros": bytes(4096),
}


@pytest.mark.parametrize("name", ["x", "x.zip", "x.exe", "x.jar"])
@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE)
def test_an_archive_that_extracts_itself(tmp_path, before, name):
    """Its offsets are those of the archive alone, or of the whole file."""
    assert read(tmp_path, before + WHOLE, name) == unzipped(tmp_path, before + WHOLE) == BOTH
    adjusted = io.BytesIO(before)
    with zipfile.ZipFile(adjusted, "a") as archive:
        for path, data in FILES.items():
            archive.writestr(path, data)
    assert read(tmp_path, adjusted.getvalue(), name) == BOTH


@pytest.mark.parametrize("behind", [b"x", b"garbage\n" * 5000, bytes(100) + b"\1"])
def test_what_follows_an_archive_has_a_row(tmp_path, behind):
    found = read(tmp_path, WHOLE + behind)
    assert found == unzipped(tmp_path, WHOLE + behind) | {"": f"input.left_out {len(behind)} bytes follow the archive"}


@pytest.mark.parametrize("behind", [b"", bytes(512), bytes(60_000)])
def test_zeros_and_comments_are_nothing(tmp_path, behind):
    assert read(tmp_path, WHOLE + behind) == BOTH
    comment = b"a comment with PK\5\6 in it, and PK\1\2" + b"c" * 60_000
    with zipfile.ZipFile(tmp_path / "c", "w") as archive:
        for path, data in FILES.items():
            archive.writestr(path, data)
        archive.comment = comment.replace(b"PK\5\6", b"PK\5\7")
    assert read(tmp_path, (tmp_path / "c").read_bytes()) == BOTH


@pytest.mark.parametrize("between", [b"", b"#!/bin/sh\n"])
def test_of_archives_one_behind_the_other_a_row_tells_that_the_first_was_not_read(tmp_path, between):
    first = zip_bytes({"p/first.py": b"x"})
    for data in (first + between + WHOLE, between + first + WHOLE):
        lost = len(data) - len(WHOLE)
        told = f"input.left_out {lost} bytes before the archive hold another one"
        assert read(tmp_path, data) == BOTH | {"": told}
    found = read(tmp_path, tar_bytes({"p/first.py": b"x"}) + WHOLE)
    assert found.pop("first.py") == "x"
    assert found[""].startswith("input.left_out")


def test_too_much_behind_an_archive_is_told(tmp_path):
    for name in ("x", "x.zip"):
        found = read(tmp_path, WHOLE + b"g" * 70_000, name)
        assert list(found) == [""]
        assert found[""].startswith("input.corrupt_archive is not a readable zip archive")


def test_zip64_and_sizes_behind_the_data(tmp_path):
    class Pipe(io.RawIOBase):
        """As an archive is written into a pipe: sizes and checksums follow the data of each member."""

        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.data += data
            return len(data)

    for pipe in (io.BytesIO(), Pipe()):
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, data in FILES.items():
                with archive.open(path, "w", force_zip64=True) as member:
                    member.write(data)
        data = bytes(pipe.data) if isinstance(pipe, Pipe) else pipe.getvalue()
        assert read(tmp_path, data) == BOTH
    # The record of the directory in 64 bits too, as where there are more than 65,535 members.
    end = data.rindex(b"PK\5\6")
    count, size, start = struct.unpack("<HII", data[end + 10 : end + 20])
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, count, count, size, start)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    masked = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    large = data[:end] + record + locator + masked
    assert read(tmp_path, large) == BOTH
    assert read(tmp_path, large + b"x") == BOTH | {"": "input.left_out 1 bytes follow the archive"}


def with_name(name: bytes, flags: int, extra: bytes) -> bytes:
    """An archive with `p/a.py`, and a member of that name as bytes."""
    buffer = io.BytesIO()
    stand_in = "p/" + "X" * (len(name) - 2)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("p/a.py", FILES["p/a.py"])
        info = zipfile.ZipInfo(stand_in)
        info.extra = extra
        archive.writestr(info, "odd")
    data = bytearray(buffer.getvalue().replace(stand_in.encode(), name))
    for magic, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.rindex(magic) + at + 1] |= flags >> 8
    return bytes(data)


def unicode_path(name: str, raw: bytes) -> bytes:
    field = b"\1" + zlib.crc32(raw).to_bytes(4, "little") + name.encode()
    return struct.pack("<HH", 0x7075, len(field)) + field


NO_UTF8 = struct.pack("<HH", 0x7075, 8) + b"\1" + zlib.crc32(b"p/odd").to_bytes(4, "little") + b"p/\xff"
NAMES = {
    "code page 437": (b"p/na\x8bve", 0, b"", "naïve"),
    "UTF-8 without its flag": ("p/файл".encode(), 0, b"", "файл"),
    "UTF-8 and its flag": ("p/файл".encode(), 0x800, b"", "файл"),
    "the Unicode path": (b"p/????", 0, unicode_path("p/файл", b"p/????"), "файл"),
    "the Unicode path of an old code page": (
        b"p/\xd4\xe0\xe9\xeb",
        0,
        unicode_path("p/Файл", b"p/\xd4\xe0\xe9\xeb"),
        "Файл",
    ),
    "behind another field": (b"p/????", 0, b"UT\5\0\1" + bytes(4) + unicode_path("p/文", b"p/????"), "文"),
    "the Unicode path of an earlier name": (b"p/new", 0, unicode_path("p/файл", b"p/old"), "new"),
    "a Unicode path cut short": (b"p/odd", 0, struct.pack("<HH", 0x7075, 3) + b"\1\0\0", "odd"),
    "a Unicode path that is no UTF-8": (b"p/odd", 0, NO_UTF8, "odd"),
}


@pytest.mark.parametrize(("name", "flags", "extra", "path"), NAMES.values(), ids=NAMES)
def test_names_in_their_code_pages(tmp_path, name, flags, extra, path):
    assert read(tmp_path, with_name(name, flags, extra)) == {"a.py": BOTH["a.py"], path: "odd"}


def entry_changed(at: int, value: bytes, extra: bytes = b"") -> bytes:
    """An archive whose second of three members has other bytes in its entry of the directory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("p/a.py", "p/odd.py", "p/z.py"):
            info = zipfile.ZipInfo(name)
            info.extra = extra
            archive.writestr(info, f"{name}\n")
    data = bytearray(buffer.getvalue())
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 1)
    data[second + at : second + at + len(value)] = value
    return bytes(data)


TIME = b"UT\5\0\1" + bytes(4)
ENTRIES = {
    "a later version": entry_changed(6, b"\x5a\0"),
    "the latest version": entry_changed(6, b"\xff\xff"),
    "a date that is none": entry_changed(12, b"\xff" * 4),
    "an extra field longer than all": entry_changed(46 + 8 + 2, b"\xff\0", TIME),
    "an extra field of the largest size": entry_changed(46 + 8 + 2, b"\xff\xff", TIME),
    "an extra field for large sizes without any": entry_changed(46 + 8, b"\1\0\0\0", TIME),
    "an extra field in front of nothing": entry_changed(46 + 8 + 2, b"\4\0", TIME),
}


@pytest.mark.parametrize("data", ENTRIES.values(), ids=ENTRIES)
def test_an_entry_that_is_amiss_costs_nothing(tmp_path, data):
    assert read(tmp_path, data) == {name: f"p/{name}\n" for name in ("a.py", "odd.py", "z.py")}


@pytest.mark.parametrize("name", [b"p/\xe9\xff\x80", b"p/caf\xc3"])
def test_a_name_that_is_no_utf8_though_its_flag_says_so_fails_alone(tmp_path, name):
    found = read(tmp_path, with_name(name, 0x800, b""))
    assert found.pop("a.py") == BOTH["a.py"]
    assert list(found) == [name[2:].decode("cp437")]
    assert "input.unreadable 'utf-8' codec can't decode" in "".join(found.values())


@pytest.mark.parametrize(("at", "value"), [(16, bytes(4)), (42, b"\xff\xff\0\0"), (10, b"\x63"), (8, b"\1")])
def test_an_entry_that_leads_nowhere_costs_its_member_alone(tmp_path, at, value):
    found = read(tmp_path, entry_changed(at, value))
    assert found.pop("odd.py").startswith("input.unreadable ")
    assert found == {"a.py": "p/a.py\n", "z.py": "p/z.py\n"}


def test_a_member_that_begins_like_a_directory_is_read_as_it_is(tmp_path):
    directory = "PK\1\2" + "\x5a" * 60
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("p/a", directory)
    assert read(tmp_path, data.getvalue()) == {"a": directory}


def test_a_folder_with_data_has_a_row(tmp_path):
    data = zip_bytes(FILES | {"p/f/": b"", "p/odd/": b"data"})
    assert read(tmp_path, data) == BOTH | {"odd/": "input.not_regular folder with data"}


@pytest.mark.skipif(not shutil.which("zip"), reason="needs Info-ZIP's zip")
@pytest.mark.parametrize("method", ["store", "deflate", "bzip2"])
def test_what_zip_writes(tmp_path, method):
    for path, data in FILES.items():
        write(tmp_path / path, data)
    (tmp_path / "p/link").symlink_to("a.py")
    options = ["-q", "-r", "-y", "-Z", method]
    subprocess.run(["zip", *options, "plain.zip", "p"], cwd=tmp_path, check=True)
    subprocess.run(["zip", *options, "-P", "word", "secret.zip", "p/a.py", "p/d/b.py"], cwd=tmp_path, check=True)
    found = read(tmp_path, (tmp_path / "plain.zip").read_bytes())
    assert found.pop("link") == "input.not_regular symlink"
    # bzip2 makes nothing of few bytes, which are then stored.
    assert found == BOTH | ({"a.py": "input.unreadable zip compression method 12"} if method == "bzip2" else {})
    secret = read(tmp_path, (tmp_path / "secret.zip").read_bytes())
    assert secret == dict.fromkeys(BOTH, "input.unreadable encrypted")


@pytest.mark.parametrize("method", [1, 6, 9, 14, 20, 93, 95, 98, 99])
def test_other_ways_of_compression_have_a_row(tmp_path, method):
    data = bytearray(WHOLE)
    data[data.rindex(b"PK\1\2") + 10] = method
    assert read(tmp_path, bytes(data)) == BOTH | {"d/b.py": f"input.unreadable zip compression method {method}"}


def test_a_python_archive_is_read(tmp_path):
    write(tmp_path / "app/p/a.py", FILES["p/a.py"])
    write(tmp_path / "app/__main__.py", "import p.a\n")
    command = [sys.executable, "-m", "zipapp", "app", "-p", "/usr/bin/env python3", "-o", "app.pyz"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found = read(tmp_path, (tmp_path / "app.pyz").read_bytes(), "app.pyz")
    assert found == {"__main__.py": "import p.a\n", "p/a.py": BOTH["a.py"]}


# Damage


def test_zip_names_in_utf8_without_the_flag(tmp_path):
    data = zip_bytes({"naïve.py": b"x"})
    flagged = data.replace(b"\x00\x08\x08\x00", b"\x00\x00\x08\x00")
    for central in range(len(data)):
        if flagged[central : central + 4] == b"PK\x01\x02":
            flagged = flagged[: central + 9] + b"\x00" + flagged[central + 10 :]
    for local in range(len(data)):
        if flagged[local : local + 4] == b"PK\x03\x04":
            flagged = flagged[: local + 7] + b"\x00" + flagged[local + 8 :]
    assert [row["path"] for row in archive_rows(tmp_path, flagged)] == ["naïve.py"]


def test_one_bad_member_of_a_zip_does_not_hide_the_others(tmp_path):
    data = bytearray(zip_bytes({"t/a": b"a" * 50, "t/b": b"b" * 50, "t/c": b"c" * 50}))
    data[data.index(b"t/b") + 4] ^= 0xFF
    found = archive_rows(tmp_path, bytes(data))
    assert reasons(found) == {"a": None, "b": "input.unreadable", "c": None}


def test_a_member_of_a_zip_without_a_name_hides_none_of_the_others(tmp_path):
    data = zip_bytes({"t/a": b"a", "x": b"nameless", "t/b": b"b"})
    central = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    start = data.rindex(b"x", central, central + 47)
    nameless = data[: central + 28] + b"\0\0" + data[central + 30 : start] + data[start + 1 :]
    end = nameless.rindex(b"PK\x05\x06")
    size = int.from_bytes(nameless[end + 12 : end + 16], "little") - 1
    found = archive_rows(tmp_path, nameless[: end + 12] + size.to_bytes(4, "little") + nameless[end + 16 :])
    assert reasons(found) == {"t/a": None, "": "input.unreadable", "t/b": None}


def test_encrypted_and_unknown_compression(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("t/lzma", "x", zipfile.ZIP_LZMA)
        archive.writestr("t/plain", "x")
    data = bytearray(buffer.getvalue())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert details(archive_rows(tmp_path, bytes(data))) == {
        "lzma": "zip compression method 14",
        "plain": "encrypted",
    }


def test_a_zip_that_grows_too_much_is_left(tmp_path):
    text = b"x" * 1_000_000
    found = archive_rows(tmp_path, zip_bytes({f"t/{i:02}": text for i in range(40)}), Limits())
    assert 8 <= len(found) - 1 < 20
    assert reasons(found)[""] == "input.bomb"


def test_a_zip_that_lies_about_a_size_is_read_no_further_than_it_says(tmp_path):
    data = bytearray(zip_bytes({"t/a": bytes((64 << 20) + 4321), "t/b": b"fine"}))
    size = ((64 << 20) + 4321).to_bytes(4, "little")
    while (at := data.find(size)) >= 0:
        data[at : at + 4] = (100).to_bytes(4, "little")
    archive_rows(tmp_path, zip_bytes({"t/a": b"imports what rows need"}))
    tracemalloc.start()
    found = archive_rows(tmp_path, bytes(data))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reasons(found) == {"a": "input.unreadable", "b": None}
    assert peak < 8 << 20
