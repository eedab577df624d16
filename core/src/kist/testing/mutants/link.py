"""Broken link types."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from kist.builtin.copy_link import CopyLink
from kist.builtin.hardlink import HardLink
from kist.errors import LinkUnsupported
from kist.testing.link import LinkTypeContract
from kist.testing.mutants.running import Kind


def _fixtures(subject: type, _folder: Path) -> Mapping[str, object]:
    return {"link_type": subject()}


LINK = Kind("link", LinkTypeContract, CopyLink, _fixtures)


def _read(folder: int, name: bytes) -> bytes:
    descriptor = os.open(name, os.O_RDONLY, dir_fd=folder)
    with open(descriptor, "rb") as reader:
        return reader.read()


def _write(folder: int, name: bytes, data: bytes, flags: int = os.O_EXCL) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | flags, 0o666, dir_fd=folder)
    with open(descriptor, "wb") as writer:
        writer.write(data)


@LINK.mutant
class Unnamed(CopyLink):
    """Has no name."""

    name = ""


@LINK.mutant
class ClaimsEverything(CopyLink):
    """Claims to share its mode although the file is its own."""

    keeps_mode = True


@LINK.mutant
class ProbeLeavesFile(CopyLink):
    """Leaves the file that it probed with."""

    def probe(self, cache: Path, workspace: Path) -> str | None:
        (cache / ".probe").touch()
        return super().probe(cache, workspace)


@LINK.mutant
class ProbePromises(CopyLink):
    """Promises what it cannot do."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        if len(sources) == 1 and targets == [b"file"] and not _size(source_dir, sources[0]):
            return
        super().link_many(source_dir, sources[1:] or sources, target_dir, targets[1:] or targets)


@LINK.mutant
class ProbeDenies(CopyLink):
    """Denies what it can do."""

    def probe(self, cache: Path, workspace: Path) -> str | None:
        return "not today"


@LINK.mutant
class FirstMegabyte(CopyLink):
    """Copies the first megabyte."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        super().link_many(source_dir, sources, target_dir, targets)
        for target in targets:
            if _size(target_dir, target) > 1 << 20:
                _write(target_dir, target, _read(target_dir, target)[: 1 << 20], os.O_TRUNC)


@LINK.mutant
class TextNames(CopyLink):
    """Takes names for UTF-8."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        names = [name.decode("utf-8", "replace").encode() for name in targets]
        super().link_many(source_dir, sources, target_dir, names)


@LINK.mutant
class ClaimsIsolation(HardLink):
    """A hard link that claims to be a copy."""

    name = "copy"
    isolated = True
    keeps_mode = False


@LINK.mutant
class FixedMode(CopyLink):
    """Ignores the umask."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        before = os.umask(0)
        try:
            super().link_many(source_dir, sources, target_dir, targets)
        finally:
            os.umask(before)


@LINK.mutant
class WorkspaceOwns(HardLink):
    """Moves the object into the workspace and links back, so that the object dies with the file."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        super().link_many(source_dir, sources, target_dir, targets)
        for source, target in zip(sources, targets, strict=True):
            path = os.readlink(f"/proc/self/fd/{target_dir}").encode()
            os.unlink(source, dir_fd=source_dir)
            os.symlink(path + b"/" + target, source, dir_fd=source_dir)


@LINK.mutant
class AsksTheObject(HardLink):
    """Cannot say whether a file is linked once the object is gone."""

    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        if not os.access(target, os.F_OK, dir_fd=target_dir):
            return False
        return os.stat(source, dir_fd=source_dir).st_ino == os.stat(target, dir_fd=target_dir).st_ino


@LINK.mutant
class LinkedBySize(HardLink):
    """Takes a file of the same size for a link."""

    def is_linked(self, source_dir: int, source: bytes, target_dir: int, target: bytes) -> bool:
        try:
            return _size(source_dir, source) == _size(target_dir, target)
        except OSError:
            return False


@LINK.mutant
class Replaces(CopyLink):
    """Replaces what is in the place of the target."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        for target in targets:
            if os.access(target, os.F_OK, dir_fd=target_dir):
                os.unlink(target, dir_fd=target_dir)
        super().link_many(source_dir, sources, target_dir, targets)


@LINK.mutant
class MissingIsEmpty(CopyLink):
    """Makes an empty file of an object that is not there."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        for source, target in zip(sources, targets, strict=True):
            if os.access(source, os.F_OK, dir_fd=source_dir):
                super().link_many(source_dir, [source], target_dir, [target])
            else:
                _write(target_dir, target, b"")


@LINK.mutant
class OtherDeviceIsForeign(HardLink):
    """Does not count what it made before it found out that the device is another."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        try:
            super().link_many(source_dir, sources, target_dir, targets)
        except LinkUnsupported as exc:
            exc.done = 1
            raise


@LINK.mutant
class ModeOfObject(CopyLink):
    """Makes the object writable while it is at it."""

    def link_many(self, source_dir: int, sources: Sequence[bytes], target_dir: int, targets: Sequence[bytes]) -> None:
        super().link_many(source_dir, sources, target_dir, targets)
        for source in sources:
            os.chmod(source, 0o644, dir_fd=source_dir)


def _size(folder: int, name: bytes) -> int:
    return os.stat(name, dir_fd=folder).st_size
