"""What is special about BLAKE3: its published test vectors, its tree of chunks, its hook."""

import subprocess
import sys

import pytest

import kist_blake3
from kist_blake3.hasher import Blake3Hasher

# The input of the official vectors is 0, 1, 2, … 250, 0, 1, … cut at a length.
VECTORS = {
    0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
}


def pattern(length):
    return (bytes(range(251)) * (length // 251 + 1))[:length]


@pytest.mark.parametrize("length", VECTORS)
def test_official_vectors(length):
    assert Blake3Hasher().raw(pattern(length)).hex() == VECTORS[length]


def test_abc():
    assert Blake3Hasher().raw(b"abc").hex() == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"


@pytest.mark.parametrize("step", [1023, 1024, 1025, 4096, 65536])
def test_a_mebibyte_in_chunks(step):
    hasher, data = Blake3Hasher(), pattern(1 << 20)
    running = hasher.new()
    for start in range(0, len(data), step):
        running.update(data[start : start + step])
    assert running.digest() == hasher.raw(data)


def test_hook():
    assert kist_blake3.kist_make_hasher("blake3").name == "blake3"
    assert kist_blake3.kist_make_hasher("sha256") is None


def test_hook_module_is_light():
    code = "import sys, kist_blake3; sys.exit('blake3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
