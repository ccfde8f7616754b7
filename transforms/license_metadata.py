"""Licences that package metadata declares. Files are parsed as data, never run; what is broken is read by pattern."""

import configparser
import json
import re
import tomllib
from collections.abc import Callable
from email.parser import HeaderParser
from typing import Any, NamedTuple

_LARGEST = 1 << 20  # bytes; metadata is small, and parsers of untrusted text want a bound
_PYTHON_METADATA = ("METADATA", "PKG-INFO")
_CLASSIFIER = re.compile(r"License\s*::\s*[^\"'\n\r,\]]+")
_LICENSE_FILE = re.compile(r"(?:\./)?(?:un)?(?:licen[cs]e|copying)(?:\.(?:txt|md|rst))?")
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


class Declaration(NamedTuple):
    """What a field of package metadata declares, in its own words; its licences hold together."""

    field: str
    names: list[str]


Declared = list[tuple[str, list[Any]]]
"""Fields and what they hold, of any type: what is no string is passed over."""


def is_metadata(path: str) -> bool:
    """Whether a file of this path is package metadata that can declare a licence."""
    return _reader(path) is not None


def has_description(path: str) -> bool:
    """Whether package metadata of this path carries the project's description, most often its whole README."""
    return path[path.rfind("/") + 1 :] in _PYTHON_METADATA


def declared_license(path: str, content: bytes) -> list[Declaration]:
    """What a package metadata file declares as its licence.

    The most authoritative field first: a licence field, then trove classifiers. Empty where the path is no such file,
    and where it declares nothing, as do `license = {file = …}`, `SEE LICENSE IN …` and `license = LICENSE.txt`: what
    the licence file says is read from that file.
    """
    reader = _reader(path)
    if reader is None or len(content) > _LARGEST:
        return []
    fields = reader(bytes(content).decode("utf-8", "replace"))
    declared = [
        Declaration(field, [name.strip() for name in names if isinstance(name, str) and _declares(name)])
        for field, names in fields
    ]
    return [declaration for declaration in declared if declaration.names]


def _reader(path: str) -> Callable[[str], Declared] | None:
    name = path[path.rfind("/") + 1 :]
    if name in _PYTHON_METADATA:
        return _read_python_metadata
    if name.endswith((".pom", ".nuspec")):
        return _read_pom
    if name.endswith(".gemspec"):
        return _read_gemspec
    return _READERS.get(name)


def _declares(text: str) -> bool:
    words = text.strip().lower()
    if not words or words in ("unknown", "none", "n/a", "todo", "license :: osi approved"):
        return False
    return not words.startswith(("see ", "file ", "file:")) and not _LICENSE_FILE.fullmatch(words)


def _read_python_metadata(text: str) -> Declared:
    """Core metadata: License-Expression, which excludes the others (PEP 639), else License and classifiers."""
    headers = HeaderParser().parsestr(text)
    expression = headers.get_all("License-Expression", [])
    if expression:
        return [("License-Expression", expression)]
    return [("License", headers.get_all("License", [])), ("Classifier", _trove(headers.get_all("Classifier", [])))]


def _read_pyproject(text: str) -> Declared:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return [("license", _assigned(text)), ("classifiers", _CLASSIFIER.findall(text))]
    tool = _table(document, "tool")
    tables = {"project": _table(document, "project"), "tool.poetry": _table(tool, "poetry")}
    tables["tool.flit.metadata"] = _table(_table(tool, "flit"), "metadata")
    licenses = [(f"{name}.license", table.get("license")) for name, table in tables.items()]
    return [
        *((field, [value.get("text") if isinstance(value, dict) else value]) for field, value in licenses),
        *((f"{name}.classifiers", _trove(table.get("classifiers"))) for name, table in tables.items()),
    ]


def _read_setup_cfg(text: str) -> Declared:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return [("license", _assigned(text)), ("classifiers", _CLASSIFIER.findall(text))]
    license = parser.get("metadata", "license", fallback=None)
    classifiers = _CLASSIFIER.findall(parser.get("metadata", "classifiers", fallback=""))
    return [("metadata.license", [license]), ("metadata.classifiers", classifiers)]


def _read_setup_py(text: str) -> Declared:
    return [("license", _strings_behind(r"\blicense\s*=\s*", text)), ("classifiers", _CLASSIFIER.findall(text))]


def _read_cargo(text: str) -> Declared:
    """Cargo.toml: package.license, and that of the workspace; a slash is an old OR."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return [("license", _assigned(text))]
    tables = {
        "package": _table(document, "package"),
        "workspace.package": _table(_table(document, "workspace"), "package"),
    }
    licenses = [(f"{name}.license", table.get("license")) for name, table in tables.items()]
    return [(field, [license.replace("/", " OR ")]) for field, license in licenses if isinstance(license, str)]


def _read_json(text: str) -> Declared:
    """npm's package.json, bower.json and composer.json. A list names licences to choose from.

    So say composer's schema and npm, which asks to write its old list `licenses` as an OR.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return [("license", _assigned(text))]
    if not isinstance(document, dict):
        return []
    return [(key, _json_licenses(document.get(key))) for key in ("license", "licenses")]


def _json_licenses(declared: Any) -> list[str]:
    choices = [
        choice.get("type") or choice.get("name") if isinstance(choice, dict) else choice
        for choice in (declared if isinstance(declared, list) else [declared])
    ]
    names = [choice for choice in choices if isinstance(choice, str) and choice.strip()]
    if "UNLICENSED" in names:  # npm's word for "no licence is granted", not the Unlicense
        return ["LicenseRef-scancode-proprietary-license"]
    return names if len(names) < 2 else [" OR ".join(f"({name})" for name in names)]


def _read_pom(text: str) -> Declared:
    """Maven: project/licenses/license/name; NuGet: license. By pattern, so that no entity is ever expanded."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    blocks = " ".join(re.findall(r"<licenses>(.*?)</licenses>", text, re.S))
    return [
        ("licenses", re.findall(r"<name>([^<]*)</name>", blocks)),
        ("license", re.findall(r"<license type=\"expression\">([^<]*)<", text)),
    ]


def _read_gemspec(text: str) -> Declared:
    return [("license", _strings_behind(r"\.licenses?\s*=\s*", text))]


def _assigned(text: str) -> list[str]:
    """`license = "…"` or `"license": "…"` in a document that does not parse."""
    return _strings_behind(r"^[ \t{,]*\"?license\"?\s*[:=]\s*", text)


def _strings_behind(pattern: str, text: str) -> list[str]:
    """What stands right behind each match of a pattern: a string, the strings of a list, a bare word."""
    found = []
    for match in re.finditer(pattern, text, re.M):
        rest = text[match.end() : match.end() + 500]
        if rest.startswith("["):
            found += [double or single for double, single in _QUOTED.findall(rest.partition("]")[0])]
        elif quoted := _QUOTED.match(rest):
            found.append(quoted[1] or quoted[2] or "")
        elif bare := re.match(r"[\w .+-]+$", rest, re.M):
            found.append(bare[0])
    return found


def _trove(classifiers: Any) -> list[str]:
    if not isinstance(classifiers, list):
        return []
    return [value for value in classifiers if isinstance(value, str) and value.startswith("License ::")]


def _table(document: Any, key: str) -> dict[str, Any]:
    value = document.get(key) if isinstance(document, dict) else None
    return value if isinstance(value, dict) else {}


_READERS: dict[str, Callable[[str], Declared]] = {
    "Cargo.toml": _read_cargo,
    "bower.json": _read_json,
    "composer.json": _read_json,
    "package.json": _read_json,
    "pom.xml": _read_pom,
    "pyproject.toml": _read_pyproject,
    "setup.cfg": _read_setup_cfg,
    "setup.py": _read_setup_py,
}
