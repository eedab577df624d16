"""Which cipher to ask for first, among those that ssh would take anyway."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

_CHACHA = "chacha20-poly1305@openssh.com"
_GCM = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_USUAL = frozenset({_CHACHA, *_GCM, "aes128-ctr", "aes192-ctr", "aes256-ctr"})
"""What OpenSSH offers where nobody chose, in an order that differs between versions but begins with the first."""

_LIMIT = 5.0
"""Seconds that ssh gets to print its configuration; without it the order stays as it is."""


def setting(resolved: Sequence[str]) -> Sequence[str]:
    """Arguments that put AES-GCM first where this machine computes AES in hardware and nobody chose the ciphers.

    It costs a third of what ChaCha20 costs, at both ends. The set stays the same, so what the server does not have
    falls to the next, and a list that the user or the system's policy shortened or ordered is left alone.

    Args:
        resolved: the command that prints the settings of ssh.

    Returns:
        The arguments, none where nothing is to change.
    """
    if not _has_aes():
        return ()
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run(
            resolved, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LIMIT, start_new_session=True, check=False
        )
        found = re.search(rb"^ciphers ([\w@.,-]+)$", told.stdout, re.MULTILINE)
        listed = found[1].decode().split(",") if found and not told.returncode else []
        if listed and listed[0] == _CHACHA and set(listed) == _USUAL:
            return "-o", "Ciphers=" + ",".join([*_GCM, *(one for one in listed if one not in _GCM)])
    return ()


@lru_cache
def _has_aes() -> bool:
    """Whether the processor has instructions for AES, as far as the system tells."""
    with suppress(OSError), Path("/proc/cpuinfo").open("rb") as file:
        return re.search(rb"^(flags|Features)\s*:.*\baes\b", file.read(1 << 14), re.MULTILINE) is not None
    return False
