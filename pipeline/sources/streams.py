"""Compressed bytes as a bounded stream that is read forward only, never unpacked to disk."""

import bz2
import io
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

from pipeline.sources.files import reason
from pipeline.sources.rows import Limits

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdDecompressor, ZstdError

CHUNK = 1 << 16
"""Bytes in and bytes out of a decompressor at a time: what a corrupt stream loses at most."""
RATIO_GRACE = 8 << 20
"""Bytes that any stream may grow to, whatever its ratio."""
XZ_MEMORY = 256 << 20
"""Memory for one xz stream; `xz -9` needs 65 MiB."""


ByteFile = io.RawIOBase | io.BytesIO


class Corrupt(Exception):
    """The bytes are not what their format asks for, or end early."""


class LeftOut(Exception):
    """Something lies behind the end of what was read, is not of its format, and was not read."""


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


DECODERS: dict[tuple[bytes, ...], Callable[[], Decoder]] = {
    (b"\x1f\x8b",): GzipDecoder,
    (b"BZh",): bz2.BZ2Decompressor,
    (b"\xfd7zXZ\0",): lambda: lzma.LZMADecompressor(memlimit=XZ_MEMORY),
    # A zstd frame, and the skippable frames that may precede it (RFC 8878).
    (b"\x28\xb5\x2f\xfd", *(bytes([0x50 + i]) + b"\x2a\x4d\x18" for i in range(16))): ZstdDecompressor,
}
MAGIC_BYTES = 6


class Stream:
    """Bytes read forward, gathered from chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.position = 0
        self._chunks = chunks
        self._left_out: LeftOut | None = None
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
            try:
                self._chunk = next(self._chunks, b"")
            except LeftOut as error:
                self._chunk, self._left_out = b"", error
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

    def unread(self, data: bytes) -> None:
        """Puts back what was read last."""
        self._chunk, self._start = data + self._chunk[self._start :], 0
        self.position -= len(data)

    def drain(self) -> None:
        """Reads to the end, so that checksums at the end of the compressed data are compared.

        Raises LeftOut where something else follows the compressed data.
        """
        while self.read(CHUNK):
            pass
        if self._left_out:
            raise self._left_out


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

    def unread(self, data: bytes) -> None:
        self._file.seek(-len(data), io.SEEK_CUR)
        self.position -= len(data)

    def drain(self) -> None:
        pass


def compression(head: bytes) -> Callable[[ByteFile], Iterator[bytes]] | None:
    """How to decompress a file that begins with these bytes; None where it is not compressed."""
    for magic, new_decoder in DECODERS.items():
        if head.startswith(magic):
            return lambda file: _decoded(file, magic, new_decoder)
    return None


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


def _decoded(file: ByteFile, magic: tuple[bytes, ...], new_decoder: Callable[[], Decoder]) -> Iterator[bytes]:
    """Decompresses one or several streams, one after the other, with zeros between and after them.

    Raises LeftOut, at the end, where something else follows.
    """
    decoder = new_decoder()
    data = b""
    while data or (data := file.read(CHUNK) or b""):
        if decoder.eof:
            data = data.lstrip(b"\0")
            if not data:
                continue
            if len(data) < MAGIC_BYTES:
                data += file.read(CHUNK) or b""
            if not data.startswith(magic):
                raise LeftOut(f"what follows the compressed data at byte {file.tell() - len(data)} is of another kind")
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
        except (OSError, EOFError, ValueError, ZstdError, zlib.error, lzma.LZMAError) as error:
            raise Corrupt(f"cannot be decompressed: {reason(error)}") from None
        data = b""
        if chunk:
            yield chunk
        if decoder.eof or (decoder.needs_input and not chunk):
            return
