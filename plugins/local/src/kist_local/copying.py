"""Copy one open file into another, new one, without copying where the file system can share."""

from __future__ import annotations

import os
from collections.abc import Callable

from kist.kit import copy_rest, share_blocks


def copy_file(source: int, target: int, advance: Callable[[int], None]) -> None:
    """Copy all of one open file into another.

    Args:
        source: descriptor to read, at its start.
        target: descriptor to write, of a new and empty file.
        advance: told the bytes of every step; what it raises ends the copying.

    Raises:
        OSError: the system refused.
    """
    try:
        share_blocks(source, target)
    except OSError:
        copy_rest(source, target, advance)
    else:
        advance(os.fstat(source).st_size)
