"""Seeded data: what is versioned, and how it is edited."""

from __future__ import annotations

import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.remotes import FOLDER, KINDS

PER_FOLDER = 200
CHANGED, ADDED, DELETED = 100, 10, 10
PART = 4 << 20
EDITS = ("status_edited", "add_edited", "diff", "checkout_other")
SHARING = ("push", "push_nothing", "pull", "gc")
LINKS = ("checkout_hardlink", "checkout_symlink", "checkout_copy")
ONE_FILE = ("init", "add", "status", *LINKS, *SHARING, "verify")
ALL = (*ONE_FILE, *EDITS, "one_path")


@dataclass(frozen=True)
class Workload:
    """Data that every tool gets the same.

    Args:
        name: as it is chosen on the command line.
        title: for people.
        files: how many, before scaling.
        sizes: the smallest and the largest size in bytes; the size of a single file is scaled, of several their number.
        operations: those that are measured on it.
        separate: whether each file is an output of its own for tools that have metafiles.
        seed: of the random numbers.
        remote: the kind of the remote that is pushed to.
    """

    name: str
    title: str
    files: int
    sizes: tuple[int, int]
    operations: tuple[str, ...]
    separate: bool = False
    seed: int = 1
    remote: str = FOLDER

    @property
    def targets(self) -> list[str]:
        """What is added, relative to the repository."""
        return [f"data/{place_of(number)}" for number in range(self.files)] if self.separate else ["data"]

    @property
    def one_path(self) -> str:
        """A file in the midst, that no edit touches."""
        return f"data/{place_of(self._edited()[-1])}"

    def scaled(self, factor: float) -> Workload:
        """The same, smaller or larger."""
        small, large = self.sizes
        if self.files == 1:
            return replace(self, sizes=(max(1, int(small * factor)), max(1, int(large * factor))))
        return replace(self, files=max(10, int(self.files * factor)))

    def make(self, folder: Path) -> None:
        """Write the first version into *folder*, which must not exist."""
        chance = random.Random(self.seed)
        pool = chance.randbytes(max(1 << 20, 2 * min(self.sizes[1], PART)))
        for number in range(self.files):
            place = folder / place_of(number)
            if number % PER_FOLDER == 0:
                place.parent.mkdir(parents=True)
            size = chance.randint(*self.sizes)
            if size > PART:
                write_large(place, size, chance)
                continue
            start = chance.randrange(len(pool) - size)
            place.write_bytes((chance.randbytes(16) + pool[start : start + size])[:size])

    def edit(self, folder: Path) -> None:
        """Make the second version of the first: the same changes each time."""
        chance = random.Random(self.seed + 1)
        if self.files == 1:
            insert(folder / place_of(0), chance.randbytes(1 << 20))
            return
        names = [folder / place_of(number) for number in self._edited()[:-1]]
        changed = len(names) if self.separate else len(names) * CHANGED // (CHANGED + DELETED)
        for name in names[:changed]:
            name.write_bytes(chance.randbytes(self.sizes[0] + 7))
        for name in names[changed:]:
            name.unlink()
        if not self.separate:
            for number in range(min(ADDED, len(names))):
                (names[number].parent / f"new{number}.bin").write_bytes(chance.randbytes(self.sizes[0] + 9))

    def _edited(self) -> list[int]:
        """Numbers of the files that the edit changes and deletes, and of one that it leaves alone."""
        count = min(CHANGED if self.separate else CHANGED + DELETED, self.files // 2)
        return random.Random(self.seed + 2).sample(range(self.files), count + 1) if self.files > 1 else [0]


def place_of(number: int) -> str:
    """Where a file is."""
    return f"part{number // PER_FOLDER:05}/{number:07}.bin"


def write_large(place: Path, size: int, chance: random.Random) -> None:
    """A file of random bytes, part by part."""
    with place.open("wb") as stream:
        for start in range(0, size, PART):
            stream.write(chance.randbytes(min(PART, size - start)))


def insert(place: Path, added: bytes) -> None:
    """Insert bytes in the middle of a file."""
    new = place.with_suffix(".new")
    with place.open("rb") as source, new.open("wb") as target:
        left = place.stat().st_size // 2
        while left:
            left -= target.write(source.read(min(PART, left)))
        target.write(added)
        shutil.copyfileobj(source, target, PART)
    new.replace(place)


REMOTE = (
    ("small", "2,000 files of 10 KiB", 2_000, 10 << 10),
    ("many", "10,000 files of 10 KiB", 10_000, 10 << 10),
    ("large", "one file of 1 GiB", 1, 1 << 30),
)
"""What is pushed to each kind of server: name, title, files, and the bytes of each."""


def _of(name: str, title: str, files: int, sizes: tuple[int, int], operations: Sequence[str], **more: Any) -> Workload:
    return Workload(name, title, files, sizes, tuple(operations), **more)


WORKLOADS = {
    one.name: one
    for one in (
        _of("w1", "100,000 files of 1–8 KiB", 100_000, (1 << 10, 8 << 10), [*ALL, "checkout_reflink"]),
        _of("w2", "10,000 files of 100 KiB", 10_000, (100 << 10, 100 << 10), [*ALL, "checkout_reflink"]),
        _of("w3", "one file of 4 GiB", 1, (4 << 30, 4 << 30), [*ONE_FILE, "checkout_reflink"]),
        _of("w5", "1,000,000 files of 100 bytes", 1_000_000, (100, 100), ALL),
        _of("w6", "1 GiB, then 1 MiB inserted", 1, (1 << 30, 1 << 30), ["add", "status_edited", "add_edited"]),
        _of(
            "m1",
            "10,000 metafiles",
            10_000,
            (100, 1000),
            ["init", "add", "status", *EDITS, "checkout_copy", "one_path", *SHARING],
            separate=True,
        ),
        *(
            _of(
                f"{kind}-{name}", f"{title}, {kind}", files, (size, size), ["push", "push_nothing", "pull"], remote=kind
            )
            for kind in KINDS
            for name, title, files, size in REMOTE
        ),
    )
}
START = Workload("start", "no data", 10, (100, 100), ("version", "help"))
SMALL = Workload("small", "500 small pushes", 100, (1 << 10, 8 << 10), ("small_pushes",))
"""Two workloads that are no data sets: what a process costs, and many small changes that are shared at once."""
