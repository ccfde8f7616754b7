"""Languages by linguist's names, and what decided them."""

import pyarrow as pa
import pytest

from transforms.language import Language, language_of, language_type


def tag(*files: tuple[str, str | None]) -> list[dict[str, str | None]]:
    paths, contents = zip(*files, strict=True)
    batch = pa.record_batch({"path": pa.array(paths), "content": pa.array(contents, pa.string())})
    return Language().load()(batch).to_pylist()


@pytest.mark.parametrize(
    ("path", "content", "language", "kind", "by"),
    [
        ("src/app.py", "print(1)", "Python", "programming", "name"),
        ("Makefile", "all:\n", "Makefile", "programming", "name"),
        ("web/index.ts", "let x: number = 1", "TypeScript", "programming", "content"),
        ("data.toml", "a = 1", "TOML", "data", "name"),
        ("README.md", "# Title\n\nText.\n", "Markdown", "prose", "content"),
        ("style.css", "a { color: red }", "CSS", "markup", "name"),
        ("run", "#!/usr/bin/env bash\necho hello\n", "Shell", "programming", "content"),
        ("a.h", "#include <vector>\nnamespace x { class Y {}; }\n", "C++", "programming", "content"),
        ("a.h", "int f(void);\n", "C", "programming", "content"),
        ("a.h", "@interface Foo : NSObject\n@end\n", "Objective-C", "programming", "content"),
        ("lib.rs", 'use std::io;\nfn main() { println!("hi"); }\n', "Rust", "programming", "content"),
        ("UPPER.PY", "x = 1", "Python", "programming", "name"),
    ],
)
def test_language_of_a_file(path: str, content: str, language: str, kind: str, by: str) -> None:
    assert tag((path, content)) == [{"language": language, "language_type": kind, "language_by": by}]


def test_without_content_only_the_name_can_tell() -> None:
    named, ambiguous = tag(("big.py", None), ("big.h", None))
    assert named == {"language": "Python", "language_type": "programming", "language_by": "name"}
    assert set(ambiguous.values()) == {None}


@pytest.mark.parametrize("path", ["LICENSE.unknown", "notes", "", ".", "dir/", "x.no-such-extension"])
def test_a_file_linguist_does_not_know_has_no_language(path: str) -> None:
    assert set(tag((path, "some words of text here"))[0].values()) == {None}


def test_a_blank_file_is_not_guessed() -> None:
    assert language_of("lib.rs", b" \n\t\n") == (None, None)
    assert language_of("header.h", b"") == ("C", "content")


def test_batches_do_not_matter() -> None:
    files = [("a.py", "x"), ("b.h", "int x;"), ("c", None), ("d.rs", "fn f() {}"), ("e.py", None)]
    assert tag(*files) == [row for file in files for row in tag(file)]


def test_type_of_a_name() -> None:
    assert language_type("Go") == "programming"
    assert language_type("Pyton") is None
