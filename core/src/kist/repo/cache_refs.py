"""Refs of a cache: what each repository that uses it needs, so that the gc of one spares the others' objects.

``refs/<repository id>/<worktree>`` is a text: a first line, a line that says where the worktree is, then one root a
line as ``<digest> directory`` or ``<digest> file``; each line but the first ends with a check of what stands before. A
worktree adds lines when it records or brings versions, before a metafile names them; its own gc writes the file anew. A
last line that a kill cut off names nothing that anybody recorded. Where anything else is damaged nobody can tell what
the file protects: gc refuses until its worktree has written it anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kist.engine.gc.roots import GcRoot
from kist.errors import MetafileError, ObjectCorrupt
from kist.model.digest import Digest
from kist.repo.context import RepoContext
from kist.util.atomic import storage_errors, write_all, write_file
from kist.util.json_text import load_json
from kist.util.slotted import slotted

_HEAD = b"kist-cache-refs/1\n"
_WHOLE = re.compile(rb"\S+ (?:directory|file) .{16}", re.DOTALL)
"""What a line begins with that nothing cut off: shorter ones at the end of a file are the rest of a killed write."""

_TORN = b" torn"
"""How the rest of a killed write ends, before the check that it got later."""


def _file(context: RepoContext) -> Path:
    """This worktree's file; each user has an own one, since nobody may write another's."""
    name = hashlib.sha256(os.fsencode(f"{context.place.own}\0{os.geteuid()}")).hexdigest()[:24]
    return context.cache.folder.refs / context.id / name


def _describe(context: RepoContext) -> bytes:
    return _HEAD + _sealed(json.dumps({"root": str(context.root), "host": os.uname().nodename}).encode())


def _line(root: GcRoot) -> bytes:
    return _sealed(f"{root.digest} {'directory' if root.is_directory else 'file'}".encode())


def _check(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest()[:16].encode()


def _sealed(text: bytes) -> bytes:
    """A line with its check."""
    return text + b" " + _check(text) + b"\n"


def record(context: RepoContext, roots: Iterable[GcRoot]) -> None:
    """Add versions that this worktree needs from now on; call it while the cache's ``gc.lock`` is held shared.

    A cache that cannot be written can still be read, by who stores nothing there.

    Args:
        context: the repository.
        roots: the versions.

    Raises:
        StorageError: it cannot be kept.
        ObjectCorrupt: what stands there is damaged; only :func:`replace` mends it.
    """
    path = _file(context)
    if context.cache.root.exists() and not os.access(context.cache.root, os.W_OK):
        return
    known = set(_read(path, context))
    lines = b"".join(_line(root) for root in dict.fromkeys(roots) if root not in known)
    if not lines:
        return
    context.cache.ensure()
    _make_folder(context, path.parent)
    with storage_errors(path):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            data = path.read_bytes()
            if not data.startswith(_HEAD):
                os.ftruncate(descriptor, 0)
                lines = _describe(context) + lines
            write_all(descriptor, _end_of_line(data.rpartition(b"\n")[2]) + lines)
            if context.sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _end_of_line(last: bytes) -> bytes:
    """What a last line without an end needs: the rest of a killed write gets a check too, so that it is no damage."""
    if not last or _HEAD.startswith(last):
        return b""
    return b"\n" if _WHOLE.match(last) else _sealed(last + _TORN)[len(last) :]


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
        ObjectCorrupt: likewise, it is damaged.
    """
    mine = _file(context)
    for owner in owners(context):
        for path in sorted((context.cache.folder.refs / owner).iterdir()):
            if path != mine and not path.name.startswith("."):
                yield from _read(path, context)


def damaged(context: RepoContext) -> tuple[bool, list[ObjectCorrupt]]:
    """Look at all refs of the cache.

    Args:
        context: the repository.

    Returns:
        Whether this worktree's own are damaged, and what is wrong with those of others.

    Raises:
        StorageError: a file cannot be read.
    """
    mine, own, errors = _file(context), False, []
    for owner in owners(context):
        for path in sorted((context.cache.folder.refs / owner).iterdir()):
            if path.name.startswith("."):
                continue
            try:
                _read(path, context)
            except ObjectCorrupt as error:
                own = own or path == mine
                errors += [error] if path != mine else []
    return own, errors


def owners(context: RepoContext) -> list[str]:
    """Ids of the repositories that use the cache."""
    folder = context.cache.folder.refs
    with storage_errors(folder):
        try:
            return sorted(name for name in os.listdir(folder) if (folder / name).is_dir())
        except FileNotFoundError:
            return []


@slotted(frozen=True)
class Place:
    """Another worktree that uses the cache.

    Args:
        file: what it says that it needs.
        root: its folder.
        gone: whether that is a folder of this machine which is not there.
    """

    file: Path
    root: str
    gone: bool


def places(context: RepoContext, owner: str) -> list[Place]:
    """Where the worktrees of a repository are, as far as its files tell; without this one.

    Args:
        context: the repository.
        owner: a repository's id.
    """
    found = []
    for path in sorted((context.cache.folder.refs / owner).iterdir()):
        try:
            facts = _place(path.read_bytes())
            root, host = str(facts["root"]), facts["host"]
        except (OSError, ValueError, KeyError, IndexError, TypeError):
            continue
        if path != _file(context):
            found.append(Place(path, root, host == os.uname().nodename and not os.path.lexists(root)))
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


def _place(data: bytes) -> dict[str, Any]:
    """What a file says of its worktree; raises ValueError or IndexError if it says nothing."""
    found = load_json(data.split(b"\n", 2)[1].rpartition(b" ")[0])
    return found if isinstance(found, dict) else {}


def _read(path: Path, context: RepoContext) -> list[GcRoot]:
    with storage_errors(path):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return []
    try:
        return parse(data)
    except ValueError as exc:
        owner = path.parent.name
        if path == _file(context):
            hint = "'kist doctor --fix' writes it anew"
        else:
            try:
                place = _place(data)
                where = f"in {place['root']} on {place['host']}"
            except (ValueError, IndexError, KeyError):
                where = f"in the worktrees of repository {owner}"
            hint = f"'kist doctor --fix' {where} writes it anew; if all are gone for good: 'kist gc --forget {owner}'"
        name = path.relative_to(context.cache.root)
        where = "the cache, so nobody can tell what that repository needs"
        raise ObjectCorrupt(str(name), actual=str(exc), where=where, hint=hint) from exc


def parse(data: bytes) -> list[GcRoot]:
    """The versions that a file of refs protects.

    Args:
        data: its bytes.

    Returns:
        What stands there, without a last line that a kill cut off.

    Raises:
        ValueError: it is damaged; the text says where.
    """
    if not data.startswith(_HEAD):
        if _HEAD.startswith(data.rstrip(b"\0")):  # nothing, or a first write that was killed
            return []
        raise ValueError("something else in line 1")
    *lines, last = data[len(_HEAD) :].split(b"\n")
    if lines and _WHOLE.match(last):
        lines.append(last)
    found = []
    for number, line in enumerate(lines):
        text, _, check = line.rpartition(b" ")
        if check != _check(text):
            raise ValueError(f"a line {number + 2} whose check does not fit")
        name, _, kind = text.decode("ascii", "replace").partition(" ")
        if number == 0 or text.endswith(_TORN):
            continue
        try:
            if kind not in ("directory", "file"):
                raise ValueError(f"a line {number + 2} of another form")
            found.append(GcRoot(Digest.parse(name), kind == "directory"))
        except MetafileError as exc:
            raise ValueError(f"a line {number + 2} of another form") from exc
    return found
