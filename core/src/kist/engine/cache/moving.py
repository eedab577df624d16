"""Move files into their places in a cache, also where these are on another file system."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from errno import EXDEV
from pathlib import Path

from kist.util.atomic import storage_errors


def move(source: Path | str, target: Path | str, *, replace: bool = False) -> bool:
    """Rename; what is there already has the same bytes, and stays unless *replace*, for links to it may exist.

    Args:
        source: a durable file.
        target: its place.
        replace: whether it may take the place of another one.

    Returns:
        Whether *source* is there now.

    Raises:
        StorageError: the disk is full, read-only or failing.
    """
    with storage_errors(target):
        if not replace and os.path.exists(target):
            with suppress(FileNotFoundError):  # where an attempt that failed came so far
                os.unlink(source)
            return False
        try:
            os.rename(source, target)
        except OSError as exc:
            if exc.errno != EXDEV:
                raise
            _copy_across(Path(source), Path(target))
    return True


def _copy_across(source: Path, target: Path) -> None:
    """Move a file from another file system in, whole or not at all."""
    from kist.util.atomic import temp_name

    temporary = target.with_name(temp_name(target.name))
    try:
        with source.open("rb") as reader, temporary.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fchmod(writer.fileno(), 0o444)
            os.fsync(writer.fileno())
        os.rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    source.unlink()
