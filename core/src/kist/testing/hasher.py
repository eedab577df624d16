"""HasherContract: what every hasher must keep."""

from __future__ import annotations

import re
import tracemalloc
from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kist.abc import Hasher
from kist.testing.base import ContractBase

_SHARED = settings(
    deadline=None,
    # One after another: two classes of tests in one process are no mistake either.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
"""A hasher keeps no state, so one instance may serve all examples of a property."""

_SIZES = [0, 1, 55, 56, 63, 64, 65, 127, 128, 1023, 1024, 1025, 4096, 65536, (1 << 20) + 1]


class HasherContract(ContractBase):
    """Subclass it as ``Test…`` and provide the fixture ``hasher``."""

    __test__ = False

    @pytest.fixture
    @abstractmethod
    def hasher(self) -> Hasher:
        """The hasher under test."""

    def test_name(self, hasher: Hasher) -> None:
        """The name is lower case and fits into a digest."""
        assert re.fullmatch("[a-z0-9][a-z0-9_-]{0,31}", hasher.name)

    def test_size(self, hasher: Hasher) -> None:
        """``digest_size`` is the length of each raw digest, and between 8 and 64."""
        assert 8 <= hasher.digest_size <= 64
        assert len(hasher.raw(b"")) == len(hasher.raw(b"abc")) == len(hasher.new().digest()) == hasher.digest_size

    def test_digest_has_the_name(self, hasher: Hasher) -> None:
        """``digest`` gives the algorithm's name and the raw digest in lower-case hexadecimal."""
        digest = hasher.digest(b"abc")
        assert (digest.algorithm, digest.hex) == (hasher.name, hasher.raw(b"abc").hex())
        assert str(digest) == f"{hasher.name}:{digest.hex}"

    @_SHARED
    @given(data=st.binary(max_size=5000), cuts=st.lists(st.integers(0, 5000), max_size=8))
    def test_any_chunking(self, hasher: Hasher, data: bytes, cuts: list[int]) -> None:
        """However the bytes are cut when they are taken in, the digest is the same."""
        running = hasher.new()
        bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
        for start, stop in pairwise(bounds):
            running.update(data[start:stop])
        assert running.digest() == hasher.raw(data)

    @pytest.mark.parametrize("size", _SIZES)
    def test_sizes(self, hasher: Hasher, size: int) -> None:
        """Around the sizes of blocks and pages, one call and byte ranges of 1,000 give the same digest."""
        data = (bytes(range(251)) * (size // 251 + 1))[:size]
        running = hasher.new()
        for start in range(0, size, 1000):
            running.update(data[start : start + 1000])
        assert running.digest() == hasher.raw(data)

    @_SHARED
    @given(buffers=st.lists(st.binary(max_size=100), max_size=20))
    def test_many(self, hasher: Hasher, buffers: list[bytes]) -> None:
        """``raw_many`` joins the raw digests of its buffers in their order; no buffers give nothing."""
        assert hasher.raw_many(buffers) == b"".join(hasher.raw(buffer) for buffer in buffers)
        assert hasher.raw_many(iter(buffers)) == hasher.raw_many(buffers)

    @_SHARED
    @given(data=st.binary(max_size=300))
    def test_buffers(self, hasher: Hasher, data: bytes) -> None:
        """bytes, bytearray and memoryview of equal content have one digest, and none of them is changed."""
        array = bytearray(data)
        assert hasher.raw(array) == hasher.raw(memoryview(data)) == hasher.raw(data)
        assert array == data
        running = hasher.new()
        running.update(array)
        running.update(memoryview(data))
        assert running.digest() == hasher.raw(data + data)

    def test_part_of_a_buffer(self, hasher: Hasher) -> None:
        """A memoryview of a part is that part, not the whole buffer."""
        block = bytearray(b"abcdef" * 1000)
        assert hasher.raw(memoryview(block)[6:3000]) == hasher.raw(bytes(block[6:3000]))

    def test_no_translation(self, hasher: Hasher) -> None:
        """Line ends, zeros and a byte order mark are bytes like others."""
        contents = [b"a\n", b"a\r\n", b"a\r", b"a", b"a\0", b"\xef\xbb\xbfa\n", b""]
        assert len({hasher.raw(content) for content in contents}) == len(contents)

    def test_one_bit(self, hasher: Hasher) -> None:
        """Each bit counts."""
        data = bytearray(200)
        seen = {hasher.raw(data)}
        for position in range(len(data)):
            data[position] ^= 1 << (position % 8)
            seen.add(hasher.raw(data))
            data[position] = 0
        assert len(seen) == len(data) + 1

    def test_no_state(self, hasher: Hasher) -> None:
        """Two running hashes do not disturb each other, and asking for the digest does not end one."""
        first, second = hasher.new(), hasher.new()
        first.update(b"one")
        second.update(b"two")
        assert first.digest() == first.digest() == hasher.raw(b"one")
        first.update(b"more")
        assert first.digest() == hasher.raw(b"onemore")
        assert second.digest() == hasher.raw(b"two")

    def test_threads(self, hasher: Hasher) -> None:
        """Many threads may use one hasher at once."""
        contents = [bytes([number]) * (number * 997) for number in range(200)]
        expected = [hasher.raw(content) for content in contents]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(hasher.raw, contents)) == expected

    def test_file_is_stream_is_bytes(self, hasher: Hasher, tmp_path: Path) -> None:
        """A file's bytes, read in blocks, have the digest of the bytes."""
        data = bytes(range(256)) * 5000 + b"\r\nend"
        path = tmp_path / "file"
        path.write_bytes(data)
        running = hasher.new()
        with path.open("rb") as file:
            while block := file.read(65536):
                running.update(block)
        assert running.digest() == hasher.raw(data)

    def test_constant_memory(self, hasher: Hasher) -> None:
        """A running hash keeps no more of what it took in than a little."""
        block = bytes(1 << 20)
        running = hasher.new()
        running.update(block)
        tracemalloc.start()
        try:
            for _ in range(16):
                running.update(block)
            running.digest()
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
