"""Keeps a second run off an output location while one lasts."""

import fcntl
import logging
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.fs as pafs

from jobs.recipe import RecipeError
from pipeline.storage import Store

CLAIMS = "_claims"
LEASE_SECONDS = 60
"""How long a claim holds after it was last renewed: a run that was killed keeps others off for so long."""

log = logging.getLogger(__name__)


@contextmanager
def locked(store: Store) -> Iterator[None]:
    """Holds the location while the body lasts. Raises RecipeError where another run holds it."""
    with _locked_file(store) if store.is_local else _claimed(store):
        yield


@contextmanager
def _locked_file(store: Store) -> Iterator[None]:
    """The system frees a file's lock even after a kill."""
    Path(store.path()).mkdir(parents=True, exist_ok=True)
    with open(store.path("_lock"), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mend = "wait for it, or choose another --out"
            raise RecipeError(f"another run is writing to {store.address()}; {mend}") from None
        yield


@contextmanager
def _claimed(store: Store) -> Iterator[None]:
    """Each run writes a claim of its own and looks for others: of two that start at once, at least one sees the other.

    Relies on listings that show every object written before (S3 since 2020, GCS always); object stores have no locks.
    Ages are told by the store's clock alone. A run that stands still for longer than the lease loses its claim, which
    costs work twice and no byte: both would write the same.
    """
    claim = f"{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}"
    stop = threading.Event()
    store.write_bytes(b"", CLAIMS, claim)
    renewal = threading.Thread(target=_renew, args=(store, claim, stop), daemon=True)
    try:
        if seconds := _held_by_another(store, claim):
            mend = f"wait for it, or {seconds:.0f} s if it was killed, or choose another --out"
            raise RecipeError(f"another run is writing to {store.address()}; {mend}")
        renewal.start()
        yield
    finally:
        stop.set()
        if renewal.ident:
            renewal.join()
        store.remove(CLAIMS, claim)


def _held_by_another(store: Store, own: str) -> float:
    """Seconds for which a claim of another run still holds; claims that hold no more are removed."""
    infos = store.file_system.get_file_info(pafs.FileSelector(store.path(CLAIMS), allow_not_found=True))
    claims = {info.base_name: (info.mtime_ns or 0) / 1e9 for info in infos if info.is_file}
    left = 0.0
    for claim, renewed in claims.items():
        holds = LEASE_SECONDS - (claims[own] - renewed)
        if claim != own and (holds <= 0 or _is_dead(claim)):
            store.remove(CLAIMS, claim)
        elif claim != own:
            left = max(left, holds)
    return left


def _is_dead(claim: str) -> bool:
    """Whether the claim is from a process of this machine that is no more."""
    host, process, _ = claim.rsplit(".", 2)
    if host != socket.gethostname():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _renew(store: Store, claim: str, stop: threading.Event) -> None:
    while not stop.wait(LEASE_SECONDS / 4):
        try:
            store.write_bytes(b"", CLAIMS, claim)
        except OSError as error:
            log.warning("the claim could not be renewed", extra={"cause": str(error)})
