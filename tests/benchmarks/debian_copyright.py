"""What Debian's people wrote down of each file's licence: source packages, fetched, and their copyright files, read.

A source package holds what upstream published (`NAME_VERSION.orig.tar.*`) and, apart from it, `debian/copyright` in the
machine-readable format (Debian, copyright-format 1.0, once DEP-5).
"""

import io
import re
import subprocess
import tarfile
from pathlib import Path

import debian.copyright
from license_expression import Licensing

from transforms.license_class import find_license, license_class

_ALIASES = {
    "artistic": "Artistic-1.0",
    "boost": "BSL-1.0",
    "expat": "MIT",
    "freetype": "FTL",
    "perl": "Artistic-1.0 OR GPL-1.0-or-later",
    "psf": "PSF-2.0",
    "python": "PSF-2.0",
    "ruby": "Ruby",
}
_COPYLEFT = re.compile(r"(?:gnu-)?a?gpl(?:[-v ]?\d.*)?\+?|gfdl.*|fdl.*|cc-by-sa.*|bsd-protection", re.I)
_WEAK = re.compile(r"lgpl.*|(?:a?gpl.*|gnu.*)(?:exception|linking|with).*|(?:mpl|epl|cddl|cpl|ofl|artistic).*", re.I)
_PERMISSIVE = re.compile(
    r"(?:bsd|mit|expat|x11|isc|zlib|libpng|ijg|hpnd|ntp|curl|apache|asl|boost|bsl|unlicense|cc0|wtfpl|permissive|public|pd"
    r"|fsf(?:ul|ap)|gpl-?permissive|free|unlimited|no-copyright|unicode|openssl|ssleay|tcl|old-mit|sgi|sun|xfree86"
    r"|all-permissive|install|other-bsd|dtoa|icu|bzip2|php|psf|python|naist|cc-by-[1-4])(?:[-_./ +].*|\d.*|\w*)?",
    re.I,
)
_licensing = Licensing()


def fetch(name: str, folder: Path) -> tuple[Path, Path] | None:
    """Upstream's tarball and Debian's of a source package; null where it has not both, or is not to be had.

    They are looked for in `folder/NAME`, and come there by `apt-get source`, which needs deb-src lines.
    """
    place = folder / name
    if not list(place.glob("*.dsc")):
        place.mkdir(parents=True, exist_ok=True)
        command = ["apt-get", "source", "--download-only", "--only-source", "-qq", name]
        subprocess.run(command, cwd=place, check=False, stdout=subprocess.DEVNULL)
    upstream = [file for file in sorted(place.glob("*.orig.tar.*")) if file.suffix != ".asc"]
    packaging = sorted(place.glob("*.debian.tar.*"))
    return (upstream[-1], packaging[-1]) if upstream and packaging else None


def read_copyright(packaging: Path) -> debian.copyright.Copyright | None:
    """The copyright file of a `*.debian.tar.*`; null where it is not in the machine-readable format."""
    with tarfile.open(packaging) as tar:
        try:
            file = tar.extractfile("debian/copyright")
        except KeyError:
            return None
        text = file.read().decode("utf-8", "replace") if file else ""
    try:
        return debian.copyright.Copyright(io.StringIO(text), strict=False)
    except (debian.copyright.NotMachineReadableError, debian.copyright.MachineReadableFormatError, ValueError):
        return None


def stated(copyright: debian.copyright.Copyright, path: str) -> str | None:
    """The short name of the licence that is written down for a file; null where none is."""
    paragraph = copyright.find_files_paragraph(path)
    license = paragraph.license if paragraph else None
    return license.synopsis.strip() if license and license.synopsis.strip() else None


def class_of(synopsis: str) -> str | None:
    """permissive, weak-copyleft, copyleft, … of `GPL-2+ or Artistic, and Expat`; null where a name tells nothing.

    `and` binds before `or`, a comma before either after both.
    """
    text = re.sub(r"\s*/\s*", " or ", synopsis) if re.fullmatch(r"[\w.+-]+ / [\w.+-]+", synopsis) else synopsis
    parts = re.split(r",\s*(and|or)\s+", text, flags=re.I)
    expression = f"({_clause(parts[0])})"
    for operator, clause in zip(parts[1::2], parts[2::2], strict=True):
        expression = f"({expression} {operator.upper()} ({_clause(clause)}))"
    return None if "nobody-knows" in expression else license_class(expression)


def _clause(text: str) -> str:
    choices = (
        re.split(r"\s+(?:and|&)\s+", choice, flags=re.I)
        for choice in re.split(r"\s+(?:and/)?or\s+|\s*\|\s*", text, flags=re.I)
    )
    return " OR ".join(" AND ".join(_name(name.strip(" ,()")) for name in choice) for choice in choices)


def _name(name: str) -> str:
    """A licence's SPDX id; where it has none, one of the class that its name tells of."""
    name = _ALIASES.get(name.lower(), name)
    if " OR " in name:
        return f"({name})"
    bare = re.sub(r"(?<=gpl-\d)(?=\+?$)", ".0", name, flags=re.I)
    if find_license(bare) and re.fullmatch(r"[\w.+-]+", bare):
        return bare
    for pattern, example in ((_WEAK, "LGPL-2.1-only"), (_COPYLEFT, "GPL-2.0-only"), (_PERMISSIVE, "MIT")):
        if pattern.fullmatch(name):
            return example
    return "nobody-knows"
