"""Arrow string columns as flat NumPy buffers, for the compiled kernels."""

import numpy as np
import pyarrow as pa

NO_BYTES = np.frombuffer(b"", np.uint8)
"""Read-only, as Arrow's own buffers are, so that a kernel is compiled for one type alone."""


def string_buffers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes (uint8) and the row offsets (int64, rows + 1) of a string column, without a copy of the bytes.

    Row i is ``data[offsets[i]:offsets[i + 1]]``; a null row is empty. Slices are honoured.
    """
    wide = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
    _, offsets, data = column.buffers()
    if offsets is None or len(column) == 0:
        return NO_BYTES, np.zeros(len(column) + 1, np.int64)
    all_starts = np.frombuffer(offsets, np.int64 if wide else np.int32)
    starts = all_starts[column.offset : column.offset + len(column) + 1].astype(np.int64)
    return NO_BYTES if data is None else np.frombuffer(data, np.uint8), starts
