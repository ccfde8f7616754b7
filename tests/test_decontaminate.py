"""Copies of a benchmark are found however they are formatted, and ordinary code is left alone."""

import bz2
import gzip
import json
import lzma
import re
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobs.benchmarks import benchmark, humaneval_path
from transforms.decontaminate import Benchmark, Decontaminate

HUMANEVAL = [json.loads(line) for line in gzip.decompress(humaneval_path().read_bytes()).splitlines()]
PROMPTS = [problem["prompt"] for problem in HUMANEVAL]
SOLUTIONS = [problem["canonical_solution"] for problem in HUMANEVAL]

find = Decontaminate((benchmark("humaneval"),)).load()


def found(texts: Sequence[str | None]) -> list[str | None]:
    """The evidence for each text."""
    return find(pa.record_batch({"content": pa.array(texts, pa.string())}))["contamination"].to_pylist()


def test_every_prompt_is_found_and_named():
    twins = {"HumanEval/61": "HumanEval/56"}  # they differ in their brackets alone, which are no words
    for problem, detail in zip(HUMANEVAL, found(PROMPTS), strict=True):
        name = twins.get(problem["task_id"], problem["task_id"])
        assert re.fullmatch(rf"{name} prompt: (\d+) of \1 10-grams", detail or "")


def test_solutions_without_their_prompt_are_found_unless_they_are_too_short():
    details = found(SOLUTIONS)
    assert sum(detail is not None for detail in details) == 145
    missed = [text for text, detail in zip(SOLUTIONS, details, strict=True) if detail is None]
    assert max(len(re.findall(r"\w+", text)) for text in missed) <= 10
    assert "    return x + y\n" in missed


def one_line(text: str) -> str:
    return " ".join(text.split())


def commented(text: str) -> str:
    return text.replace("\n", "  # a remark\n")


def other_quotes(text: str) -> str:
    return text.replace('"""', "'''").replace("    ", "\t").replace("\n", "\r\n")


def as_line_comments(text: str) -> str:
    return "".join(f"// {line}\n" for line in text.splitlines())


@pytest.mark.parametrize("change", [one_line, commented, other_quotes, as_line_comments, json.dumps])
def test_formatting_does_not_hide_a_copy(change):
    assert None not in found([change(prompt) for prompt in PROMPTS])


def each_line(before: str, quote: Callable[[str], str] = str, behind: str = "") -> Callable[[str], str]:
    return lambda text: "".join(
        f"{before.format(number)}{quote(line)}{behind}\n" for number, line in enumerate(text.splitlines(), 1)
    )


@pytest.mark.parametrize(
    "change",
    [
        each_line("{:4d}  "),
        each_line("{}: "),
        each_line(" {:03d} | "),
        each_line("In [{}]: "),
        each_line("> "),
        each_line("+"),
        each_line("print(", repr, ")"),
        each_line("code += ", json.dumps),
        each_line("    sb.append(", lambda line: json.dumps(line + "\n"), ");"),
        each_line("lines[{}] = ", repr, ";"),
        each_line("    ", json.dumps, ","),
    ],
)
def test_what_stands_before_each_line_does_not_hide_a_copy(change):
    details = found([change(prompt) for prompt in PROMPTS])
    assert sum(detail is not None for detail in details) >= 163
    names = [detail and detail.split(":")[0] for detail in found([change(text) for text in SOLUTIONS])]
    assert sum(name is not None for name in names) >= 143
    assert found(["words " * 40 + change(PROMPTS[7]) + "more words " * 40])[0].startswith("HumanEval/7 prompt")


def test_comments_do_not_hide_a_solution():
    details = found(SOLUTIONS)
    assert [d and d.split(":")[0] for d in found([commented(text) for text in SOLUTIONS])] == [
        d and d.split(":")[0] for d in details
    ]


def test_json_lines_of_the_benchmark_are_found():
    lines = "\n".join(json.dumps(problem) for problem in HUMANEVAL)
    assert found([lines, json.dumps(lines)]) == 2 * ["HumanEval/0 prompt: 47 of 47 10-grams"]


def test_ordinary_code_is_not_taken_for_a_benchmark():
    library = Path(sysconfig.get_path("stdlib"))
    texts = [path.read_text("utf-8", "ignore") for path in sorted(library.glob("*.py"))]
    assert len(texts) > 100
    assert set(found(texts)) == {None}


def test_unreadable_and_empty_rows_are_not_contaminated():
    batch = pa.record_batch({"content": pa.array([None, "", "x", PROMPTS[5]])})
    result = find(batch)
    assert result.schema == Decontaminate().adds
    assert result["contaminated"].to_pylist() == [None, None, None, "humaneval"]
    assert find(batch.slice(0, 0)).num_rows == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from([*PROMPTS[:5], *SOLUTIONS[:5], None, "x = 1", "#\\"]), max_size=8), st.data())
def test_batch_boundaries_do_not_matter(texts, data):
    cut = data.draw(st.integers(0, len(texts)))
    batch = pa.record_batch({"content": pa.array(texts, pa.large_string())})
    parts = find(batch.slice(0, cut)).to_pylist() + find(batch.slice(cut)).to_pylist()
    assert find(batch).to_pylist() == parts


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="a_Z0 \n\r#/\\\"nrtu'é(", max_size=60))
@example("\\u")
@example("\\u00e9\\u00")
def test_words_are_read_alike_on_both_sides(text):
    """Whatever the text, a benchmark that consists of it is found in itself."""
    texts = [text + " one two three four five six seven eight nine ten"]
    function = Decontaminate((Benchmark("own.jsonl", json.dumps({"prompt": texts[0]}).encode()),)).load()
    assert function(pa.record_batch({"content": texts}))["contaminated"].to_pylist() == ["own"]


TURNS = ["Assign the string to a variable named text.", "Print the words of it in reverse order."]
CODE = "def last_words(text):\n    return [word for word in reversed(text.split()) if word not in seen]\n"


def test_benchmarks_are_given_as_json_lines(tmp_path):
    path = tmp_path / "turns.jsonl"
    path.write_text(json.dumps({"id": "7", "prompts": TURNS}) + "\n" + json.dumps({"task_id": 8, "code": CODE}))
    function = Decontaminate((benchmark(str(path)), benchmark("humaneval"))).load()
    batch = pa.record_batch({"content": [" ".join(TURNS), CODE, PROMPTS[9], "Print the words of it in order."]})
    assert function(batch)["contaminated"].to_pylist() == ["turns", "turns", "humaneval", None]
    assert function(batch)["contamination"].to_pylist()[:2] == [
        "turns/7 prompts: 7 of 7 10-grams",
        "turns/8 solution: 7 of 7 10-grams",
    ]


LINE = json.dumps({"id": 7, "prompt": " ".join(TURNS)}).encode()
MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    "data",
    [
        LINE,
        LINE + b"\n",
        LINE + b"\r\n\r\n",
        b"\n \t\r\n" + LINE,
        MARK + LINE,
        MARK + b"\n" + LINE + b"\n" + MARK + b"\n" + MARK,
        LINE.replace(b"variable", b"variable\xe2\x80\xa8"),  # U+2028 ends no line
        LINE.replace(b"{", b'{"code": null, "text": "", '),
        LINE.replace(b'"prompt"', b'"prompts": ["a"], "prompt"'),
        gzip.compress(LINE),
        gzip.compress(MARK + LINE + b"\n") + gzip.compress(b"\n" + LINE),
        bz2.compress(LINE),
        lzma.compress(LINE),
        pa.compress(LINE, "zstd", asbytes=True),
    ],
)
def test_a_benchmark_is_read_leniently(data):
    function = Decontaminate((Benchmark("dir/turns.jsonl", data),)).load()
    assert function(pa.record_batch({"content": [" ".join(TURNS)]}))["contaminated"].to_pylist() == ["turns"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"[1, 2]", "a list, not an object"),
        (b"3", "a number, not an object"),
        (b"-2.5e3", "a number, not an object"),
        (b'"text"', "a text, not an object"),
        (b"null", "null, not an object"),
        (b"true", "true or false, not an object"),
        (b"{", "no JSON: Expecting property name enclosed in double quotes at character 2"),
        (b"{} {}", "no JSON: Extra data at character 4"),
        (b'{"prompt": "\xe9"}', "not UTF-8 at byte 13"),
        (b'{"prompt": "\\ud800"}', "it has a lone surrogate, which is no character"),
        (b"[" * 100_000, "nested too deeply"),
        (b"{}", "it has a text in none of the fields prompt, canonical_solution, text, code, prompts"),
        (b'{"question": "?"}', "it has a text in none of the fields"),
        (b'{"prompt": ""}', "it has a text in none of the fields"),
        (b'{"prompt": 3}', "its prompt is a number, not a text"),
        (b'{"prompts": {"1": "a"}}', "its prompts is an object, not a text"),
        (b'{"prompts": ["a", 3]}', "its prompts is a list, not a text"),
        (b'{"code": false}', "its code is true or false, not a text"),
        (LINE.decode().encode("utf-16"), "not UTF-8 at byte 1"),
        (b'{"id": ' + b"9" * 5000 + b"}", "Exceeds the limit"),
    ],
)
def test_a_line_that_is_no_problem_is_told_with_its_place(tmp_path, line, told):
    path = tmp_path / "turns.jsonl"
    path.write_bytes(LINE + b"\n\n" + line + b"\n" + LINE)
    with pytest.raises(ValueError, match=re.escape(f"{path}:3: {told}")) as error:
        Decontaminate((benchmark(str(path)),)).load()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "it holds no problem"),
        (b"\n" + MARK + b"\n", "it holds no problem"),
        (b'{"prompt": "too short"}', "none of its texts has 10 words or more"),
        (gzip.compress(LINE)[:-20], "damaged behind line"),
        (b"BZh9 no bzip2", "damaged behind line 0"),
        (b"\x28\xb5\x2f\xfd no zstd", "damaged behind line 0"),
    ],
)
def test_a_benchmark_without_problems_is_refused(data, told):
    with pytest.raises(ValueError, match=rf"other.*: {told}"):
        Decontaminate((Benchmark("other.jsonl", data), benchmark("humaneval"))).load()


def test_a_benchmark_that_there_is_not_is_refused(tmp_path):
    with pytest.raises(ValueError, match="unknown benchmark 'HumanEvil'; did you mean humaneval"):
        benchmark("HumanEvil")
    with pytest.raises(ValueError, match="unknown benchmark 'mbpp'; give humaneval, or the path of a file"):
        benchmark("mbpp")
    with pytest.raises(ValueError, match=r"missing\.jsonl cannot be read: No such file or directory"):
        benchmark(str(tmp_path / "missing.jsonl"))
