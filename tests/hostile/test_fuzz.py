"""Every parser of ours on random bytes, on valid files cut at each byte, and on mutations of valid files.

It answers with a value or with the typed error that it documents, in time and memory that the input's size bounds. What a
checksum protects is also tried with the checksum put right, since whoever forges a file can compute one.
"""

import shutil
import time
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parsers import PARSERS

SECONDS = 2.0
"""Processor time that one small input may take."""
MEMORY, MEMORY_PER_BYTE = 24 << 20, 400
"""Bytes that one input may make it allocate."""
_CUTS = 150

NUMBERS = [b"\xff" * 8, b"\xff" * 4, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\0\0\0\x80", b"\0" * 7 + b"\x80"]


def mutations(parser):
    """Strategies: random bytes, or a valid file with pieces changed, doubled, moved or taken out, sealed or not."""
    pieces = st.one_of(st.binary(max_size=12), st.sampled_from([*NUMBERS, *parser.words, b"\x1b[2J", b"\xff\xfe"]))
    change = st.tuples(st.integers(0, 1 << 16), st.integers(0, 12), pieces, st.booleans())

    @st.composite
    def mutated(draw):
        data = draw(st.sampled_from(parser.seeds))
        for at, length, piece, over in draw(st.lists(change, min_size=1, max_size=4)):
            at %= len(data) + 1
            data = data[:at] + piece + data[at + (len(piece) if over else length) :]
        return parser.seal(data) if parser.seal and draw(st.booleans()) else data

    return st.one_of(mutated(), mutated(), mutated(), st.binary(max_size=400))


class Tried:
    """Gives inputs to one parser, each with a folder of its own, and counts what came out."""

    def __init__(self, name, folder):
        self.name, self.parser, self._folder, self.found = name, PARSERS[name], folder, Counter()

    def __call__(self, data):
        place = self._folder / "one"
        place.mkdir()
        tracemalloc.start()
        began = time.process_time()
        try:
            self.parser.parse(data, place)
            self.found["read"] += 1
        except self.parser.allowed:
            self.found["refused"] += 1
        finally:
            spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
            tracemalloc.stop()
            shutil.rmtree(place)
        assert spent < SECONDS, f"{spent:.1f} s for {len(data)} bytes"
        assert peak < MEMORY + MEMORY_PER_BYTE * len(data), f"{peak} bytes of memory for {len(data)}"

    def say(self):
        print(f"fuzz: {self.name}: {sum(self.found.values())} inputs, {self.found['refused']} refused, "
              f"{self.found['read']} read")  # fmt: skip


# A file of SQLite's is shown whole where it fails.
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
@pytest.mark.parametrize("name", PARSERS)
def test_4_2_any_bytes_give_a_value_or_a_typed_error(name, tmp_path, capsys):
    tried = Tried(name, tmp_path)
    parser = PARSERS[name]
    for seed in parser.seeds:
        tried(seed)
    assert not tried.found["refused"], "the seeds are valid"
    for seed in parser.seeds:
        step = max(1, len(seed) // _CUTS)
        for at in range(0, len(seed), step):
            tried(seed[:at])
            tried(seed[:at] + bytes([seed[at] ^ 1 << at % 8]) + seed[at + 1 :])
            if parser.seal:
                tried(parser.seal(seed[:at] + bytes([seed[at] ^ 1 << at % 8]) + seed[at + 1 :]))

    @given(mutations(parser))
    def one(data):
        tried(data)

    one()
    with capsys.disabled():
        tried.say()
