"""Which files it was: hex digits that change when any byte of them does."""

import hashlib
from pathlib import Path


def digest(*paths: Path) -> str:
    """The sha256 of files, one after the other. Raises ValueError for one that is missing."""
    together = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            raise ValueError(f"{path} is missing")
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: together)
    return together.hexdigest()
