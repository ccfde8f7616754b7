"""The folders keep to themselves: who may import whom is fixed, and this keeps it so."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"schemas", "transforms", "pipeline", "jobs", "tests"}
NEVER = {
    "schemas": PACKAGES - {"schemas"},
    "transforms": {"pipeline", "jobs", "tests", "apache_beam", "ray", "torch", "fsspec", "gcsfs", "s3fs"},
    "pipeline": {"transforms", "jobs", "tests", "ray", "apache_beam", "torch"},
    "jobs": {"tests"},
}
ENGINE_LIBRARIES = {"beam.py": {"apache_beam"}, "beam_options.py": {"apache_beam"}, "ray.py": {"ray"}}


def imports(file: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, also inside functions; relative imports as a dot."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." if node.level else (node.module or "").partition(".")[0]


@pytest.mark.parametrize("package", sorted(NEVER))
def test_a_package_imports_only_what_it_may(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        allowed = ENGINE_LIBRARIES.get(file.name, set()) if file.parent.name == "engines" else set()
        found = set(imports(file))
        assert not found & (NEVER[package] - allowed), f"{file.relative_to(ROOT)} imports {found & NEVER[package]}"
        assert "." not in found, f"{file.relative_to(ROOT)} has a relative import"


def test_schemas_need_nothing_but_arrow() -> None:
    import sys

    for file in (ROOT / "schemas").rglob("*.py"):
        outside = set(imports(file)) - set(sys.stdlib_module_names) - {"pyarrow", "schemas"}
        assert not outside, f"{file.relative_to(ROOT)} imports {outside}"


def test_nobody_imports_jobs() -> None:
    for package in ("schemas", "transforms", "pipeline"):
        for file in (ROOT / package).rglob("*.py"):
            assert "jobs" not in set(imports(file)), f"{file.relative_to(ROOT)} imports jobs"


def test_no_other_top_level_folders() -> None:
    agreed = PACKAGES | {"notebooks"}
    found = {path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert found <= agreed
