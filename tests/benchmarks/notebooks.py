"""Runs the notebooks one after the other, as a reader would: python -m tests.benchmarks.notebooks FOLDER

FOLDER is where they work, empty at first. Takes some five minutes; ends with an error where a cell does.
"""

import os
import sys
import sysconfig

import nbformat
from nbclient import NotebookClient

from tests.test_notebooks import NOTEBOOKS

SECONDS = 600
"""For one cell."""


def main(folder: str) -> None:
    os.environ["PATH"] = sysconfig.get_path("scripts") + os.pathsep + os.environ["PATH"]
    for path in NOTEBOOKS:
        book = nbformat.read(path, 4)
        NotebookClient(book, timeout=SECONDS, resources={"metadata": {"path": folder}}).execute()
        print(f"{path.name}: done")


if __name__ == "__main__":
    main(sys.argv[1])
