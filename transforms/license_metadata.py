"""Licences that package metadata declares. Files are parsed as data, never run; what is broken is read by pattern."""

import configparser
import json
import re
import tomllib
from collections.abc import Callable
from email.parser import HeaderParser
from typing import Any

_LARGEST = 1 << 20  # bytes; metadata is small, and parsers of untrusted text want a bound
_CLASSIFIER = re.compile(r"License\s*::\s*[^\"'\n\r,\]]+")
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


def is_metadata(path: str) -> bool:
    """Whether a file of this path is package metadata that can declare a licence."""
    return _reader(path) is not None


def declared_license(path: str, content: bytes) -> list[list[str]]:
    """What a package metadata file declares as its licence, in its own words.

    A list of statements, the most authoritative first (a licence field, then trove classifiers); the licences of one
    statement hold together. Empty where the path is no such file, and where it declares nothing, as do
    `license = {file = …}` and `SEE LICENSE IN …`.
    """
    reader = _reader(path)
    if reader is None or len(content) > _LARGEST:
        return []
    statements = reader(bytes(content).decode("utf-8", "replace"))
    declared = [[name.strip() for name in names if isinstance(name, str) and _declares(name)] for names in statements]
    return [names for names in declared if names]


def _reader(path: str) -> Callable[[str], list[list[Any]]] | None:
    folder, _, name = path.rpartition("/")
    if name in ("METADATA", "PKG-INFO"):
        return _read_python_metadata
    if name == "copyright" and folder.rpartition("/")[2] == "debian":
        return _read_debian_copyright
    if name.endswith((".pom", ".nuspec")):
        return _read_pom
    if name.endswith(".gemspec"):
        return _read_gemspec
    return _READERS.get(name)


def _declares(text: str) -> bool:
    words = text.strip().lower()
    return bool(words) and words not in ("unknown", "none", "n/a", "todo") and not words.startswith(("see ", "file "))


def _read_python_metadata(text: str) -> list[list[Any]]:
    """Core metadata: License-Expression, which excludes the others (PEP 639), else License and classifiers."""
    headers = HeaderParser().parsestr(text)
    expression = headers.get_all("License-Expression", [])
    return [expression] if expression else [headers.get_all("License", []), _trove(headers.get_all("Classifier", []))]


def _read_pyproject(text: str) -> list[list[Any]]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return [_assigned(text), _CLASSIFIER.findall(text)]
    project = _table(document, "project") or _table(_table(document, "tool"), "poetry")
    license = project.get("license")
    return [
        [license.get("text") if isinstance(license, dict) else license],
        _trove(project.get("classifiers")),
    ]


def _read_setup_cfg(text: str) -> list[list[Any]]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return [_assigned(text), _CLASSIFIER.findall(text)]
    license = parser.get("metadata", "license", fallback=None)
    return [[license], _CLASSIFIER.findall(parser.get("metadata", "classifiers", fallback=""))]


def _read_setup_py(text: str) -> list[list[Any]]:
    return [_strings_behind(r"\blicense\s*=\s*", text), _CLASSIFIER.findall(text)]


def _read_cargo(text: str) -> list[list[Any]]:
    """Cargo.toml: package.license, or that of the workspace; a slash is an old OR."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return [_assigned(text)]
    package = _table(document, "package") or _table(_table(document, "workspace"), "package")
    license = package.get("license")
    return [[license.replace("/", " OR ")]] if isinstance(license, str) else []


def _read_json(text: str) -> list[list[Any]]:
    """npm's package.json, bower.json and composer.json. A list names licences to choose from."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return [_assigned(text)]
    if not isinstance(document, dict):
        return []
    declared = document.get("license") or document.get("licenses")
    choices = [
        choice.get("type") or choice.get("name") if isinstance(choice, dict) else choice
        for choice in (declared if isinstance(declared, list) else [declared])
    ]
    names = [choice for choice in choices if isinstance(choice, str) and choice.strip()]
    if names == ["UNLICENSED"]:  # npm's word for "no licence is granted", not the Unlicense
        return [["LicenseRef-scancode-proprietary-license"]]
    return [names if len(names) < 2 else [" OR ".join(f"({name})" for name in names)]]


def _read_pom(text: str) -> list[list[Any]]:
    """Maven: project/licenses/license/name; NuGet: license. By pattern, so that no entity is ever expanded."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    blocks = " ".join(re.findall(r"<licenses>(.*?)</licenses>", text, re.S))
    return [re.findall(r"<name>([^<]*)</name>", blocks) or re.findall(r"<license type=\"expression\">([^<]*)<", text)]


def _read_gemspec(text: str) -> list[list[Any]]:
    return [_strings_behind(r"\.licenses?\s*=\s*", text)]


def _read_debian_copyright(text: str) -> list[list[Any]]:
    """Machine-readable debian/copyright: the licences of all paragraphs but that of the packaging itself."""
    names = set()
    for paragraph in re.split(r"\n\s*\n", text):
        fields = dict(re.findall(r"^(Files|License):[ \t]*(.*)$", paragraph, re.M))
        if fields.get("Files", "debian/*").strip() != "debian/*":
            names.add(fields.get("License"))
    return [sorted(name for name in names if name)]


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


_READERS: dict[str, Callable[[str], list[list[Any]]]] = {
    "Cargo.toml": _read_cargo,
    "bower.json": _read_json,
    "composer.json": _read_json,
    "package.json": _read_json,
    "pom.xml": _read_pom,
    "pyproject.toml": _read_pyproject,
    "setup.cfg": _read_setup_cfg,
    "setup.py": _read_setup_py,
}
