"""Arrow string columns as flat NumPy buffers, for the compiled kernels."""

import numpy as np
import pyarrow as pa


def string_buffers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The UTF-8 bytes (uint8) and the row offsets (int64, rows + 1) of a string column, without a copy of the bytes.

    Row i is ``data[offsets[i]:offsets[i + 1]]``; a null row is empty. Slices are honoured.
    """
    offset_type = (
        np.int64
        if pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
        else np.int32
    )
    _, offsets, data = column.buffers()
    if offsets is None or len(column) == 0:
        return np.empty(0, np.uint8), np.zeros(len(column) + 1, np.int64)
    starts = np.frombuffer(offsets, offset_type)[column.offset : column.offset + len(column) + 1].astype(
        np.int64
    )
    text = np.empty(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)
    return text, starts
