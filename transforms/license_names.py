"""What a file's name says of licences: whether it may state any, and for which files it then speaks."""

import glob
import re
from collections.abc import Iterator
from dataclasses import dataclass

from transforms.license_class import find_license
from transforms.license_metadata import hosted_file, is_metadata, named_files

_LICENSE_NAME = re.compile(
    r"(?:un|mit-|bsd-|apache-|gpl-|lgpl-)?licen[cs]es?(?:[-_. ].*)?|copying\d*(?:[-_. ].*)?|copyright(?:[-_. ].*)?"
    r"|.*[-_. ]licen[cs]e(?:\.(?:txt|md|rst|html?))?|(?:[al]?gpl|mpl|epl)(?:[-_ ]?v?\d(?:\.\d)?)?(?:\.txt|\.md)?"
    r"|.*[-_]lic\.txt"
)
_OF_DOCUMENTED = re.compile(
    r"(?:.*/)?docs?/(.+)[-_](?:lic|licen[cs]e|copying|copyright)(?:\.(?:txt|md|rst|html?))?", re.I
)
_LICENSE_TEXT = re.compile(r"(?:(?:un|[a-z0-9.]+-)?licen[cs]e|copying\d*)(?:\.(?:txt|md|rst|html?|rtf|pdf|docx?))?")
_RIDER = re.compile(
    r"(?:(?:.*[-_. ])?commons[-_. ]?clause|(?:.*[-_. ])?additional.*terms|(?:.*[-_. ])?eula|.*restrictions)"
    r"(?:[-_ ][^.]*)?(?:[-_. ]?v?\d[\d.]*)?(?:\.[a-z]{2})?(?:\.(?:txt|text|md|markdown|rst|adoc|html?|rtf|pdf|docx?))?"
)
_OF_A_PART = re.compile(r"(?:.*/)?(.+)[-_. ]lic(?:en[cs]e)?(?:\.(?:txt|md|rst|html?))?", re.I)
_TEXT_OF_A_LICENSE = re.compile(r"(?:.*/)?(?:copying|licen[cs]e)[-_.](.+?)(?:\.(?:txt|md|rst|html?))?", re.I)
_OF_A_LICENSE = re.compile(r"(?:un|mit|bsd|apache|a?gpl|lgpl|mpl|isc|cc|epl)(?:[-_. v]?\d.*)?", re.I)
_THIRD_PARTY = re.compile(r"third[-_ ]?part|3rd[-_ ]?part|bundled|vendored|dependenc|acknowledg|credits")
_OTHER_DOCUMENT = re.compile(r"authors|change|code[-_]of[-_]conduct|contribut|history|news|notice|readme|security")
_LICENSE_FOLDER = re.compile(r"(?:^|/)(?:licen[cs]es)/", re.I)
_CODE_ENDING = re.compile(
    r"\.(?:[ch]|cc|cpp|cs|css|cxx|dart|ejs|go|hh|hpp|hs|ipynb|java|json5?|jsx?|kt|less|lua|mjs|ml|mm|php|pl|pm|proto|"
    r"ps1|py[ix]?|rb|rs|rule|scala|scss|sh|sql|svg|swift|ts|tsx|vue|xml|xsd|ya?ml|toml|cfg|ini|zig)"
)
_NO_TEXT_ENDING = re.compile(
    r"\.(?:png|jpe?g|gif|bmp|ico|icns|webp|tiff?|psd|mp[34]|wav|ogg|webm|mov|avi|ttf|otf|woff2?|eot|pyc|class|o|obj|so|"
    r"dll|dylib|exe|jar|war|whl|zip|gz|tgz|bz2|xz|zst|7z)"
)


def license_scope(path: str) -> str:
    """What a licence found in a file of this path speaks for: `directory` for a licence file, else `file`.

    Licence files are LICENSE, LICENCE, UNLICENSE, COPYING, COPYRIGHT with or without endings, `X-LICENSE`, and the
    texts in a folder `licenses/` (REUSE's LICENSES/, a wheel's `.dist-info/licenses/`). So are riders, which take away
    from a licence beside them: COMMONS-CLAUSE, ADDITIONAL…TERMS, EULA, …RESTRICTIONS. A name that says third party,
    bundled, vendored, dependencies or credits tells of parts that it does not place, and NOTICE files do so as well:
    both speak for themselves alone. So does `X.ext.license`, which speaks for another single file.
    """
    name = path[path.rfind("/") + 1 :].lower()
    if _THIRD_PARTY.search(name):
        return "file"
    ending = name[name.rfind(".") :] if "." in name else ""
    if ending and _CODE_ENDING.fullmatch(ending):
        return "file"
    if _LICENSE_FOLDER.search(path):
        return "file" if _OTHER_DOCUMENT.match(name) else "directory"
    if ending == ".license" and name.count(".") > 1:
        return "file"
    return "directory" if _LICENSE_NAME.fullmatch(name) or _RIDER.fullmatch(name) else "file"


def is_license_text(path: str) -> bool:
    """Whether a licence file's name promises terms, so that one in nobody's words has unknown ones."""
    name = path[path.rfind("/") + 1 :].lower()
    return _LICENSE_TEXT.fullmatch(name) is not None or is_rider(path)


def is_rider(path: str) -> bool:
    """Whether a file of this name takes away from the licence beside it."""
    return _RIDER.fullmatch(path[path.rfind("/") + 1 :].lower()) is not None


def is_partial(path: str) -> bool:
    """Whether a licence file is named after something that is no licence, as polib.LICENSE: a part of its folder."""
    named = _OF_A_PART.fullmatch(path)
    return named is not None and not (_OF_A_LICENSE.fullmatch(named[1]) or find_license(named[1]))


def documented(path: str) -> str | None:
    """The name of what a licence file in a folder doc/ is about, such as x of doc/x_lic.txt."""
    named = _OF_DOCUMENTED.fullmatch(path)
    return named[1].lower() if named else None


def is_named_text(path: str) -> bool:
    """Whether a licence file is named after the licence whose text it has, as COPYING.GPLv2."""
    named = _TEXT_OF_A_LICENSE.fullmatch(path)
    return named is not None and bool(_OF_A_LICENSE.fullmatch(named[1]) or find_license(named[1]))


def is_by_path(path: str) -> bool:
    """Whether a file of this path says by path what holds for others: debian/copyright and REUSE's files."""
    name = path[path.rfind("/") + 1 :]
    return name == "REUSE.toml" or f"/{path}".endswith(("/debian/copyright", "/.reuse/dep5"))


def evidence_scope(path: str) -> str | None:
    """What a file of this path would speak for if it stated a licence; null where its name promises none.

    `package` for package metadata and what speaks by path, `directory` for a licence file, `file` for REUSE's
    `X.license`, which speaks for X.
    """
    name = path[path.rfind("/") + 1 :].lower()
    if is_metadata(path) or is_by_path(path):
        return "package"
    if _NO_TEXT_ENDING.fullmatch(name[name.rfind(".") :] if "." in name else ""):
        return None
    if license_scope(path) == "directory":
        return "directory"
    return "file" if name.endswith(".license") and name != ".license" else None


def is_license_folder(path: str) -> bool:
    """Whether what lies in a folder of this path speaks for the folder above it."""
    name = path[path.rfind("/") + 1 :]
    is_named = name in ("META-INF", "debian", ".reuse") or name.lower() in ("licenses", "licences")
    return is_named or name.endswith((".dist-info", ".egg-info"))


@dataclass(frozen=True)
class LicenseNames:
    """Which files speak for the licences of others, for sources that read such files where others would go unread."""

    def speaks(self, path: str) -> bool:
        """Whether a file of this path speaks for others, or a link to a folder would."""
        return evidence_scope(path) is not None or is_license_folder(path)

    def leads(self, path: str, text: bytes) -> Iterator[str]:
        """The files that package metadata of this path names as its licence: paths and globs from the root."""
        folder = glob.escape(path.rpartition("/")[0])
        for name in (name for files in named_files(path, text) for name in files.names):
            hosted = hosted_file(name)
            yield hosted[1] if hosted else f"{folder}/{name}" if folder else name
