"""Find, load and save the metafiles of a repository through its metafile formats."""

from __future__ import annotations

import errno
import fnmatch
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from kist.abc.metafile import MetafileFormat
from kist.errors import KistError, MetafileError
from kist.model.tracked import Metafile, TrackedOutput
from kist.util.atomic import storage_errors
from kist.util.slotted import slotted


@slotted(frozen=True)
class Tracked:
    """One tracked output with the metafile that describes it.

    Args:
        metafile: path of the metafile, relative to the repository, ``/``-separated text.
        path: path of the output, relative to the repository.
        output: what the metafile says of it.
        document: the whole metafile.
        data: the metafile's bytes as they were read.
    """

    metafile: str
    path: str
    output: TrackedOutput
    document: Metafile
    data: bytes


class _Formats(Protocol):
    """What this module needs of a repository."""

    @property
    def root(self) -> Path:
        """The repository's folder."""

    @property
    def formats(self) -> Sequence[MetafileFormat]:
        """Its metafile formats, the one for new outputs first."""

    @property
    def markers(self) -> frozenset[str]:
        """Names whose presence makes a folder a repository of its own."""


_LARGEST = 4 << 20  # more is refused by every format


def format_of(formats: Iterable[MetafileFormat], name: str) -> MetafileFormat | None:
    """The format that reads a file of this name, None if it is no metafile."""
    for one in formats:
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in one.patterns):
            return one
    return None


def parse(formats: Iterable[MetafileFormat], metafile: str, data: bytes) -> list[Tracked]:
    """What the bytes of a metafile say.

    Raises:
        MetafileError: they are no valid metafile.
    """
    form = format_of(formats, posixpath.basename(metafile))
    if form is None:
        raise MetafileError(f"{metafile} is not the name of a metafile", path=metafile)
    if len(data) > form.max_size:
        raise MetafileError(f"{metafile} is too large for a metafile ({len(data)} bytes)", path=metafile)
    document = form.loads(data, metafile)
    folder = posixpath.dirname(metafile)
    return [
        Tracked(metafile, posixpath.join(folder, output.path), output, document, data) for output in document.outputs
    ]


def check_alone(tracked: Tracked) -> None:
    """Refuse to change a metafile that describes several outputs: what is written describes one.

    Raises:
        MetafileError: there are others in it, which would be lost.
    """
    if len(tracked.document.outputs) > 1:
        raise MetafileError(
            f"{tracked.metafile} describes {len(tracked.document.outputs)} outputs together, and kist changes only "
            "metafiles of one",
            path=tracked.metafile,
            hint="change it with the tool that wrote it",
        )


def has_conflict(data: bytes) -> bool:
    """Whether Git's marks of a conflict stand in a text."""
    return all(any(line.startswith(mark) for line in data.splitlines()) for mark in (b"<<<<<<< ", b">>>>>>> "))


def read(repo: _Formats, metafile: str) -> bytes:
    """The bytes of one metafile of the workspace, one more than allowed of one that is too long.

    Raises:
        MetafileError: it is no regular file.
        StorageError: it cannot be read.
    """
    path = os.path.join(repo.root, metafile)
    with storage_errors(path):
        if not stat.S_ISREG(os.lstat(path).st_mode):  # a FIFO or device is never opened
            raise MetafileError(f"{metafile} is not a regular file", path=metafile, hint="take it from Git again")
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            return stream.read(min(os.fstat(descriptor).st_size, _LARGEST) + 1)


def bytes_if_present(repo: _Formats, metafile: str) -> bytes | None:
    """The bytes of one metafile, None where there is none.

    Raises:
        MetafileError: it is no regular file.
        StorageError: it cannot be read.
    """
    return read(repo, metafile) if os.path.lexists(os.path.join(repo.root, metafile)) else None


def load(repo: _Formats, metafile: str) -> list[Tracked]:
    """Read one metafile of the workspace.

    Raises:
        MetafileError: it is no valid metafile, or no regular file.
        StorageError: it cannot be read.
    """
    return _parsed(repo, metafile, read(repo, metafile))


def load_if_present(repo: _Formats, metafile: str, *, known: Tracked | None = None) -> list[Tracked]:
    """Read one metafile, [] where there is none.

    Args:
        repo: the repository.
        metafile: its path.
        known: the one output that it had when it was read before, taken for what it says if its bytes are the same.

    Raises:
        MetafileError: it is no valid metafile, or no regular file.
        StorageError: it cannot be read.
    """
    data = bytes_if_present(repo, metafile)
    if data is None:
        return []
    if known is not None and known.metafile == metafile and known.data == data and len(known.document.outputs) == 1:
        return [known]
    return _parsed(repo, metafile, data)


def _parsed(repo: _Formats, metafile: str, data: bytes) -> list[Tracked]:
    try:
        return parse(repo.formats, metafile, data)
    except MetafileError as error:
        if has_conflict(data):
            again = f"'git checkout -m {metafile}' first, or 'git checkout HEAD^ {metafile}' for what it was before"
            hint = f"'kist resolve {metafile}' merges both sides; where Git takes it for resolved already, {again}"
            raise MetafileError(f"{metafile} has a conflict that Git left", path=metafile, hint=hint) from error
        error.hint = error.hint or "mend the file, or take it from Git again"
        raise


def find(repo: _Formats, folder: str = "", *, skip: frozenset[bytes] = frozenset()) -> Iterator[str]:
    """Paths of all metafiles below a folder of the workspace, sorted in each folder.

    Tracked directories are not entered (the metafile beside them tells), nor other repositories inside this one.

    Args:
        repo: the repository.
        folder: where to begin, relative to the repository.
        skip: names of folders that are never entered.
    """
    suffixes = tuple(pattern[1:] for one in repo.formats for pattern in one.patterns if pattern.startswith("*"))
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(repo.root / here) as entries:
                listed = list(entries)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            continue
        except OSError as exc:
            if exc.errno != errno.ENAMETOOLONG:
                raise
            continue  # no path leads there that could be given to anything
        names = {entry.name for entry in listed}
        if here != folder and names & repo.markers:
            continue
        found = sorted(
            entry.name
            for entry in listed
            if entry.name.endswith(suffixes)
            and format_of(repo.formats, entry.name)
            and not entry.is_dir(follow_symlinks=False)
        )
        tracked = {name[: -len(suffix)] for name in found for suffix in suffixes if name.endswith(suffix)}
        for name in found:
            yield posixpath.join(here, name)
        waiting += sorted(
            (
                posixpath.join(here, entry.name)
                for entry in listed
                if entry.is_dir(follow_symlinks=False)  # first: most are files
                and entry.name not in tracked
                and os.fsencode(entry.name) not in skip
            ),
            reverse=True,
        )


def load_all(repo: _Formats, metafiles: Iterable[str], problems: list[KistError] | None = None) -> list[Tracked]:
    """Read many metafiles.

    Args:
        repo: the repository.
        metafiles: their paths.
        problems: receives the errors of broken ones, which then hide no other; None: the first one is raised.
    """
    loaded: list[Tracked] = []
    for metafile in metafiles:
        try:
            loaded += load(repo, metafile)
        except KistError as error:
            if problems is None:
                raise
            problems.append(error)
    return loaded


def dumps(repo: _Formats, metafile: str, document: Metafile, previous: bytes | None) -> bytes:
    """The bytes of a metafile.

    Args:
        repo: the repository.
        metafile: its path.
        document: what it shall say.
        previous: bytes whose comments, order and unknown keys are kept; None for a new one.
    """
    form = format_of(repo.formats, posixpath.basename(metafile)) or repo.formats[0]
    return form.dumps(document, previous)


def save(repo: _Formats, metafile: str, document: Metafile, previous: bytes | None, *, sync: str, token: str) -> None:
    """Write one metafile, unless it has these bytes already.

    Args:
        repo: the repository.
        metafile: its path.
        document: what it shall say.
        previous: its bytes now, edited in place; None for a new one.
        sync: how to wait for the disk: ``core.fsync``.
        token: who writes, for the temporary name.
    """
    save_many(repo, [(metafile, document, previous)], sync=sync, token=token)


def save_many(repo: _Formats, changes: Iterable[tuple[str, Metafile, bytes | None]], *, sync: str, token: str) -> None:
    """Write metafiles, each in one step, and wait for the disk once; those that have their bytes already stay.

    Args:
        repo: the repository.
        changes: path, what it shall say, and its bytes now: see :func:`save`.
        sync: how to wait for the disk: ``core.fsync``.
        token: who writes, for the temporary names.
    """
    from kist.engine.process.syncing import replace_files

    files: dict[Path, bytes] = {}
    for metafile, document, previous in changes:
        data = dumps(repo, metafile, document, previous)
        path = repo.root / metafile
        if data != previous or not os.path.lexists(path):  # a moved one may keep its bytes
            files[path] = data
    replace_files(files, mode=sync, token=token)
