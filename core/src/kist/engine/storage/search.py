"""Search sorted digests by guessing the place: they are spread evenly."""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt


def search_block(block: bytes, raw: bytes, size: int) -> int:
    """The position of a digest among the *size* sorted ones of a block, which begin with the same byte; -1: not there.

    Digests are spread evenly, so its place follows from its next bytes, give or take. If what stands around that place
    does not enclose it, the whole block is searched.
    """
    width = len(raw)
    low, stop = _around(raw, size)
    if low and block[low * width : low * width + width] > raw:
        low = 0
    if stop < size and block[stop * width : stop * width + width] <= raw:
        stop = size
    return _place_in(block, raw, low, stop)


def search_around(read: Callable[[int, int], bytes], raw: bytes, size: int) -> int:
    """The same where the block is not in memory: as a rule only what stands around the place is read.

    Args:
        read: reads the digests from one position up to, not including, another.
        raw: the digest.
        size: how many there are.
    """
    width = len(raw)
    low, stop = _around(raw, size)
    block = read(low, stop)
    if (low and block[:width] > raw) or (stop < size and block[-width:] < raw):
        low, block = 0, read(0, size)
    at = _place_in(block, raw, 0, len(block) // width)
    return low + at if at >= 0 else -1


def _around(raw: bytes, size: int) -> tuple[int, int]:
    about = int.from_bytes(raw[1:4], "big") * size >> 24
    reach = 2 * isqrt(size) + 2
    return max(about - reach, 0), min(about + reach, size)


def _place_in(block: bytes, raw: bytes, low: int, stop: int) -> int:
    width = len(raw)
    at = block.find(raw, low * width, stop * width)
    while at >= 0 and at % width:  # across two digests, by chance or malice
        at = block.find(raw, at + 1, stop * width)
    return at // width
