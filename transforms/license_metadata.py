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
_LICENSE_FILE = re.compile(r"(?:\./)?(?:un)?(?:licen[cs]e|copying)(?:\.(?:txt|md|rst))?", re.I)
_REFERENCE = re.compile(
    r"(?:see\s+(?:the\s+)?(?:licen[cs]e\s+(?:file\s+)?(?:in|at|from)\s+)?|file:?\s+|file:)(.+)", re.I
)
_HOSTED = re.compile(
    r"https?://(?:raw\.githubusercontent\.com/[^/]+/([^/]+)/[^/]+|"
    r"(?:www\.)?(?:github\.com|gitlab\.com|bitbucket\.org)/[^/]+/([^/]+)/(?:-/)?(?:blob|raw|src)/[^/]+)/(.+)",
    re.I,
)
_REPLACED_URL = "aka.ms/deprecateLicenseUrl"  # what NuGet itself writes beside a licence element
_PROJECT_FOLDER = re.compile(r"^\$\(MSBuild(?:ThisFile|Project)Directory\)[/\\]?")
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")


class Files(NamedTuple):
    """Files that metadata names as its licence, by paths or globs from its folder, or by an address."""

    names: tuple[str, ...]


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
    and where it declares nothing. What it leaves to a file is told by `named_files`.
    """
    declared = [
        Declaration(field, [name.strip() for name in names if isinstance(name, str) and _declares(name)])
        for field, names in _read(path, content)
    ]
    return [declaration for declaration in declared if declaration.names]


def named_files(path: str, content: bytes) -> list[Files]:
    """The files that a package metadata file names as its licence, each group to be found and read.

    npm's `SEE LICENSE IN …`, Cargo's `license-file`, pyproject's `license = {file = …}` and `license-files`,
    setup.cfg's `license_files`, NuGet's `<license type="file">`, a bare LICENSE.txt in the place of a licence; and
    addresses, which may lead into the repository itself. Not what Python's core metadata names: in a wheel it lies
    beside it.
    """
    if has_description(path):
        return []
    found: list[Files] = []
    for _, values in _read(path, content):
        for value in values:
            if isinstance(value, str) and (name := _referred(value)):
                found.append(Files((name,)))
            elif isinstance(value, Files) and value.names:
                found.append(value)
    return found


def hosted_file(url: str) -> tuple[str, str] | None:
    """The repository's name and the path in it of a file that an address shows at a host of repositories."""
    found = _HOSTED.fullmatch(url.partition("?")[0].partition("#")[0])
    return (found[1] or found[2], found[3]) if found else None


def _read(path: str, content: bytes) -> Declared:
    reader = _reader(path)
    if reader is None or len(content) > _LARGEST:
        return []
    return reader(bytes(content).decode("utf-8-sig", "replace"))


def _reader(path: str) -> Callable[[str], Declared] | None:
    name = path[path.rfind("/") + 1 :]
    if name in _PYTHON_METADATA:
        return _read_python_metadata
    if name.endswith((".pom", ".nuspec")):
        return _read_pom
    if name.endswith((".csproj", ".fsproj", ".vbproj")) or name == "Directory.Build.props":
        return _read_msbuild
    if name.endswith(".gemspec"):
        return _read_gemspec
    return _READERS.get(name)


def _declares(text: str) -> bool:
    words = text.strip().lower()
    if not words or words in ("unknown", "none", "n/a", "todo", "license :: osi approved"):
        return False
    return not words.startswith(("see ", "file ", "file:")) and not _LICENSE_FILE.fullmatch(words)


def _referred(text: str) -> str | None:
    """The file that a licence field refers to in place of a licence."""
    words = text.strip()
    if _LICENSE_FILE.fullmatch(words):
        return words
    referred = _REFERENCE.fullmatch(words)
    if referred is None or "\n" in words:
        return None
    name = referred[1].strip().strip("\"'<>")
    return name if re.search(r"\.\w+$", name) else name.split()[0]


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
        *((field, [_files(value.get("file"))]) for field, value in licenses if isinstance(value, dict)),
        ("project.license-files", _license_files(tables["project"].get("license-files"))),
        ("tool.setuptools.license-files", _license_files(_table(tool, "setuptools").get("license-files"))),
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
    listed = [parser.get("metadata", key, fallback="") for key in ("license_file", "license_files")]
    files = [_files(re.split(r"[,\n]", names)) for names in listed]
    return [("metadata.license", [license]), ("metadata.classifiers", classifiers), ("metadata.license_files", files)]


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
    return [
        *((field, [license.replace("/", " OR ")]) for field, license in licenses if isinstance(license, str)),
        *((f"{name}.license-file", [_files(table.get("license-file"))]) for name, table in tables.items()),
    ]


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
        choice.get("type") or choice.get("name") or choice.get("url") if isinstance(choice, dict) else choice
        for choice in (declared if isinstance(declared, list) else [declared])
    ]
    names = [choice for choice in choices if isinstance(choice, str) and choice.strip()]
    if "UNLICENSED" in names:  # npm's word for "no licence is granted", not the Unlicense
        return ["LicenseRef-scancode-proprietary-license"]
    return names if len(names) < 2 else [" OR ".join(f"({name})" for name in names)]


def _read_pom(text: str) -> Declared:
    """Maven: names and addresses in project/licenses; NuGet: license, licenseUrl. By pattern: no entity is expanded."""
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    urls = re.findall(r"<licenseUrl>\s*([^<]*?)\s*</", text)
    blocks = " ".join(re.findall(r"<licenses>(.*?)</licenses>", text, re.S))
    addresses = re.findall(r"<url>\s*([^<]*?)\s*</url>", blocks)
    return [
        ("licenses", re.findall(r"<name>([^<]*)</name>", blocks)),
        ("licenses.url", [url if ":" in url else _files(url) for url in addresses]),
        ("license", re.findall(r"<license\s+type=[\"']expression[\"']\s*>([^<]*)<", text)),
        ("license", [_files(name) for name in re.findall(r"<license\s+type=[\"']file[\"']\s*>([^<]*)<", text)]),
        ("licenseUrl", [_files(url) if hosted_file(url) else url for url in urls if _REPLACED_URL not in url]),
    ]


def _read_msbuild(text: str) -> Declared:
    """NuGet's fields in a project of MSBuild. A file is named as in the package; an `Include` has its path here.

    Paths that hold other variables than the project's own folder are not understood, and name nothing.
    """
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    fields = {
        name: re.findall(rf"<PackageLicense{name}>\s*([^<]*?)\s*</", text) for name in ("Expression", "File", "Url")
    }
    included = [_PROJECT_FOLDER.sub("", path).replace("\\", "/") for path in re.findall(r"Include=\"([^\"]*)\"", text)]
    files = []
    for name in (value.replace("\\", "/") for value in fields["File"]):
        here = [path for path in included if path.rpartition("/")[2] == name.rpartition("/")[2]]
        files += [_files(path) for path in (here[:1] or [name]) if "$(" not in path]
    return [
        ("PackageLicenseExpression", fields["Expression"]),
        ("PackageLicenseFile", files),
        ("PackageLicenseUrl", [_files(url) if hosted_file(url) else url for url in fields["Url"]]),
    ]


def _read_gemspec(text: str) -> Declared:
    return [("license", _strings_behind(r"\.licenses?\s*=\s*", text))]


def _files(names: Any) -> Files:
    """Paths or globs; NuGet writes backslashes."""
    listed = names if isinstance(names, list) else [names]
    return Files(tuple(name.strip().replace("\\", "/") for name in listed if isinstance(name, str) and name.strip()))


def _license_files(declared: Any) -> list[Files]:
    """PEP 639's list of globs, or the table of paths or globs that its drafts had."""
    if isinstance(declared, dict):
        return [_files(declared.get("paths")), _files(declared.get("globs"))]
    return [_files(declared)]


def _assigned(text: str) -> list[str]:
    """`license = "…"` or `"license": "…"` in a document that does not parse."""
    return _strings_behind(r"(?:^[ \t]*|[{,]\s*)\"?license\"?\s*[:=]\s*", text)


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
