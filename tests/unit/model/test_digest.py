"""Digest: the only spelling of an object's name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.errors import MetafileError
from kist.model.digest import Digest
from kist.testing.strategies import digests


@given(digest=digests())
def test_text_and_raw_bytes_come_back(digest):
    assert Digest.parse(str(digest)) == digest
    assert Digest.from_raw(digest.algorithm, digest.raw) == digest


@pytest.mark.parametrize("size", [8, 16, 20, 32, 64])
def test_widths(size):
    assert Digest.parse("x-1_y:" + "0a" * size).raw == b"\x0a" * size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        ":" + "0" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "A" * 64,
        "sha256:" + "g" * 64,
        "SHA256:" + "0" * 64,
        "-a:" + "0" * 64,
        "a" * 33 + ":" + "0" * 64,
        "md5:" + "0" * 14,
        "md5:" + "0" * 130,
        "md5:" + "0" * 32 + "\n",
        " md5:" + "0" * 32,
        "md5:../" + "0" * 32,
        "md5:" + "\u0660" * 32,
        None,
        5,
        b"md5:" + b"0" * 32,
    ],
)
def test_what_is_no_digest(text):
    with pytest.raises(MetafileError, match="not a digest"):
        Digest.parse(text)


def test_messages_stay_short():
    with pytest.raises(MetafileError) as caught:
        Digest.parse("x" * 100_000)
    assert len(str(caught.value)) < 200


@given(data=st.lists(digests(), max_size=10))
def test_order_is_that_of_the_text(data):
    assert sorted(data) == sorted(data, key=lambda digest: (digest.algorithm, digest.hex))


def test_a_value_that_can_be_a_key():
    assert len({Digest("md5", "00" * 16), Digest("md5", "00" * 16), Digest("sha1", "00" * 16)}) == 2
    with pytest.raises(AttributeError):
        Digest("md5", "00" * 16).hex = "11"
