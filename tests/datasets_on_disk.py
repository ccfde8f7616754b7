"""Comparing output locations byte for byte."""

import hashlib
from pathlib import Path


def digests(out: Path) -> dict[str, str]:
    """The sha256 of every file of every dataset below an output location; logs and timings are no dataset."""
    files = (file for file in sorted(out.rglob("*")) if file.is_file())
    names = {file.relative_to(out).as_posix(): file for file in files}
    return {
        name: hashlib.sha256(file.read_bytes()).hexdigest()
        for name, file in names.items()
        if not name.startswith(("_timings/", "_log", "_lock", "_run", "_workers"))
    }
