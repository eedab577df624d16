"""Copy between open files, in the kernel where it can."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from kist.util.atomic import write_all

_BLOCK = 1 << 20
_STEP = 32 << 20
"""Bytes that the kernel copies in one call: few calls, and yet somebody is told how far it is."""

_IN_KERNEL = getattr(os, "copy_file_range", None)
_UNABLE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO})


def copy_range(reader: int, writer: int, start: int, length: int) -> None:
    """Copy a range of one open file to where another one stands; what the first does not have is left out.

    Args:
        reader: descriptor of a regular file, which stays where it stands.
        writer: descriptor of the file that is written.
        start: where the range begins.
        length: its bytes.

    Raises:
        OSError: the system refused.
    """
    end = start + length
    while start < end and _IN_KERNEL:
        try:
            done = _IN_KERNEL(reader, writer, min(end - start, _STEP), start)
        except OSError as exc:
            if exc.errno not in _UNABLE:
                raise
            break
        if not done:
            break
        start += done
    while start < end and (block := os.pread(reader, min(end - start, _BLOCK), start)):
        write_all(writer, block)
        start += len(block)


def copy_rest(reader: int, writer: int, advance: Callable[[int], object] = int) -> None:
    """Copy all that one open file still has to where another one stands.

    Args:
        reader: descriptor of a regular file.
        writer: descriptor of the file that is written.
        advance: told the bytes of each step; what it raises ends the copying.

    Raises:
        OSError: the system refused.
    """
    left = os.fstat(reader).st_size - os.lseek(reader, 0, os.SEEK_CUR)
    while left > 0 and _IN_KERNEL:
        try:
            done = _IN_KERNEL(reader, writer, min(left, _STEP))
        except OSError as exc:
            if exc.errno not in _UNABLE:
                raise
            break
        if not done:
            break
        left -= done
        advance(done)
    # Whatever the kernel could not do itself is read and written here, from where it stopped.
    while block := os.read(reader, _BLOCK):
        write_all(writer, block)
        advance(len(block))
