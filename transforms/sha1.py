"""SHA-1 of many short messages at a time, in vector registers: the hash that datasketch takes shingles by."""

import numba
import numpy as np

LANES = 32
"""Messages hashed at a time: fewer leave the processor waiting, more outgrow its first cache."""

SCRATCH_WORDS = 165 * LANES
"""uint32 words of scratch memory: per lane 80 of message schedule, then 85 of the working variable `a`."""


@numba.njit(nogil=True, cache=True)
def sha1_prefixes(text, starts, sizes, scratch, result):
    """Writes datasketch's ``sha1_hash32``, the first 32 bits (little-endian) of SHA-1, to `result`.

    Message i is ``text[starts[i]:starts[i] + sizes[i]]``; 128 more bytes must be readable behind the last
    one. Messages of one block (up to 55 bytes) go first, so that longer ones do not hold up their lanes.
    """
    chosen = np.empty(LANES, np.int64)
    state = np.empty(5 * LANES, np.uint32)
    for is_long in range(2):
        filled = 0
        for message in range(len(starts)):
            if (sizes[message] > 55) == is_long:
                chosen[filled] = message
                filled += 1
                if filled == LANES:
                    _hash_lanes(text, starts, sizes, chosen, scratch, state, result)
                    filled = 0
        if filled:
            _hash_lanes(text, starts, sizes, chosen[:filled], scratch, state, result)


@numba.njit(nogil=True, cache=True)
def _hash_lanes(text, starts, sizes, chosen, scratch, state, result):
    lengths = np.zeros(LANES, np.int32)
    for lane in range(len(chosen)):
        lengths[lane] = sizes[chosen[lane]]
    for lane in range(LANES):
        state[lane] = 0x67452301
        state[LANES + lane] = 0xEFCDAB89
        state[2 * LANES + lane] = 0x98BADCFE
        state[3 * LANES + lane] = 0x10325476
        state[4 * LANES + lane] = 0xC3D2E1F0
    for block in range((lengths.max() + 8) // 64 + 1):
        for lane in range(len(chosen)):
            if block <= (lengths[lane] + 8) // 64:
                place = starts[chosen[lane]] + 64 * block
                _load_block(text[place : place + 64], scratch[lane : 16 * LANES : LANES])
        _pad_block(scratch, lengths, block)
        _rounds(scratch, state)
        for lane in range(len(chosen)):
            if block == (lengths[lane] + 8) // 64:
                word = (state[lane] << 16) | (state[lane] >> 16)
                result[chosen[lane]] = ((word & 0x00FF00FF) << 8) | ((word >> 8) & 0x00FF00FF)


@numba.njit(nogil=True, cache=True)
def _load_block(block, words):
    """16 big-endian words of a message, or of what happens to follow it."""
    for index in range(16):
        word = np.uint32(0)
        for byte in range(4):
            word = np.uint32(word << np.uint32(8)) | np.uint32(block[4 * index + byte])
        words[index] = word


@numba.njit(nogil=True, cache=True)
def _pad_block(scratch, lengths, block):
    """Overwrites what lies beyond each message's end with the padding (FIPS 180-4, section 5.1.1)."""
    for index in range(16):
        for lane in range(LANES):
            left = lengths[lane] - np.int32(64 * block + 4 * index)
            kept = np.uint32(8 * min(max(left, 0), 3))
            word = scratch[index * LANES + lane] & ~(np.uint32(0xFFFFFFFF) >> kept)
            word |= np.uint32(0x80000000) >> kept if left >= 0 else np.uint32(0)
            scratch[index * LANES + lane] = scratch[index * LANES + lane] if left >= 4 else word
    for lane in range(LANES):
        last = lengths[lane] - np.int32(64 * block) <= 55
        scratch[14 * LANES + lane] = np.uint32(lengths[lane] >> 29) if last else scratch[14 * LANES + lane]
        scratch[15 * LANES + lane] = np.uint32(lengths[lane] << 3) if last else scratch[15 * LANES + lane]


@numba.njit(nogil=True, cache=True)
def _rounds(scratch, state):
    """The 80 rounds on all lanes (FIPS 180-4, section 6.1.2).

    Of the five working variables only `a` is stored, round by round: the other four are its earlier values,
    `c`, `d` and `e` rotated by 30 bits.
    """
    history = 80 * LANES
    for lane in range(LANES):
        scratch[history + lane] = _rotate(state[4 * LANES + lane], 2)
        scratch[history + LANES + lane] = _rotate(state[3 * LANES + lane], 2)
        scratch[history + 2 * LANES + lane] = _rotate(state[2 * LANES + lane], 2)
        scratch[history + 3 * LANES + lane] = state[LANES + lane]
        scratch[history + 4 * LANES + lane] = state[lane]
    for at in range(16 * LANES, 80 * LANES, LANES):
        for lane in range(at, at + LANES):
            earlier = scratch[lane - 3 * LANES] ^ scratch[lane - 8 * LANES]
            scratch[lane] = _rotate(earlier ^ scratch[lane - 14 * LANES] ^ scratch[lane - 16 * LANES], 1)
    for phase in range(4):
        constant = np.uint32((0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6)[phase])
        for at in range(20 * phase * LANES, 20 * (phase + 1) * LANES, LANES):
            for lane in range(at, at + LANES):
                now = history + lane
                b, c = scratch[now + 3 * LANES], _rotate(scratch[now + 2 * LANES], 30)
                d, e = _rotate(scratch[now + LANES], 30), _rotate(scratch[now], 30)
                if phase == 0:
                    choice = d ^ (b & (c ^ d))
                elif phase == 2:
                    choice = (b & c) | (d & (b | c))
                else:
                    choice = b ^ c ^ d
                summed = _rotate(scratch[now + 4 * LANES], 5) + choice + e + constant + scratch[lane]
                scratch[now + 5 * LANES] = np.uint32(summed)
    for lane in range(LANES):
        last = history + 80 * LANES + lane
        state[lane] += scratch[last + 4 * LANES]
        state[LANES + lane] += scratch[last + 3 * LANES]
        state[2 * LANES + lane] += _rotate(scratch[last + 2 * LANES], 30)
        state[3 * LANES + lane] += _rotate(scratch[last + LANES], 30)
        state[4 * LANES + lane] += _rotate(scratch[last], 30)


@numba.njit(nogil=True, cache=True)
def _rotate(word, bits):
    return np.uint32((word << np.uint32(bits)) | (word >> np.uint32(32 - bits)))
