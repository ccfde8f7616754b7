"""Fetches the sources of some twenty well-known projects in six languages, from Debian's archive.

    python -m tests.benchmarks.fetch_projects FOLDER

Needs apt-get and the machine's own Debian sources. Only downloads: nothing is unpacked, built or run.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

PROJECTS = {
    "python": ("flask", "jinja2", "python-click", "sqlalchemy", "rich"),
    "java": ("libgoogle-gson-java", "libcommons-lang3-java", "libslf4j-java"),
    "javascript": ("node-lodash", "node-express", "underscore", "node-async"),
    "go": ("golang-github-spf13-cobra", "golang-github-gorilla-mux", "golang-github-sirupsen-logrus"),
    "cpp": ("fmtlib", "nlohmann-json3", "spdlog", "leveldb"),
    "rust": ("rust-regex", "rust-serde", "ripgrep"),
}


def main(folder: Path) -> None:
    """One folder per language, in it an archive per project."""
    with tempfile.TemporaryDirectory() as scratch:
        apt = ["apt-get", "-qq", *_source_lists(Path(scratch))]
        subprocess.run([*apt, "update"], check=True)
        for language, projects in PROJECTS.items():
            target = folder / language
            target.mkdir(parents=True, exist_ok=True)
            for project in projects:
                fetched = Path(scratch) / project
                fetched.mkdir()
                if subprocess.run([*apt, "source", "--download-only", project], cwd=fetched, check=False).returncode:
                    print(f"{project}: could not be fetched, left out")
                for archive in fetched.glob("*.orig.tar.*[!c]"):
                    archive.rename(target / f"{project}{''.join(archive.suffixes[-2:])}")


def _source_lists(scratch: Path) -> list[str]:
    """Options of apt-get that make it look for sources where the machine looks for packages."""
    lists = scratch / "sources.list.d"
    lists.mkdir()
    for file in Path("/etc/apt/sources.list.d").glob("*.sources"):
        (lists / file.name).write_text(file.read_text().replace("Types: deb\n", "Types: deb-src\n"))
    one_line = Path("/etc/apt/sources.list")
    text = one_line.read_text() if one_line.exists() else ""
    (scratch / "sources.list").write_text(text.replace("deb ", "deb-src "))
    (scratch / "lists").mkdir()
    return [
        f"-oDir::Etc::SourceList={scratch / 'sources.list'}",
        f"-oDir::Etc::SourceParts={lists}",
        f"-oDir::State::Lists={scratch / 'lists'}",
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
