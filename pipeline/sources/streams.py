"""Compressed bytes as a bounded stream that is read forward only, never unpacked to disk."""

import bz2
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import pyarrow as pa

from pipeline.sources.files import reason
from pipeline.sources.rows import Limits

CHUNK = 1 << 16
"""Bytes in and bytes out of a decompressor at a time: what a corrupt stream loses at most."""
RATIO_GRACE = 8 << 20
"""Bytes that any stream may grow to, whatever its ratio."""
XZ_MEMORY = 256 << 20
"""Memory for one xz stream; `xz -9` needs 65 MiB."""


ByteFile = io.RawIOBase | io.BytesIO


class Corrupt(Exception):
    """The bytes are not what their format asks for, or end early."""


class Bomb(Exception):
    """The bytes grow beyond the bounds."""


class Decoder(Protocol):
    """What BZ2Decompressor and LZMADecompressor have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class GzipDecoder:
    """zlib's decompressor for gzip, with the interface of the other two."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max(max_length, 0))


DECODERS: dict[bytes, Callable[[], Decoder]] = {
    b"\x1f\x8b": GzipDecoder,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
}
ZSTD = (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16)))
"""The magic numbers of a zstd frame and of the skippable frames that may precede it (RFC 8878)."""


class Stream:
    """Bytes read forward, gathered from chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.position = 0
        self._chunks = chunks
        self._chunk = b""
        self._start = 0

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        stop = self._start + size
        data = self._chunk[self._start : stop]
        self._start = stop
        if len(data) < size:
            data = self._gather(data, size)
        self.position += len(data)
        return data

    def _gather(self, data: bytes, size: int) -> bytes:
        pieces, missing = [data], size - len(data)
        while missing:
            self._chunk = next(self._chunks, b"")
            self._start = min(missing, len(self._chunk))
            if not self._chunk:
                break
            pieces.append(self._chunk[: self._start])
            missing -= self._start
        return b"".join(pieces)

    def skip(self, size: int) -> None:
        """Passes over `size` bytes. Raises Corrupt where there are fewer."""
        while size > 0:
            passed = len(self.read(min(size, CHUNK)))
            if not passed:
                raise Corrupt("ends inside a file")
            size -= passed

    def drain(self) -> None:
        """Reads to the end, so that checksums at the end of the compressed data are compared."""
        while self.read(CHUNK):
            pass


class PlainStream(Stream):
    """An uncompressed file, where skipping is a seek."""

    def __init__(self, file: ByteFile, size: int) -> None:
        self.position = 0
        self._size = size
        self._file = io.BufferedReader(file, 1 << 18)

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.position += len(data)
        return data

    def skip(self, size: int) -> None:
        if self.position + size > self._size:
            raise Corrupt("ends inside a file")
        self._file.seek(size, io.SEEK_CUR)
        self.position += size

    def drain(self) -> None:
        pass


def compression(head: bytes) -> Callable[[ByteFile], Iterator[bytes]] | None:
    """How to decompress a file that begins with these bytes; None where it is not compressed."""
    for magic, new_decoder in DECODERS.items():
        if head.startswith(magic):
            return lambda file: _decoded(file, new_decoder)
    return _zstd if head.startswith(ZSTD) else None


def bounded(file: ByteFile, chunks: Iterator[bytes], limits: Limits) -> Iterator[bytes]:
    """The chunks decompressed from `file`, until they outgrow the bounds: then raises Bomb."""
    grown = 0
    for chunk in chunks:
        grown += len(chunk)
        if grown > limits.max_archive_bytes:
            raise Bomb(f"grows to more than {limits.max_archive_bytes} bytes")
        if grown > max(RATIO_GRACE, limits.max_ratio * file.tell()):
            raise Bomb(f"grows more than {limits.max_ratio}-fold")
        yield chunk


def _decoded(file: ByteFile, new_decoder: Callable[[], Decoder]) -> Iterator[bytes]:
    """Decompresses one or several streams, one after the other, with zeros between and after them."""
    decoder = new_decoder()
    data = b""
    while data or (data := file.read(CHUNK) or b""):
        if decoder.eof:
            data = data.lstrip(b"\0")
            if not data:
                continue
            decoder = new_decoder()
        yield from _drained(decoder, data)
        data = decoder.unused_data if decoder.eof else b""
    yield from () if decoder.eof else _drained(decoder, b"")
    if not decoder.eof:
        raise Corrupt("compressed data ends early")


def _drained(decoder: Decoder, data: bytes) -> Iterator[bytes]:
    while True:
        try:
            chunk = decoder.decompress(data, CHUNK)
        except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
            raise Corrupt(f"cannot be decompressed: {reason(error)}") from None
        data = b""
        if chunk:
            yield chunk
        if decoder.eof or (decoder.needs_input and not chunk):
            return


def _zstd(file: ByteFile) -> Iterator[bytes]:
    with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
        while True:
            try:
                chunk = stream.read(CHUNK)
            except (OSError, pa.ArrowException) as error:
                raise Corrupt(f"cannot be decompressed: {reason(error)}") from None
            if not chunk:
                return
            yield chunk
