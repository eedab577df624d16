"""Blocks on their way: from the pipe into the place where they belong, and who is woken for them."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator

import pytest

from kist_ssh.landing import STRETCH, Packets, Rooms, Stretch

DATA = random.Random(7).randbytes(300_000)
BLOCK = 1000


@pytest.fixture
def packets() -> Iterator[Packets]:
    """A pipe into which DATA comes in pieces of all sizes, and then ends."""
    reader, writer = os.pipe()

    def write() -> None:
        chance, at = random.Random(8), 0
        with os.fdopen(writer, "wb", buffering=0) as stream:
            while at < len(DATA):
                at += stream.write(DATA[at : at + chance.choice((1, 7, 500, 40_000))])

    thread = threading.Thread(target=write)
    thread.start()
    yield Packets(reader)
    while os.read(reader, 1 << 20):
        pass
    thread.join()
    os.close(reader)


def stretch(blocks: int) -> Stretch:
    return Stretch(0, blocks * BLOCK, BLOCK, bytearray(blocks * BLOCK))


def test_every_byte_comes_once(packets):
    chance, at = random.Random(9), 0
    while at < len(DATA):
        size = chance.choice((1, 9, 13, 4000, 70_000))
        due = DATA[at : at + size]
        if chance.random() < 0.5:
            assert packets.take(size) == due
        else:
            room = memoryview(bytearray(size))
            assert packets.fill(room) == len(due)
            assert room[: len(due)] == due
        at += size
    assert packets.take(5) == b""
    assert packets.fill(memoryview(bytearray(5))) == 0


def test_what_is_there_is_not_waited_for(packets):
    first = packets.some(200)
    assert 0 < len(first) <= 200
    assert first == DATA[: len(first)]
    assert packets.take(0) == b""


def test_a_stretch_wakes_once(packets):
    """Whatever the order in which its blocks come."""
    one = stretch(5)
    for at in (2, 0, 1, 4, 3):
        block = one.blocks[at]
        assert block.land(packets, BLOCK)
        assert one.answered(block) == (at == 3)
    assert one.there() == 5 * BLOCK
    assert bytes(one.room) == b"".join(DATA[place * BLOCK :][:BLOCK] for place in (1, 2, 0, 4, 3))


def test_bytes_are_there_in_their_order(packets):
    one = stretch(3)
    one.blocks[1].land(packets, BLOCK)
    assert one.there() == 0
    one.blocks[0].land(packets, BLOCK)
    assert one.there() == 2 * BLOCK
    assert one.short() is None


def test_who_is_eager_is_woken_for_each(packets):
    one = stretch(3)
    one.eager = True
    one.blocks[0].land(packets, BLOCK)
    assert one.answered(one.blocks[0])


def test_a_short_block_is_completed(packets):
    one = stretch(2)
    first, second = one.blocks
    assert first.land(packets, 400)
    assert one.answered(first)
    assert (one.there(), one.short()) == (400, first)
    rest = one.rest_of(first)
    assert (rest.start, rest.length) == (400, 600)
    assert second.land(packets, BLOCK)
    assert not one.answered(second)
    assert one.short() is None
    assert rest.land(packets, 600)
    assert one.answered(rest)
    assert one.there() == 2 * BLOCK


def test_more_than_was_asked_for_is_dropped(packets):
    one = stretch(2)
    assert one.blocks[0].land(packets, BLOCK + 77)
    assert bytes(one.room[BLOCK:]) == bytes(BLOCK)
    assert packets.take(10) == DATA[BLOCK + 77 :][:10]


def test_a_buffer_is_used_again_when_nothing_lands_there_any_more(packets):
    rooms = Rooms()
    done, late = (Stretch(0, STRETCH, STRETCH, rooms.take(STRETCH)) for _ in range(2))
    done.blocks[0].landed = STRETCH
    done.answered(done.blocks[0])
    block = late.blocks[0]
    rooms.give(done)
    rooms.give(late)
    assert rooms.take(STRETCH) is done.memory
    assert rooms.take(STRETCH) is not late.memory
    assert block.land(packets, 100)
    assert len(rooms.take(10)) == 10
