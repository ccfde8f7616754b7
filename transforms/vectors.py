"""What compiled kernels say to the processor directly: whole vectors of bytes, and bits of words.

Each function is a few instructions of LLVM's intermediate language, which becomes AVX-512, AVX2, SSE or NEON where
the code runs. Nothing here checks bounds: what is read or written must lie within the array.
"""

from typing import Any

import numba.extending
from llvmlite import ir
from numba import types

intrinsic: Any = numba.extending.intrinsic
"""Untyped, for a kernel does not give the typing context that the decorated function takes first."""

BYTE, WORD = ir.IntType(8), ir.IntType(64)
BYTES = ir.VectorType(BYTE, 64)


def splat(vector: ir.VectorType, value: int) -> ir.Constant:
    """A vector constant of equal elements."""
    return ir.Constant(vector, [value] * vector.count)


def pointer(context: Any, builder: Any, array: Any, value: Any, place: Any, to: ir.Type) -> Any:
    """To the element at `place` of an array argument, as a pointer to something else."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [place]), to.as_pointer())


@intrinsic
def word_mask(_: Any, text: Any, place: Any) -> Any:
    """Bit i tells whether ``text[place + i]`` is one of [A-Za-z0-9_], for 64 bytes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(pointer(context, builder, signature.args[0], arguments[0], arguments[1], BYTES), align=1)
        lower = builder.or_(loaded, splat(BYTES, 0x20))
        is_letter = builder.icmp_unsigned("<", builder.sub(lower, splat(BYTES, ord("a"))), splat(BYTES, 26))
        is_digit = builder.icmp_unsigned("<", builder.sub(loaded, splat(BYTES, ord("0"))), splat(BYTES, 10))
        is_underscore = builder.icmp_unsigned("==", loaded, splat(BYTES, ord("_")))
        return builder.bitcast(builder.or_(builder.or_(is_letter, is_digit), is_underscore), WORD)

    return types.uint64(text, types.int64), generate


@intrinsic
def any_beyond_ascii(_: Any, text: Any, place: Any) -> Any:
    """Whether one of 64 bytes from `place` on is no ASCII character."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        loaded = builder.load(pointer(context, builder, signature.args[0], arguments[0], arguments[1], BYTES), align=1)
        mask = builder.bitcast(builder.icmp_signed("<", loaded, splat(BYTES, 0)), WORD)
        return builder.icmp_unsigned("!=", mask, ir.Constant(WORD, 0))

    return types.boolean(text, types.int64), generate


@intrinsic
def load_word(_: Any, text: Any, place: Any) -> Any:
    """Eight bytes from `place` on as a little-endian number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(pointer(context, builder, signature.args[0], arguments[0], arguments[1], WORD), align=1)

    return types.uint64(text, types.int64), generate


@intrinsic
def store_word(_: Any, text: Any, place: Any, word: Any) -> Any:
    """Writes a number as eight little-endian bytes from `place` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        value, where, stored = arguments
        builder.store(stored, pointer(context, builder, signature.args[0], value, where, WORD), align=1)
        return context.get_dummy_value()

    return types.void(text, types.int64, types.uint64), generate


@intrinsic
def trailing_zeros(_: Any, word: Any) -> Any:
    """How many bits stand below the lowest one of a number that is not 0."""

    def generate(_: Any, builder: Any, __: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate
