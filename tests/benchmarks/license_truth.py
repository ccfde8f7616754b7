"""Licences beside what people wrote down of each file: Debian's source packages, curated, and their copyright files.

    python -m tests.benchmarks.license_truth FOLDER [--set tuning|closed | --packages NAME …] [--figures]

Fetches the packages into FOLDER (`apt-get source --download-only`, which needs deb-src lines and no root), curates
upstream's tarballs alone, with every rule but the one on licences off, and compares each file's licence under both
scopes, before copies are heard, with debian/copyright. Laundered is a file that is copyleft or weak-copyleft there and
kept as permissive, lost a file that is permissive there and dropped for its licence; each is told by package, and by
group: same licence and evidence. People err as well, so a group is a question and not an answer.

The packages of `TUNING` were looked at while the rules were made, those of `CLOSED` were not.
"""

import argparse
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import yaml
from debian.copyright import Copyright

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.benchmarks.debian_copyright import class_of, fetch, read_copyright, stated
from transforms.license_rule import LicenseRule

TUNING = """
    abseil ant bzip2 catch2 commons-io curl dnsmasq etcd expat fftw3 flac flask fmtlib freetype glfw3
    golang-github-gorilla-mux golang-github-spf13-cobra golang-github-spf13-viper golang-golang-x-net googletest
    grpc guava-libraries haskell-aeson httpcomponents-client iproute2 jansson jquery jsoup junit4 leveldb
    libarchive libcap2 libcommons-lang3-java libevent libjpeg-turbo libpng1.6 libslf4j-java libsodium libssh
    libunwind libuv1 libvpx libwww-perl libxml2 libyaml libzstd lua-lpeg lua5.4 lz4 mbedtls mercurial mockito
    msgpack-c nghttp2 nlohmann-json3 node-express node-jquery node-lodash ocaml-zarith openblas openjpeg2
    prometheus python-cryptography python-django re2 redis restic runc rust-ripgrep snappy spdlog speex sympy
    util-linux yaml-cpp zlib
"""
CLOSED = """
    antlr4 brotli caddy capnproto cjson dbus duktape eigen3 giflib git glm golang-github-gorilla-websocket
    golang-google-grpc haproxy hsqldb jackson-core jemalloc jq lcms2 libgit2 libmojolicious-perl libsndfile
    libssh2 libvorbis lighttpd luajit memcached mruby nettle netty nginx openvpn opus pugixml pybind11 rapidjson
    ruby-nokogiri rust-clap tinyxml2 tmux wabt xz-utils zsh
"""
SETS = {"tuning": TUNING.split(), "closed": CLOSED.split()}
RECIPE = {
    "languages": {"keep": "all"},
    "quality": {"enabled": False},
    "dedup": {name: {"enabled": False} for name in ("exact", "near", "repositories")},
    "license": {"keep": ["permissive"], "scope": "strictest"},
    "pii": {"enabled": False},
    "toxicity": {"enabled": False},
    "decontaminate": {"enabled": False},
    "tokenize": {"enabled": False},
    "dialogue": {"enabled": False},
    "engine": {"kind": "inline"},
}
_COPYLEFT = ("copyleft", "weak-copyleft")
_FILE = ("repo", "path", "input_reason")
_LICENSE = ("license", "license_other_scope", "license_evidence")
_SHOWN_GROUPS = 60


class Package(NamedTuple):
    name: str
    upstream: Path
    copyright: Copyright


class Judged(NamedTuple):
    """A file with its verdict here, and Debian's word."""

    package: str
    path: str
    license: str | None
    evidence: str
    is_kept: bool
    stated: str
    truth: str | None

    @property
    def is_laundered(self) -> bool:
        return self.truth in _COPYLEFT and self.is_kept

    @property
    def is_lost(self) -> bool:
        return self.truth == "permissive" and not self.is_kept

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What files have in common that differ for one reason."""
        evidence = self.evidence.replace(f"{self.path}: ", "(own) ")
        evidence = re.sub(r" lines? [\d, …-]+| score [\d.]+|(?<=near copy )\([\d.]+\)", "", evidence)
        return self.package, self.stated, str(self.license), evidence


def main() -> None:
    parser = argparse.ArgumentParser(description="Licences beside what people wrote down of each file.")
    parser.add_argument("folder", type=Path, help="packages lie here, and the newest run")
    parser.add_argument("--set", choices=SETS, default="tuning")
    parser.add_argument("--packages", nargs="+", help="these in the place of a set")
    parser.add_argument("--figures", action="store_true", help="packages and sums alone, no groups")
    chosen = parser.parse_args()
    packages = list(readable(chosen.folder, chosen.packages or SETS[chosen.set]))
    store = Store(str(chosen.folder / f"out-{'chosen' if chosen.packages else chosen.set}"))
    curate(packages, store)
    for scope, files in judge(packages, store).items():
        tell(f"scope {scope}", files, not chosen.figures)


def readable(folder: Path, names: list[str]) -> Iterator[Package]:
    """The packages whose copyright file a program can read."""
    for name in names:
        files = fetch(name, folder)
        copyright = read_copyright(files[1]) if files else None
        if files and copyright:
            yield Package(name, files[0], copyright)
        else:
            print(f"{name}: no machine-readable copyright file beside one of upstream's tarballs")


def curate(packages: list[Package], store: Store) -> None:
    sources = [{"kind": "archive", "uri": str(package.upstream)} for package in packages]
    shutil.rmtree(store.path(), ignore_errors=True)
    recipe = Path(f"{store.path()}.yaml")
    recipe.write_text(yaml.safe_dump(RECIPE | {"sources": sources}))
    run(load_recipe(recipe), store)


def judge(packages: list[Package], store: Store) -> dict[str, list[Judged]]:
    """By scope, each file of the packages that Debian says something of, and that could be read."""
    by_repo = {re.sub(r"\.tar\..*", "", package.upstream.name): package for package in packages}
    rule = LicenseRule(("permissive",))
    judged: dict[str, list[Judged]] = {"strictest": [], "nearest": []}
    for file in measured(store):
        package = by_repo[file["repo"]]
        synopsis = stated(package.copyright, file["path"])
        if synopsis and file["input_reason"] is None:
            for scope, column in (("strictest", "license"), ("nearest", "license_other_scope")):
                license, evidence = file[column], file["license_evidence"] or "no evidence"
                word = (rule.keeps(license), synopsis, class_of(synopsis))
                judged[scope].append(Judged(package.name, file["path"], license, evidence, *word))
    return judged


def measured(store: Store) -> Iterator[dict]:
    for shard in range(len(store.committed("files").shards)):
        files, licenses = (
            chain.from_iterable(batch.to_pylist() for batch in store.read(dataset, shard, columns))
            for dataset, columns in (("files", _FILE), ("licenses", _LICENSE))
        )
        for file, license in zip(files, licenses, strict=True):
            yield file | license


def tell(title: str, files: list[Judged], with_groups: bool) -> None:
    print(f"\n== {title}: {len({file.package for file in files})} packages, {len(files):,} files")
    for wrong, among, classes in (
        ("laundered", "copyleft or weak-copyleft", _COPYLEFT),
        ("lost", "permissive", ("permissive",)),
    ):
        judged = [file for file in files if file.truth in classes]
        differing = [file for file in judged if getattr(file, f"is_{wrong}")]
        share = len(differing) / max(len(judged), 1)
        print(f"\n{wrong}: {len(differing):,} of {len(judged):,} {among} files, {share:.2%}")
        of_package = Counter(file.package for file in judged)
        for package, count in Counter(file.package for file in differing).most_common():
            print(f"  {count:6} of {of_package[package]:6}  {package}")
        groups = Counter(file.group for file in differing)
        for group, count in groups.most_common(_SHOWN_GROUPS) if with_groups else ():
            package, synopsis, license, evidence = group
            example = next(file.path for file in differing if file.group == group)
            print(
                f"\n  {count} in {package}, as {example}\n    Debian: {synopsis}\n    here:   {license}\n    {evidence}"
            )
        if with_groups and len(groups) > _SHOWN_GROUPS:
            print(f"\n  and {len(groups) - _SHOWN_GROUPS} more groups")
    unjudged = Counter(file.stated for file in files if file.truth is None)
    print(f"\nnot judged, as the name tells no class: {sum(unjudged.values()):,} files")
    if with_groups:
        print("  " + ", ".join(f"{name} ({count})" for name, count in unjudged.most_common(20)))


if __name__ == "__main__":
    main()
