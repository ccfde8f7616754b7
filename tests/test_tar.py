"""What GNU tar reads of an archive is read, or one row tells that it was not."""

import bz2
import gzip
import io
import itertools
import lzma
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.sources import archive
from pipeline.sources.archive import ArchiveSource
from tests.test_hostile_inputs import FILES, archive_rows, details, reasons
from tests.test_sources import in_any_order, rows, tar_bytes, write, zstd_bytes

END = bytes(1024)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def header(name: bytes, size: int = 0, kind: bytes = b"0", **fields: bytes) -> bytes:
    """A header, some of whose fields (magic, prefix, owner, …) are given as they shall stand, with its checksum."""
    places = {"digits": 124, "link": 157, "magic": 257, "owner": 265, "prefix": 345}
    info = tarfile.TarInfo("x")
    info.size, info.type = size, kind
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[:100] = name.ljust(100, b"\0")
    for field, value in fields.items():
        block[places[field] : places[field] + len(value)] = value
    return with_sum(bytes(block), sum)


def with_sum(block: bytes, summed: Callable[[bytes], int], form: bytes = b"%06o\0 ") -> bytes:
    return block[:148] + form % summed(block[:148] + b" " * 8 + block[156:]) + block[156:]


def member(name: bytes, data: bytes, kind: bytes = b"0", **fields: bytes) -> bytes:
    return header(name, len(data), kind, **fields) + padded(data)


def pax(kind: bytes, **records: str) -> bytes:
    return tarfile.TarInfo._create_pax_generic_header(records, kind, "utf-8")  # type: ignore[attr-defined]


def read(folder: Path, data: bytes) -> dict[str, str]:
    """Path → the text, or the reason and its detail; the same from every share of the archive."""
    source = ArchiveSource(str(write(folder / "x.tar", data)))
    found = rows(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "STRIPE", 512)
        assert in_any_order(rows(source, 100)) == in_any_order(found)
    return {
        row["path"]: row["content"] or f"{row['input_reason']} {row['input_detail'] or ''}".strip() for row in found
    }


def gnu_tar(folder: Path, data: bytes, *options: str) -> dict[str, str]:
    """What GNU tar makes of the same bytes: regular files by their path below the first folder."""
    (folder / "gnu").mkdir()
    subprocess.run(["tar", "-x", *options, "-C", "gnu"], input=data, cwd=folder, check=True)
    files = [path for path in (folder / "gnu").rglob("*") if path.is_file() and not path.is_symlink()]
    return {os.fsdecode(path.relative_to(folder / "gnu" / "p")): path.read_text() for path in files}


def signed(data: bytes) -> int:
    return sum(byte - 256 if byte > 127 else byte for byte in data)


ODD_HEADERS = {
    "sum of signed bytes": with_sum(header(b"p/a.py", 3, owner=b"M\xfcller", link=b"\xe9"), signed),
    "sum of signed bytes below zero or none": with_sum(header(b"p/a.py", 3, owner=b"\x80" * 5), signed),
    "sum without NUL": with_sum(header(b"p/a.py", 3), sum, b"%07o "),
    "sum with blanks before it": with_sum(header(b"p/a.py", 3), sum, b"%6o\0 "),
    "sum of eight digits": with_sum(header(b"p/a.py", 3), sum, b"%08o"),
    "size with blanks": header(b"p/a.py", digits=b"          3 "),
    "size without an end": header(b"p/a.py", digits=b"000000000003"),
    "size with a NUL before it": header(b"p/a.py", digits=b"\0         3\0"),
    "size in base 256": header(b"p/a.py", digits=b"\x80" + bytes(10) + b"\x03"),
    "size in few digits": header(b"p/a.py", digits=b"3\0"),
    "seventh edition": header(b"p/a.py", 3, magic=bytes(255)),
    "seventh edition, no kind": with_sum(header(b"p/a.py", 3, kind=b"\0", magic=bytes(255)), sum),
    "GNU, whose prefix holds times": header(b"p/a.py", 3, magic=b"ustar  \0", prefix=b"01234567012"),
    "ustar with a prefix": header(b"a.py", 3, prefix=b"p"),
    "star": header(b"a.py", 3, prefix=b"p".ljust(131, b"\0") + b"14762123456 14762123456 tar\0"),
    "contiguous file": header(b"p/a.py", 3, kind=b"7"),
}


@pytest.mark.parametrize("block", ODD_HEADERS.values(), ids=ODD_HEADERS)
def test_headers_as_old_and_other_writers_have_them(tmp_path, block):
    data = block + padded(b"a;\n") + member(b"p/b.py", b"b;\n") + END
    assert read(tmp_path, data) == gnu_tar(tmp_path, data) == {"a.py": "a;\n", "b.py": "b;\n"}


@pytest.mark.parametrize("change", [(148, b"000000\0 "), (148, b"xxxxxxxx"), (124, b"3\x01"), (124, b"\xff" * 12)])
def test_a_header_that_means_nothing_is_told(tmp_path, change):
    at, value = change
    block = bytearray(header(b"p/b.py", 3))
    block[at : at + len(value)] = value
    block = bytes(block) if at == 148 else with_sum(bytes(block), sum)
    found = read(tmp_path, member(b"p/a.py", b"a;\n") + block + padded(b"b;\n") + END)
    assert found.pop("a.py") == "a;\n"
    assert found.keys() == {""}
    assert found[""].startswith("input.corrupt_archive damaged")


OLD_NAMES = {
    "latin-1": "café über",
    "cp437": "naïve ß",
    "koi8-r": "привет",
    "cp1251": "файл",
    "shift-jis": "表示ソ",
    "gbk": "文件",
    "euc-kr": "한글",
    "utf-8": "naïve файл 文件",
}


@pytest.mark.parametrize("summed", [sum, signed])
def test_names_in_old_code_pages_keep_their_rows(tmp_path, summed):
    names = [name.encode(page) for page, name in OLD_NAMES.items()]
    data = b"".join(
        with_sum(header(b"p/" + name, 2), summed) + padded(b"%d\n" % number) for number, name in enumerate(names)
    )
    found = read(tmp_path, data + END)
    assert list(found.values()) == [f"{number}\n" for number in range(len(names))]
    assert all(path.isprintable() for path in found)
    assert "caf\\xe9 \\xfcber" in found
    assert OLD_NAMES["utf-8"] in found
    assert gnu_tar(tmp_path, data + END).keys() == {os.fsdecode(name) for name in names}


FIRST = member(b"p/a.py", b"a;\n") + END
SECOND = member(b"p/b.py", b"b;\n") + END
BOTH = {"a.py": "a;\n", "b.py": "b;\n"}


@pytest.mark.parametrize(
    "data",
    [
        FIRST + SECOND,
        FIRST[:-512] + SECOND,
        FIRST + bytes(10240 - len(FIRST)) + SECOND,
        FIRST + bytes(1 << 20) + SECOND,
        END + FIRST + END + SECOND + END,
        FIRST + SECOND + bytes(100),
    ],
)
def test_archives_one_behind_the_other_are_read(tmp_path, data):
    assert read(tmp_path, data) == gnu_tar(tmp_path, data, "-i") == BOTH


PACKERS = {"gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress, "zstd": zstd_bytes}


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_compressed_ones_too_in_any_number_of_streams(tmp_path, pack):
    whole = FIRST + SECOND
    for pieces in ([whole], [FIRST, SECOND], [whole[:300], whole[300:2000], b"", whole[2000:]]):
        data = b"".join(map(pack, pieces))
        assert read(tmp_path, data) == BOTH
        assert read(tmp_path, data + bytes(1024)) == BOTH
    assert read(tmp_path, pack(FIRST) + bytes(512) + pack(SECOND)) == BOTH


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
@pytest.mark.parametrize("garbage", [b"x", b"garbage\n" * 10_000, bytes(64) + b"\1", b"\x1f"])
def test_what_follows_compressed_data_has_a_row(tmp_path, pack, garbage):
    data = pack(FIRST + SECOND)
    found = read(tmp_path, data + garbage)
    at = len(data) + (64 if garbage.startswith(b"\0") else 0)
    told = f"input.left_out what follows the compressed data at byte {at} is of another kind"
    assert found == BOTH | {"": told}


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(PACKERS, 2)])
def test_an_archive_behind_one_of_another_compression_has_a_row(tmp_path, first, second):
    found = read(tmp_path, PACKERS[first](FIRST) + PACKERS[second](SECOND))
    assert found.pop("a.py") == "a;\n"
    assert found[""].startswith("input.left_out what follows the compressed data at byte")


@pytest.mark.parametrize(
    "garbage",
    [b"x", b"garbage\n" * 1000, b"\0" * 511 + b"\1", gzip.compress(SECOND, mtime=0)],
    ids=["a byte", "words", "a block", "gzip"],
)
def test_what_follows_an_end_mark_and_is_no_archive_has_a_row(tmp_path, garbage):
    found = read(tmp_path, FIRST + garbage)
    assert found.pop("a.py") == "a;\n"
    assert list(found) == [""]
    assert found[""].startswith("input.left_out what follows the end mark before byte")


def test_of_a_second_archive_that_breaks_off_the_first_part_is_read(tmp_path):
    third = member(b"p/c.py", b"c;\n" * 1000) + END
    found = read(tmp_path, FIRST + SECOND + third[:1000])
    assert found == BOTH | {"": "input.corrupt_archive ends inside a file"}


WITHOUT_DATA = {b"1": "hard link", b"2": "symlink", b"3": "character device", b"5": None, b"6": "fifo"}


@pytest.mark.parametrize("kind", WITHOUT_DATA)
@pytest.mark.parametrize("data", [b"", b"z" * 700])
def test_a_size_where_there_is_no_data_misleads_nobody(tmp_path, kind, data):
    """Tools differ in whether what such a header states follows it; what follows it tells."""
    block = header(b"p/q", 700, kind, link=b"p/a.py") + padded(data)
    found = read(tmp_path, member(b"p/a.py", b"a;\n") + block + member(b"p/b.py", b"b;\n") + END)
    assert found == BOTH | ({"q": f"input.not_regular {WITHOUT_DATA[kind]}"} if WITHOUT_DATA[kind] else {})
    found = read(tmp_path, member(b"p/a.py", b"a;\n") + block + END)
    assert found == {"a.py": "a;\n"} | ({"q": f"input.not_regular {WITHOUT_DATA[kind]}"} if WITHOUT_DATA[kind] else {})


def test_a_folder_with_data_has_a_row(tmp_path):
    data = (
        member(b"p/a.py", b"a;\n") + member(b"p/x/", b"abc") + member(b"p/y/", b"") + member(b"p/b.py", b"b;\n") + END
    )
    assert read(tmp_path, data) == BOTH | {"x/": "input.not_regular folder with data"}


def test_pax_records_for_one_member_and_for_all(tmp_path):
    a, b = member(b"p/short", b"a;\n"), member(b"p/b.py", b"b;\n")
    assert read(tmp_path, pax(b"x", path="p/a.py") + a + b + END) == BOTH
    assert read(tmp_path, pax(b"X", path="p/a.py") + a + b + END) == BOTH  # Solaris
    assert read(tmp_path, pax(b"x", path="p/x") + pax(b"x", path="p/a.py") + a + b + END) == BOTH
    assert read(tmp_path, pax(b"x", path="p/é" * 100) + a + b + END) == {"é" + "p/é" * 99: "a;\n", "b.py": "b;\n"}
    wrong_size = header(b"p/a.py", 0) + padded(b"a;\n")
    assert read(tmp_path, pax(b"x", size="3") + wrong_size + b + END) == BOTH
    assert read(tmp_path, pax(b"g", size="3") + wrong_size + b + END) == BOTH
    assert (
        read(tmp_path, pax(b"g", path="p/x") + pax(b"x", path="p/a.py") + a + pax(b"x", path="p/b.py") + b + END)
        == BOTH
    )
    assert read(tmp_path, pax(b"x", size="", path="") + member(b"p/a.py", b"a;\n") + b + END) == BOTH
    behind = pax(b"g", size="3") + pax(b"x", path="p/c") + END + FIRST + SECOND
    assert read(tmp_path, behind) == BOTH


def test_long_names_of_gnu_one_upon_the_other(tmp_path):
    def long(kind: bytes, name: bytes) -> bytes:
        return member(b"././@LongLink", name + b"\0", kind, magic=b"ustar  \0")

    a, b = member(b"p/short", b"a;\n"), member(b"p/b.py", b"b;\n")
    name = b"p/" + b"n" * 300
    assert read(tmp_path, long(b"L", name) + a + b + END) == {"n" * 300: "a;\n", "b.py": "b;\n"}
    assert read(tmp_path, long(b"K", name) + long(b"L", b"p/x") + long(b"L", b"p/a.py") + a + b + END) == BOTH
    assert read(tmp_path, long(b"L", b"p/x") + pax(b"x", path="p/a.py") + a + b + END) == BOTH


def test_the_revision_is_that_of_each_archive(tmp_path):
    ids = ["1" * 40, "2" * 40]
    data = pax(b"g", comment=ids[0]) + FIRST + pax(b"g", comment=ids[1]) + SECOND + member(b"p/c", b"c") + END
    found = rows(ArchiveSource(str(write(tmp_path / "x", data))))
    assert [row["revision"] for row in found] == [*ids, None]


@pytest.mark.parametrize("format", ["v7", "oldgnu", "gnu", "ustar", "posix"])
def test_what_gnu_tar_writes_in_each_format(tmp_path, format):
    names = ["a.py", "d/b.py", "é.py", "d/" + "n" * (60 if format == "v7" else 90), "d/e/" + "m" * 80]
    if format in ("oldgnu", "gnu", "posix"):
        names.append("/".join(["d" * 100] * 4) + "/" + "n" * 200)
    for name in names:
        write(tmp_path / "p" / name, f"{name}\n")
    os.link(tmp_path / "p/a.py", tmp_path / "p/hard")
    (tmp_path / "p/soft").symlink_to("a.py")
    options = ["--sort=name", f"--format={format}"]
    data = subprocess.run(["tar", "-c", *options, "p"], cwd=tmp_path, check=True, capture_output=True).stdout
    links = {"hard": "input.not_regular hard link", "soft": "input.not_regular symlink"}
    assert read(tmp_path, data) == {name: f"{name}\n" for name in names} | links


@pytest.mark.parametrize("format", ["oldgnu", "gnu", "posix"])
@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_sparse_files_have_a_row_and_hide_nothing(tmp_path, format, version):
    write(tmp_path / "p/a.py", "a;\n")
    with open(write(tmp_path / "p/holes", b""), "r+b") as file:
        for number in range(40):  # more than a header's own map takes
            file.seek(number * 100_000)
            file.write(b"data")
    write(tmp_path / "p/z.py", "z;\n")
    options = ["--sort=name", f"--format={format}", "-S"]
    options += [f"--sparse-version={version}"] if format == "posix" else []
    data = subprocess.run(["tar", "-c", *options, "p"], cwd=tmp_path, check=True, capture_output=True).stdout
    assert read(tmp_path, data) == {"a.py": "a;\n", "holes": "input.not_regular sparse file", "z.py": "z;\n"}


def test_labels_and_incremental_dumps(tmp_path):
    write(tmp_path / "p/d/a.py", "a;\n")
    command = ["tar", "-c", "--sort=name", "-V", "a label", "-g", "state", "p"]
    data = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True).stdout
    found = read(tmp_path, data)
    assert found == {"a label": "input.not_regular volume label", "p/d/a.py": "a;\n"}


def test_a_file_that_goes_on_in_another_archive(tmp_path):
    data = member(b"p/a.py", b"rest of it", b"M") + member(b"p/b.py", b"b;\n") + END
    assert read(tmp_path, data) == {"a.py": "input.not_regular part of a file in several archives", "b.py": "b;\n"}


def test_an_archive_grows_by_appending(tmp_path):
    write(tmp_path / "p/a.py", "a;\n")
    write(tmp_path / "p/b.py", "b;\n")
    for command in ("cf", "rf"):
        subprocess.run(["tar", command, "x.tar", "p/a.py" if command == "cf" else "p/b.py"], cwd=tmp_path, check=True)
    whole = (tmp_path / "x.tar").read_bytes()
    assert read(tmp_path, whole) == BOTH
    buffer = io.BytesIO(tar_bytes({"p/a.py": b"a;\n"}))
    with tarfile.open(fileobj=buffer, mode="a") as more:
        more.addfile(tarfile.TarInfo("p/c"))
    assert read(tmp_path, buffer.getvalue()) == {"a.py": "a;\n", "c": "input.empty"}


# Damage


def test_sparse_files_do_not_grow(tmp_path):
    for format in ("1.0", "0.1", "0.0"):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo("t/sparse")
            major, minor = format.split(".")
            info.pax_headers = {
                "GNU.sparse.major": major,
                "GNU.sparse.minor": minor,
                "GNU.sparse.realsize": "1" + "0" * 15,
            }
            archive.addfile(info)
            archive.addfile(tarfile.TarInfo("t/next"))
        assert details(archive_rows(tmp_path, buffer.getvalue())) == {"sparse": "sparse file", "next": None}


def test_truncation_between_two_members_is_noticed(tmp_path):
    found = archive_rows(tmp_path, tar_bytes(FILES)[: 1536 * 2])
    assert [row["input_reason"] for row in found] == [None, None, "input.corrupt_archive"]


def test_a_damaged_header_does_not_end_an_archive_silently(tmp_path):
    data = bytearray(tar_bytes(FILES))
    data[1536 * 3 + 5] ^= 1
    found = archive_rows(tmp_path, bytes(data))
    assert [row["input_reason"] for row in found] == [None, None, None, "input.corrupt_archive"]
    assert found[-1]["input_detail"] == f"damaged tar header at byte {1536 * 3}"


@pytest.mark.parametrize("records", [b"0 a=b\n", b"1 a=b\n", b"6 a=b\n0 c=d\n", b"00000000000000000000 a=b\n"])
def test_a_pax_record_that_claims_no_length_ends(tmp_path, records):
    info = tarfile.TarInfo("t/x")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    data = info.tobuf(tarfile.USTAR_FORMAT) + records.ljust(512, b"\0") + tar_bytes({"t/a": b"text"})
    assert details(archive_rows(tmp_path, data)) == {"": "damaged pax header"}


def test_tar_headers_cannot_ask_for_memory(tmp_path):
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE):
        info = tarfile.TarInfo("t/x")
        info.type, info.size = kind, 1 << 60
        found = archive_rows(tmp_path, info.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20))
        assert found[-1]["input_reason"] == "input.corrupt_archive"
    info = tarfile.TarInfo("t/x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2
    block = info.tobuf(tarfile.GNU_FORMAT) + b"a".ljust(512, b"\0")
    assert reasons(archive_rows(tmp_path, block * 20_000)) == {"": "input.corrupt_archive"}
