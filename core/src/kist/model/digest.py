"""Digest: the only spelling of an object's name."""

from __future__ import annotations

import re

from kist.errors import MetafileError
from kist.util.slotted import slotted

_PATTERN = re.compile(r"([a-z0-9][a-z0-9_-]{0,31}):((?:[0-9a-f]{2}){8,64})")


@slotted(frozen=True, order=True)
class Digest:
    """The name of exact bytes: ``algorithm:hex``.

    Args:
        algorithm: the hasher's name, lower case.
        hex: the plain hash of the bytes, lower-case hexadecimal, 16 to 128 characters.
    """

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: object) -> Digest:
        """Read ``algorithm:hex``.

        Raises:
            MetafileError: the text is not of that form.
        """
        match = _PATTERN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise MetafileError(f"not a digest of the form algorithm:hex: {text!r:.100}")
        return cls(match[1], match[2])

    @classmethod
    def from_raw(cls, algorithm: str, raw: bytes) -> Digest:
        """Make a digest from the hash's raw bytes."""
        return cls(algorithm, raw.hex())

    @property
    def raw(self) -> bytes:
        """The hash's raw bytes."""
        return bytes.fromhex(self.hex)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"
