"""SHA-1 of many short messages at a time, one in each lane of vector registers: what datasketch takes shingles by."""

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from transforms.vectors import BYTES, intrinsic, pointer, splat

LANES = 16
"""Messages hashed at a time: as many as keep message and state in AVX-512's 32 registers."""

LONGEST_BLOCK = 55
"""Bytes that leave room for the padding in a block of 64."""

INITIAL = 0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0
CONSTANTS = 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6
WORDS = ir.VectorType(ir.IntType(32), LANES)


@numba.njit(nogil=True, cache=True)
def sha1_prefixes(text, starts, sizes, order, result):
    """Writes datasketch's ``sha1_hash32``, the first 32 bits (little-endian) of SHA-1, to `result`, in any order.

    Message i is ``text[starts[i]:starts[i] + sizes[i]]``; 64 more bytes must be readable behind the last one, and
    `order` and `result` hold LANES more elements than there are messages. Messages of one block (up to 55 bytes) go
    together, so that longer ones do not hold up their lanes.
    """
    count = len(starts)
    short = 0
    for message in range(count):
        order[short] = message
        short += sizes[message] <= LONGEST_BLOCK
    filled = short
    for message in range(count):
        order[filled] = message
        filled += sizes[message] > LONGEST_BLOCK
    order[count : count + LANES] = order[count - 1]
    _hash_lanes(text, starts, sizes, order, 0, short, result)
    _hash_lanes(text, starts, sizes, order, short, count, result)


@numba.njit(nogil=True, cache=True)
def _hash_lanes(text, starts, sizes, order, first, stop, result):
    """The messages from `first` to `stop` of `order`; the lanes left over repeat what follows, and are overwritten."""
    places, lengths, left = np.empty(LANES, np.int64), np.empty(LANES, np.int32), np.empty(LANES, np.int32)
    state = np.empty(5 * LANES, np.uint32)
    for at in range(first, stop, LANES):
        longest = 0
        for lane in range(LANES):
            message = order[at + lane]
            places[lane] = starts[message]
            left[lane] = lengths[lane] = sizes[message]
            longest = max(longest, sizes[message])
        for word in range(5):
            state[word * LANES : (word + 1) * LANES] = INITIAL[word]
        for block in range((longest + 8) // 64 + 1):
            _hash_block(text, places, lengths, left, state)
            for lane in range(LANES):
                if block == (lengths[lane] + 8) // 64:
                    word = (state[lane] << 16) | (state[lane] >> 16)
                    result[at + lane] = ((word & 0x00FF00FF) << 8) | ((word >> 8) & 0x00FF00FF)
                places[lane] = min(places[lane] + 64, len(text) - 64)
                left[lane] -= 64


@intrinsic
def _hash_block(_: Any, text: Any, places: Any, lengths: Any, left: Any, state: Any) -> Any:
    """Takes the next 64 bytes of each lane's message, from `places` on, into `state` (FIPS 180-4, section 6.1.2).

    `left` counts the message's bytes from there on: the padding begins behind them.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def address(argument: int, place: Any, to: ir.Type) -> Any:
            return pointer(context, builder, signature.args[argument], arguments[argument], place, to)

        def loaded(argument: int, at: int, to: ir.Type) -> Any:
            return builder.load(address(argument, ir.Constant(ir.IntType(64), at), to), align=1)

        rows = []
        for lane in range(LANES):
            block = builder.load(address(0, loaded(1, lane, ir.IntType(64)), BYTES), align=1)
            rows.append(_padded(builder, block, loaded(3, lane, ir.IntType(32))))
        words = _transposed(builder, rows)
        is_last = builder.icmp_signed("<=", loaded(3, 0, WORDS), splat(WORDS, LONGEST_BLOCK))
        length = loaded(2, 0, WORDS)
        words[14] = builder.select(is_last, builder.lshr(length, splat(WORDS, 29)), words[14])
        words[15] = builder.select(is_last, builder.shl(length, splat(WORDS, 3)), words[15])
        before = [loaded(4, word * LANES, WORDS) for word in range(5)]
        for word, (old, new) in enumerate(zip(before, _rounds(builder, before, words), strict=True)):
            where = address(4, ir.Constant(ir.IntType(64), word * LANES), WORDS)
            builder.store(builder.add(old, new), where, align=1)
        return context.get_dummy_value()

    return types.void(text, places, lengths, left, state), generate


def _padded(builder: Any, block: Any, left: Any) -> Any:
    """16 big-endian words: the block's first `left` bytes, a one bit, zeros (FIPS 180-4, section 5.1.1)."""
    low, high = ir.Constant(left.type, -1), ir.Constant(left.type, 64)
    clipped = builder.select(builder.icmp_signed("<", left, low), low, left)
    clipped = builder.select(builder.icmp_signed(">", clipped, high), high, clipped)
    end = builder.insert_element(splat(BYTES, 0), builder.trunc(clipped, BYTES.element), ir.Constant(left.type, 0))
    end = builder.shuffle_vector(end, end, splat(ir.VectorType(ir.IntType(32), 64), 0))
    place = ir.Constant(BYTES, list(range(64)))
    kept = builder.select(builder.icmp_signed("<", place, end), block, splat(BYTES, 0))
    ended = builder.select(builder.icmp_signed("==", place, end), splat(BYTES, 0x80), kept)
    swapped = ir.Constant(ir.VectorType(ir.IntType(32), 64), [byte ^ 3 for byte in range(64)])
    return builder.bitcast(builder.shuffle_vector(ended, ended, swapped), WORDS)


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """From a vector for each message to a vector for each word: squares change corners, ever smaller ones."""
    for size in (8, 4, 2, 1):
        lanes = range(LANES)
        upper = ir.Constant(WORDS, [LANES + lane - size if lane & size else lane for lane in lanes])
        lower = ir.Constant(WORDS, [LANES + lane if lane & size else lane + size for lane in lanes])
        for one in [row for row in lanes if not row & size]:
            both = rows[one], rows[one + size]
            rows[one], rows[one + size] = (builder.shuffle_vector(*both, corners) for corners in (upper, lower))
    return rows


def _rounds(builder: Any, state: list[Any], words: list[Any]) -> list[Any]:
    def rotated(value: Any, bits: int) -> Any:
        return builder.or_(builder.shl(value, splat(WORDS, bits)), builder.lshr(value, splat(WORDS, 32 - bits)))

    a, b, c, d, e = state
    for number in range(80):
        if number >= 16:
            mixed = builder.xor(builder.xor(words[-3], words[-8]), builder.xor(words[-14], words[-16]))
            words.append(rotated(mixed, 1))
        if number < 20:
            choice = builder.xor(d, builder.and_(b, builder.xor(c, d)))
        elif 40 <= number < 60:
            choice = builder.or_(builder.and_(b, c), builder.and_(d, builder.or_(b, c)))
        else:
            choice = builder.xor(b, builder.xor(c, d))
        added = builder.add(words[number], splat(WORDS, CONSTANTS[number // 20]))
        added = builder.add(builder.add(added, e), builder.add(choice, rotated(a, 5)))
        a, b, c, d, e = added, a, rotated(b, 30), c, d
    return [a, b, c, d, e]
