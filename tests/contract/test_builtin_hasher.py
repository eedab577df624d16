"""The standard library's hashers under the contract of all hashers, and their published examples."""

import pytest

from kist.builtin.hashlib_hasher import SIZES, HashlibHasher, kist_make_hasher
from kist.errors import PluginError
from kist.testing import HasherContract

ABC = {
    "md5": "900150983cd24fb0d6963f7d28e17f72",
    "sha1": "a9993e364706816aba3e25717850c26c9cd0d89d",
    "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "sha512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
    "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    "blake2b": "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
    "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923",
}


@pytest.mark.parametrize("algorithm", sorted(SIZES))
class TestHashlib(HasherContract):
    @pytest.fixture
    def hasher(self, algorithm):
        return HashlibHasher(algorithm)

    def test_published_example(self, hasher, algorithm):
        assert hasher.raw(b"abc").hex() == ABC[algorithm]

    def test_hook_gives_it(self, hasher, algorithm):
        made = kist_make_hasher(algorithm)
        assert (made.name, made.digest_size) == (hasher.name, hasher.digest_size)


def test_hook_leaves_others_alone():
    assert kist_make_hasher("blake3") is None
    assert kist_make_hasher("sha3-256") is None


def test_a_python_without_the_algorithm_is_told(monkeypatch):
    def forbidden(*_, **__):
        raise ValueError("disabled")

    monkeypatch.setattr("hashlib.md5", forbidden)
    with pytest.raises(PluginError, match="no md5"):
        HashlibHasher("md5")
