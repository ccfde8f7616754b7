"""Toxicity of comments, strings and prose. The profanity in here is mild."""

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.comments import comment_spans
from transforms.toxicity import PERSONS, REMARKS, SELVES, TERMS, Toxicity, load_classifier, worst_lines


def score(content: str | None, language: str | None = "Python") -> tuple[Any, Any]:
    batch = pa.record_batch(
        {"content": pa.array([content], pa.string()), "language": pa.array([language], pa.string())}
    )
    row = Toxicity().load()(batch).to_pylist()[0]
    return row["toxicity"], row["toxicity_line"]


LINES = [
    "damn this crap",
    "what a damn mess of code, written by an idiot",
    "the quick brown fox jumps over the lazy dog",
    "# returns the number of rows that were read from the file",
    "naïve café; crap “quoted” …",
    "CRAP Crap crap",
    "an arrogant jerk wrote the parser and the tests for the parser",
    "bollocks to the old interface",
    "you damn moron, how dare you",
    "he is a liar and a coward",
]


def test_scores_are_those_of_the_package() -> None:
    from profanity_check import predict_prob

    neutral = re.compile(rf"(?i)\b(?:{'|'.join((TERMS + REMARKS).split())})\b")
    content = pa.array(LINES)
    scores, _ = worst_lines(content, comment_spans(content, pa.array(["Text"] * len(LINES))), load_classifier())
    unmasked = [line if re.search(r"\b(?:you|he)\b", line) else neutral.sub(" ", line) for line in LINES]
    np.testing.assert_allclose(scores, predict_prob(unmasked), rtol=1e-9)


def test_the_worst_line_of_a_file_counts() -> None:
    content = 'x = 1\n"""A module.\n\nIt does things.\nWhat damn crap this is.\n"""\n# fine\n'
    assert score(content)[1] == 5
    assert score(content.replace("\n", "\r\n"))[1] == 5
    assert score(content)[0] == score("# What damn crap this is.")[0] > 0.9


@pytest.mark.parametrize(
    "comment",
    [
        "what a load of crap",
        "damn it",
        "you are an idiot",
        "You stupid moron",
        "kill yourself",
        "you suck",
        "wtf is this",
    ],
)
def test_profanity_and_insults_score_high(comment: str) -> None:
    for content, language in [(f"# {comment}", "Python"), (f'"{comment}"', "C"), (comment, "Markdown")]:
        assert score(content, language)[0] > 0.9


@pytest.mark.parametrize(
    "comment",
    [
        "master slave replication",
        "kill the child process and wait until it dies",
        "if you kill this process, its children die",
        "abort: the dummy slave hung, kill it",
        "garbage collector marks dead objects, dirty pages are flushed",
        "called before the executor is shut down",
        "A stupid but fast search; the ugly part is below",
        "fat binaries, line caps: butt, round, square",
        "columns: age, sex, race, income",
        "cum is the cumulative sum, anal the analysis",
        "white space, black list, orphan and zombie processes, nuts and bolts",
        "The above copyright notice shall be included; in no event shall the authors be liable for damages",
    ],
)
def test_the_language_of_the_trade_is_not_toxic(comment: str) -> None:
    assert score(f"# {comment}")[0] < 0.5


def test_code_itself_is_not_judged() -> None:
    assert score("crap = damn(idiot)\n") == (0, None)
    assert score("crap = damn(idiot)\n", language=None) == (0, None)


def test_escapes_in_strings_part_words() -> None:
    assert score(r'x = "first\ncrap\tlast"')[0] > 0.9


@pytest.mark.parametrize(
    ("content", "language"), [("", "Python"), ("x = 1", "Python"), ("damn", None), ("# 1 2 3", "C")]
)
def test_a_file_without_known_words_scores_nothing(content: str, language: str | None) -> None:
    assert score(content, language) == (0, None)


def test_unreadable_content_has_no_score() -> None:
    assert score(None) == (None, None)


def test_a_row_is_scored_alike_in_any_batch() -> None:
    content, language = pa.array([*LINES, None]), pa.array(["Text"] * 11)
    batch = pa.record_batch({"content": content, "language": language})
    function = Toxicity().load()
    rows = [row for number in range(11) for row in function(batch.slice(number, 1)).to_pylist()]
    assert rows == function(batch).to_pylist()


def test_every_excused_word_is_one_that_the_classifier_knows() -> None:
    classifier = load_classifier()
    assert set(np.unique(classifier.needs)) == {0, 1, 2}
    assert not set(TERMS.split()) & set(REMARKS.split())
    assert not set(PERSONS.split()) & set(SELVES.split())


def test_loading_warns_of_nothing() -> None:
    code = "from transforms.toxicity import Toxicity; Toxicity().load()"
    run = subprocess.run([sys.executable, "-W", "always", "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
