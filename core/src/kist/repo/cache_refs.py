"""Refs of a cache: what each repository that uses it needs, so that the gc of one spares the others' objects.

``refs/<repository id>/<worktree>`` is a text: a first line, a line that says where the worktree is, then one root a
line as ``<digest> directory`` or ``<digest> file``. A worktree adds lines when it records or brings versions, before a
metafile names them; its own gc writes the file anew. Lines that a kill cut off name nothing that anybody recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from kist.engine.gc.reach import GcRoot
from kist.errors import MetafileError
from kist.model.digest import Digest
from kist.repo.context import RepoContext
from kist.util.atomic import storage_errors, write_all, write_file

_HEAD = b"kist-cache-refs/1\n"


def _file(context: RepoContext) -> Path:
    """This worktree's file; each user has an own one, since nobody may write another's."""
    name = hashlib.sha256(os.fsencode(f"{context.place.own}\0{os.geteuid()}")).hexdigest()[:24]
    return context.cache.folder.refs / context.id / name


def _describe(context: RepoContext) -> bytes:
    return _HEAD + json.dumps({"root": str(context.root), "host": os.uname().nodename}).encode() + b"\n"


def _line(root: GcRoot) -> bytes:
    return f"{root.digest} {'directory' if root.is_directory else 'file'}\n".encode()


def record(context: RepoContext, roots: Iterable[GcRoot]) -> None:
    """Add versions that this worktree needs from now on; call it while the cache's ``gc.lock`` is held shared.

    A cache that cannot be written can still be read, by who stores nothing there.

    Args:
        context: the repository.
        roots: the versions.

    Raises:
        StorageError: it cannot be kept.
    """
    path = _file(context)
    known = set(_read(path))
    lines = b"".join(_line(root) for root in dict.fromkeys(roots) if root not in known)
    if not lines or (context.cache.root.exists() and not os.access(context.cache.root, os.W_OK)):
        return
    context.cache.ensure()
    _make_folder(context, path.parent)
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            size = os.fstat(descriptor).st_size
            torn = size and os.pread(descriptor, 1, size - 1) != b"\n"
            write_all(descriptor, (b"\n" if torn else b"" if size else _describe(context)) + lines)
            if context.sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_folder(context: RepoContext, folder: Path) -> None:
    context.cache.folder.make(folder)


def replace(context: RepoContext, roots: Iterable[GcRoot]) -> None:
    """Say anew what this worktree needs: called by its own gc.

    Args:
        context: the repository.
        roots: all the versions that it keeps.

    Raises:
        StorageError: it cannot be kept.
    """
    path = _file(context)
    context.cache.ensure()
    _make_folder(context, path.parent)
    lines = b"".join(sorted(_line(root) for root in set(roots)))
    write_file(path, _describe(context) + lines, sync=context.sync)


def others(context: RepoContext) -> Iterator[GcRoot]:
    """What all other repositories, worktrees and clones that use the cache need.

    Args:
        context: the repository.

    Raises:
        StorageError: a file cannot be read, so nobody can tell what it protects.
    """
    mine = _file(context)
    for owner in owners(context):
        for path in sorted((context.cache.folder.refs / owner).iterdir()):
            if path != mine and not path.name.startswith("."):
                yield from _read(path)


def owners(context: RepoContext) -> list[str]:
    """Ids of the repositories that use the cache."""
    folder = context.cache.folder.refs
    with storage_errors(folder):
        try:
            return sorted(name for name in os.listdir(folder) if (folder / name).is_dir())
        except FileNotFoundError:
            return []


def places(context: RepoContext, owner: str) -> list[str]:
    """Where the worktrees of a repository are, as far as its files tell."""
    found = []
    for path in sorted((context.cache.folder.refs / owner).iterdir()):
        try:
            found.append(str(json.loads(path.read_bytes().split(b"\n", 2)[1])["root"]))
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue
    return found


def forget(context: RepoContext, owner: str) -> None:
    """Stop sparing what a repository needs that is gone for good.

    Args:
        context: the repository.
        owner: the other one's id, one of :func:`owners`.

    Raises:
        StorageError: its files cannot be removed.
    """
    folder = context.cache.folder.refs / owner
    with storage_errors(folder):
        shutil.rmtree(folder)


def _read(path: Path) -> Iterator[GcRoot]:
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return
    for line in data.split(b"\n")[2:]:
        name, _, kind = line.decode("ascii", "replace").partition(" ")
        if kind not in ("directory", "file"):
            continue
        try:
            yield GcRoot(Digest.parse(name), kind == "directory")
        except MetafileError:
            continue
