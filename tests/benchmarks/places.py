"""Where the suite works: a file system with a journal, made for the purpose where asked for."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

JOURNALED = {"xfs", "btrfs", "zfs", "f2fs", "apfs", "bcachefs", "jfs"}
"""Kinds that always have a journal, or write nothing over what is in use."""


class Unsuitable(Exception):
    """A place where figures would mean nothing."""


def mount_of(folder: Path) -> tuple[str, str]:
    """The kind of the file system that a folder is on, and its device."""
    best = ("", "unknown", "")
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        kind, device = right.split()[:2]
        if str(folder.resolve()).startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
            best = (point, kind, device)
    return best[1], best[2]


def has_journal(folder: Path) -> bool:
    """Whether creating many files after deleting many costs here what it costs at a user's."""
    kind, device = mount_of(folder)
    if kind in ("ext3", "ext4"):
        name = Path(device).resolve().name
        return any(one.name.startswith(f"{name}-") for one in Path("/proc/fs/jbd2").glob("*"))
    return kind in JOURNALED


@contextlib.contextmanager
def workplace(folder: Path, image: str | None, any_disk: bool) -> Iterator[Path]:
    """A place to work in while the block runs; it is empty afterwards.

    Args:
        folder: an existing folder.
        image: the size of an ext4 image to make in *folder* and to mount, such as ``60G``.
        any_disk: whether a file system without a journal will do.

    Raises:
        Unsuitable: the file system has no journal, or the image cannot be mounted.
    """
    place = folder.resolve() / "kist-benchmarks"
    if place.exists():
        raise Unsuitable(f"{place} is there already: another run, or one that was killed; remove it")
    place.mkdir(parents=True)
    try:
        if image:
            with ext4_image(place, image) as mounted:
                yield mounted
        elif any_disk or has_journal(place):
            yield place
        else:
            kind, device = mount_of(place)
            raise Unsuitable(
                f"{place} is on {kind} ({device}) without a journal: there, creating files after deleting many is up "
                "to ten times dearer. Choose another --folder, let --image make a file system, or say --any-disk"
            )
    finally:
        subprocess.run(["rm", "-rf", "--one-file-system", place], check=False)


@contextlib.contextmanager
def ext4_image(place: Path, size: str) -> Iterator[Path]:
    """A fresh ext4 in a sparse file, mounted while the block runs; with inodes for millions of small files."""
    image, point = place / "image", place / "mounted"
    point.mkdir()
    settings = "lazy_itable_init=0,lazy_journal_init=0"
    path = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    for words in (
        ["truncate", "-s", size, image],
        ["mkfs.ext4", "-q", "-F", "-i", "4096", "-E", settings, image],
        ["mount", "-o", "loop", image, point],
    ):
        try:
            done = subprocess.run(words, env=os.environ | path, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Unsuitable(f"{words[0]}: {error.strerror}") from None
        if done.returncode:
            raise Unsuitable(f"{words[0]}: {done.stderr.strip()}")
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=False)


@contextlib.contextmanager
def sharing_blocks(place: Path, megabytes: int) -> Iterator[Path]:
    """A fresh XFS in an image, mounted while the block runs.

    Raises:
        Unsuitable: it cannot be mounted here.
    """
    import pytest

    from servers.file_systems import mounted

    try:
        with mounted("xfs", place, megabytes) as point:
            yield point
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        raise Unsuitable(str(error)) from None
