"""What arrives: packets from the pipe, and blocks of files straight into the place where they belong."""

from __future__ import annotations

import os
from contextlib import suppress

from kist_ssh.protocol import Reply

STRETCH = 1 << 19
"""Bytes that are waited for together: a thread that is woken for every block costs more than the block."""

_SMALL = 1 << 16
"""Bytes of a buffer that is not worth to be kept for the next stretch."""

_KEPT = 32
"""Buffers that a connection keeps at most: the pages of a new one cost the system as much as filling them."""

_AHEAD = 1 << 14
"""Bytes that are read of what follows, in the same call."""


class Packets:
    """Reads a pipe: small things through a buffer, blocks past it.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._buffer = memoryview(bytearray(_AHEAD))
        self._begin = self._end = 0

    def take(self, length: int) -> bytes:
        """So many bytes; fewer at the end only."""
        end = self._begin + length
        if end <= self._end:
            data = bytes(self._buffer[self._begin : end])
            self._begin = end
            return data
        room = memoryview(bytearray(length))
        return bytes(room[: self.fill(room)])

    def some(self, most: int) -> bytes:
        """What is there now, after waiting for the first byte; nothing at the end."""
        if self._begin == self._end:
            self._begin, self._end = 0, os.readv(self._descriptor, [self._buffer])
        return self.take(min(most, self._end - self._begin))

    def fill(self, room: memoryview) -> int:
        """Fill a buffer.

        Args:
            room: the buffer.

        Returns:
            Bytes in it: fewer than it holds at the end only.
        """
        length = len(room)
        there = min(length, self._end - self._begin)
        if there:
            room[:there] = self._buffer[self._begin : self._begin + there]
            self._begin += there
        while there < length:
            count = os.readv(self._descriptor, [room[there:], self._buffer])
            if not count:
                break
            there += count
            if there > length:  # what follows the room is in the buffer
                self._begin, self._end = 0, there - length
                there = length
        return there


class Block:
    """A block of a file that was asked for.

    Args:
        stretch: which it is a part of.
        start: where it begins in the stretch.
        length: its bytes.

    Attributes:
        landed: bytes of it that came; -1 as long as there is no answer.
        refusal: the answer, where it is not bytes.
    """

    __slots__ = ("landed", "length", "refusal", "start", "stretch")

    def __init__(self, stretch: Stretch, start: int, length: int) -> None:
        self.stretch, self.start, self.length = stretch, start, length
        self.landed = -1
        self.refusal: Reply | None = None

    @property
    def short(self) -> bool:
        """Whether less came than was asked for."""
        return 0 <= self.landed < self.length

    def land(self, packets: Packets, length: int) -> bool:
        """Take the bytes of an answer.

        Args:
            packets: stands where they begin.
            length: how many there are.

        Returns:
            False where the connection ended before.
        """
        count = min(length, self.length)
        if packets.fill(self.stretch.room[self.start : self.start + count]) < count:
            return False
        if length > count and len(packets.take(length - count)) < length - count:  # more than was asked for
            return False
        self.landed = count
        return True

    def refuse(self, reply: Reply) -> None:
        """Take an answer that brings nothing."""
        self.refusal, self.landed = reply, 0


class Stretch:
    """A part of a file that is asked for in blocks, which land in one buffer. One thread asks, another one answers.

    Args:
        offset: where it begins in the file.
        length: its bytes.
        block: bytes of a block.
        memory: a buffer that is large enough.

    Attributes:
        eager: whether to wake who waits for every block, not only for the last.
        room: the buffer.
        blocks: in their order.
    """

    __slots__ = ("_answers", "blocks", "eager", "length", "memory", "offset", "room")

    def __init__(self, offset: int, length: int, block: int, memory: bytearray) -> None:
        self.offset, self.length, self.memory = offset, length, memory
        self.room = memoryview(memory)
        self.blocks = [Block(self, start, min(block, length - start)) for start in range(0, length, block)]
        self.eager = False
        self._answers = 0

    @property
    def settled(self) -> bool:
        """Whether nothing will land here any more."""
        return self._answers >= len(self.blocks)

    def answered(self, block: Block) -> bool:
        """Count the answer of a block; whether to wake who waits."""
        self._answers += 1
        return self.settled or self.eager or block.short

    def there(self) -> int:
        """Bytes from the beginning on that are there."""
        reached = 0
        for block in self.blocks:
            reached += max(0, block.landed)
            if block.landed < block.length:
                break
        return reached

    def short(self) -> Block | None:
        """The first block, if it is one, that came short."""
        first = next((block for block in self.blocks if block.landed < block.length), None)
        return first if first is not None and first.short else None

    def rest_of(self, short: Block) -> Block:
        """A block for what one that came short lacks."""
        rest = Block(self, short.start + short.landed, short.length - short.landed)
        short.length = short.landed
        self.blocks.insert(self.blocks.index(short) + 1, rest)
        return rest


class Rooms:
    """Buffers for stretches, used again."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self, length: int) -> bytearray:
        """A buffer of at least so many bytes, STRETCH at most."""
        if length <= _SMALL:
            return bytearray(length)
        with suppress(IndexError):
            return self._free.pop()
        return bytearray(STRETCH)

    def give(self, stretch: Stretch) -> None:
        """Take the buffer of a stretch back, which is not looked at again; blocks that still come may land in it."""
        if stretch.settled and len(stretch.memory) == STRETCH and len(self._free) < _KEPT:
            self._free.append(stretch.memory)
        stretch.blocks = []  # they know the stretch: without this only a collection would free both
