"""A value of a table that is none fails its row alone, and the row says where it is; parquet and JSON lines."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import Limits, Source, SourceError
from pipeline.sources.jsonl import JsonlSource
from pipeline.sources.parquet import ParquetSource
from pipeline.sources.tables import Columns
from tests.test_sources import in_any_order, rows, write, zstd_bytes

BAD = b"MIT \xe9"
NAMES = ("content", "repo", "path", "license", "revision")
ODD = Columns(content="text", repo="max_stars_repo_name", path="file_path", license="licenses", revision="commit")


def good(rows: int = 5) -> dict[str, list[Any]]:
    return {
        "content": [b"x = %d\n" % row for row in range(rows)],
        "repo": [b"o/r"] * rows,
        "path": [b"f%d.py" % row for row in range(rows)],
        "license": [b"MIT"] * rows,
        "revision": [b"main"] * rows,
    }


def binary(values: list[Any]) -> pa.Array:
    return pa.array(values, pa.binary())


TYPES = {
    "string": lambda values: binary(values).view(pa.string()),
    "large_string": lambda values: pa.array(values, pa.large_binary()).view(pa.large_string()),
    "binary": binary,
    "large_binary": lambda values: pa.array(values, pa.large_binary()),
    "dictionary": lambda values: binary(values).view(pa.string()).dictionary_encode(),
    "dictionary of bytes": lambda values: binary(values).dictionary_encode(),
    "string_view": lambda values: binary(values).view(pa.string()).cast(pa.string_view()),
}


def parquet_rows(folder: Path, table: dict[str, pa.Array], columns: Columns = Columns(), **how: Any) -> list[dict]:  # noqa: B008
    pq.write_table(pa.table(table), folder / "t.parquet", **how)
    source = ParquetSource(str(folder / "t.parquet"), columns)
    found = rows(source)
    assert in_any_order(rows(source, 1)) == in_any_order(rows(source, limits=Limits(batch_rows=1)))
    assert in_any_order(rows(source, 1)) == in_any_order(found)
    return found


def only_third_fails(found: list[dict], detail: str, reason: str = "input.not_utf8") -> None:
    assert [row["content"] for row in found] == ["x = 0\n", "x = 1\n", None, "x = 3\n", "x = 4\n"]
    assert [row["path"] for row in found if row["input_reason"] is None] == ["f0.py", "f1.py", "f3.py", "f4.py"]
    third = found[2]
    assert (third["input_reason"], third["input_detail"]) == (reason, detail)
    assert third["path"].isprintable()


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
@pytest.mark.parametrize("name", NAMES)
def test_one_value_of_parquet_that_is_no_utf8(tmp_path, name, kind):
    values = good()
    values[name][2] = BAD
    found = parquet_rows(tmp_path, {column: kind(cells) for column, cells in values.items()})
    where = "" if name == "content" else f"t.parquet#R3: column {name}: not UTF-8 at "
    only_third_fails(found, f"{where}byte 4")
    assert found[2]["path"] == ("MIT \\xe9" if name == "path" else "f2.py")


@pytest.mark.parametrize("how", [{"row_group_size": 2}, {"use_dictionary": False}, {"data_page_version": "2.0"}])
def test_however_the_file_is_written(tmp_path, how):
    values = good()
    values["license"][2] = BAD
    found = parquet_rows(tmp_path, {column: TYPES["string"](cells) for column, cells in values.items()}, **how)
    only_third_fails(found, "t.parquet#R3: column license: not UTF-8 at byte 4")


def test_the_column_is_named_as_the_table_names_it(tmp_path):
    values = good()
    values["license"][2] = BAD
    table = {getattr(ODD, name): TYPES["string"](cells) for name, cells in values.items()}
    only_third_fails(parquet_rows(tmp_path, table, ODD), "t.parquet#R3: column licenses: not UTF-8 at byte 4")


def test_a_bad_value_in_a_list_of_licences(tmp_path):
    values = {column: TYPES["string"](cells) for column, cells in good().items()}
    items = TYPES["string"]([b"MIT", b"ISC", b"MIT", BAD, b"Zlib"])
    values["license"] = pa.ListArray.from_arrays([0, 2, 2, 4, 5, 5], items)
    found = parquet_rows(tmp_path, values)
    only_third_fails(found, "t.parquet#R3: column license: not UTF-8 at byte 4")
    assert [row["claimed_license"] for row in found] == ["MIT AND ISC", None, None, "Zlib", None]


def test_a_value_that_python_has_no_object_for(tmp_path):
    values: dict[str, pa.Array] = {column: TYPES["string"](cells) for column, cells in good().items()}
    late = pa.array([0, 1000, 1 << 60, 3, None], pa.timestamp("ms"))
    found = parquet_rows(tmp_path, values | {"revision": late})
    assert found[2]["input_detail"].startswith("t.parquet#R3: column revision: ")
    only_third_fails(found, found[2]["input_detail"])
    assert found[1]["revision"] == str(datetime(1970, 1, 1, 0, 0, 1))


@pytest.mark.parametrize("name", ["content", "path", "license"])
def test_a_column_that_is_there_twice_is_told_in_one_line(tmp_path, name):
    columns = [TYPES["string"](cells) for cells in good().values()]
    table = pa.Table.from_arrays([*columns, columns[0]], [*NAMES, name])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(SourceError, match=rf"t\.parquet: column {name} is there 2 times; name another"):
        rows(ParquetSource(str(tmp_path / "t.parquet")))


def test_nulls_fail_nothing(tmp_path):
    values = good()
    for name in ("repo", "path", "license", "revision"):
        values[name][2] = None
    found = parquet_rows(tmp_path, {column: TYPES["string"](cells) for column, cells in values.items()})
    assert [row["input_reason"] for row in found] == [None] * 5
    assert found[2]["path"] == "t.parquet#R3"


@pytest.mark.parametrize("text", ["a\0b.py", "\0"])
def test_a_path_with_a_nul_is_no_path(tmp_path, text):
    values = good()
    values["path"][2] = text.encode()
    detail = f"column path: NUL at byte {text.index(chr(0))}"
    found = parquet_rows(tmp_path, {column: TYPES["string"](cells) for column, cells in values.items()})
    only_third_fails(found, f"t.parquet#R3: {detail}", "input.unsafe_path")
    found = line_rows(tmp_path, with_third({"content": "x", "path": text}))
    only_third_fails(found, f"t.jsonl#L3: {detail}", "input.unsafe_path")


def with_third(third: Any) -> bytes:
    """Five lines, of which the third is given, as bytes or as what JSON shall say."""
    lines = [json.dumps({name: cell.decode() for name, cell in zip(NAMES, row, strict=True)}) for row in by_row()]
    middle = third if isinstance(third, bytes) else json.dumps(third).encode()
    return b"\n".join([*(line.encode() for line in lines[:2]), middle, *(line.encode() for line in lines[3:])]) + b"\n"


def by_row() -> list[tuple[bytes, ...]]:
    return list(zip(*good().values(), strict=True))


def line_rows(folder: Path, data: bytes) -> list[dict]:
    """The rows of a file, the same from whichever bytes it is cut at, and compressed."""
    source: Source = JsonlSource(str(write(folder / "t.jsonl", data)))
    found = rows(source)
    for target in (1, 7, 40, 97):
        assert in_any_order(rows(source, target)) == in_any_order(found)
    packed = rows(JsonlSource(str(write(folder / "p/t.jsonl", zstd_bytes(data)))))
    assert [{**row, "source": ""} for row in packed] == [{**row, "source": ""} for row in found]
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("surrogate", ["\\ud800", "\\udfff", "\\ud800\\ud800", "\\udc80\\ud800"])
def test_a_lone_surrogate_in_a_line(tmp_path, name, surrogate):
    cells = {"content": "x", "path": "f2.py"} | {name: "ab@"}
    line = json.dumps(cells).replace("@", surrogate).encode()
    found = line_rows(tmp_path, with_third(line))
    only_third_fails(found, f"t.jsonl#L3: column {name}: lone surrogate at character 2")


def test_surrogates_that_make_a_pair_are_a_character(tmp_path):
    found = line_rows(tmp_path, with_third(b'{"content": "\\ud83d\\ude00", "path": "f2.py"}'))
    assert [row["content"] for row in found][2] == "\U0001f600"


LINES = {
    b"[1, 2]": "an array, not an object",
    b'"text"': "a string, not an object",
    b"3": "a number, not an object",
    b"3.5e3": "a number, not an object",
    b"NaN": "a number, not an object",
    b"null": "null, not an object",
    b"true": "true or false, not an object",
    b"{": "Expecting property name enclosed in double quotes at character 1",
    b'{"content": "x"} {}': "Extra data at character 17",
    b'{"content": "\xff"}': "not UTF-8 at byte 13",
    b"\xff\xfe": None,
    b"\0": None,
    b"[" * 100_000: "nested too deeply",
}


@pytest.mark.parametrize(("line", "detail"), LINES.items(), ids=[repr(line[:20]) for line in LINES])
def test_a_line_of_another_type_is_named(tmp_path, line, detail):
    found = line_rows(tmp_path, with_third(line))
    assert found[2]["path"] == "t.jsonl#L3"
    only_third_fails(found, detail or found[2]["input_detail"], "input.malformed_json")


def test_blank_lines_and_byte_order_marks_are_nothing(tmp_path):
    lines = [b'{"content": "%d"}' % number for number in range(3)]
    mark = b"\xef\xbb\xbf"
    for data in (
        b"\n\n" + b"\n \t\n\n".join(lines) + b"\n\n",
        mark + b"\n".join(lines),
        mark + b"\r\n" + b"\r\n".join(lines) + b"\r\n",
        b"\n".join(mark + line for line in lines) + b"\n" + mark,
    ):
        found = line_rows(tmp_path, data)
        assert [row["content"] for row in found] == ["0", "1", "2"]
        assert {row["input_reason"] for row in found} == {None}
    for data in (b"\n\n", mark, mark + b"\n \n"):
        (row,) = line_rows(tmp_path, data)
        assert (row["path"], row["input_reason"]) == ("t.jsonl", "input.empty")


def test_what_follows_compressed_lines_has_a_row(tmp_path):
    for end in (b"", b"\n"):
        data = zstd_bytes(b'{"content": "a"}\n{"content": "b"}' + end)
        path = write(tmp_path / "t.jsonl.zst", data + b"garbage")
        found = rows(JsonlSource(str(path)))
        assert [row["content"] for row in found] == ["a", "b", None]
        assert found[2]["input_reason"] == "input.left_out"
        assert found[2]["input_detail"] == f"what follows the compressed data at byte {len(data)} is of another kind"
