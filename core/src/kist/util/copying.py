"""Copy between open files, in the kernel where it can."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from kist.util.atomic import write_all

_BLOCK = 1 << 20
_STEP = 32 << 20
"""Bytes that the kernel copies in one call: few calls, and yet somebody is told how far it is."""

_FICLONE = 0x40049409
"""Linux: share all blocks of another file (ioctl_ficlone(2))."""

_UNABLE = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EIO})


def copy_rest(reader: int, writer: int, advance: Callable[[int], object] = int) -> None:
    """Copy all that one open file still has to where another one stands.

    Args:
        reader: descriptor of a regular file, which stays where it stands.
        writer: descriptor of the file that is written.
        advance: told the bytes of each step; what it raises ends the copying.

    Raises:
        OSError: the system refused.
    """
    copy_range(reader, writer, os.lseek(reader, 0, os.SEEK_CUR), sys.maxsize, advance)


def copy_range(reader: int, writer: int, start: int, length: int, advance: Callable[[int], object] = int) -> None:
    """Copy a range of one open file to where another one stands; what the first does not have is left out.

    Args:
        reader: descriptor of a regular file, which stays where it stands.
        writer: descriptor of the file that is written.
        start: where the range begins.
        length: its bytes.
        advance: told the bytes of each step; what it raises ends the copying.

    Raises:
        OSError: the system refused.
    """
    end = start + length
    in_kernel = getattr(os, "copy_file_range", None)
    while start < end and in_kernel:
        try:
            done = in_kernel(reader, writer, min(end - start, _STEP), start)
        except OSError as exc:
            if exc.errno not in _UNABLE:
                raise
            break
        if not done:
            break
        start += done
        advance(done)
    # Whatever the kernel could not do itself is read and written here, from where it stopped.
    while start < end and (block := os.pread(reader, min(end - start, _BLOCK), start)):
        write_all(writer, block)
        start += len(block)
        advance(len(block))


def share_blocks(reader: int, writer: int) -> None:
    """Let an empty file share all blocks of another one: nothing is copied until one of them is edited.

    Args:
        reader: descriptor of the file that has the content.
        writer: descriptor of the empty one.

    Raises:
        OSError: the file system cannot, or there are two of them.
    """
    try:
        from fcntl import ioctl
    except ImportError:
        raise OSError(errno.ENOSYS, "this platform has no reflinks") from None
    ioctl(writer, _FICLONE, reader)
