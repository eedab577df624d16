"""Choose the link type: the first of the configured order that works between this cache and this workspace."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from kist.abc.link import LinkType
from kist.errors import KistError, LinkUnsupported, StorageError
from kist.util.atomic import discard, storage_error, temp_name, write_file
from kist.util.json_text import load_json
from kist.util.slotted import slotted

_PROBE = b"kist link probe\n"
_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
"""What a disk says of itself, not of links."""


@slotted(frozen=True)
class LinkChoice:
    """The link types to use between one cache and one workspace.

    Attributes:
        plain: for files that are not executable.
        executable: for executable ones: never shares the object's mode.
        notes: what to tell the user about types that do not work; empty when that was told before.
        trouble: why nothing could be tried, so that copies are made for this time.
    """

    plain: LinkType
    executable: LinkType
    notes: tuple[str, ...] = ()
    trouble: StorageError | None = None

    @property
    def always_copies(self) -> bool:
        """Whether no object is linked, so that nothing is recorded in the cache."""
        return self.plain.verified and self.executable.verified


def choose_links(
    order: Sequence[str],
    make: Callable[[str], LinkType],
    places: tuple[Path, Path],
    memory: Path | None = None,
) -> LinkChoice:
    """Choose by the configured order; ``copy`` stands at the end of every order.

    Where a disk is full or fails nothing can be tried: ``copy``, which tells its own troubles, is chosen for this time.

    Args:
        order: names of link types, the preferred one first.
        make: makes a link type by its name.
        places: the cache's folder and the workspace's; both exist.
        memory: a small private file that remembers what was found, so that each pair is probed and told once.

    Returns:
        The choice.

    Raises:
        PluginError: a name that nobody knows.
    """
    try:
        return _choose(list(dict.fromkeys([*order, "copy"])), make, places, memory)
    except StorageError as exc:
        copy = make("copy")
        return LinkChoice(copy, copy, trouble=exc)


def _choose(
    names: Sequence[str], make: Callable[[str], LinkType], places: tuple[Path, Path], memory: Path | None
) -> LinkChoice:
    cache, workspace = places
    key = _key(cache, workspace)
    known = _recall(memory)
    results = {name: reason for name, reason in known.get(key, {}).items() if name in names}
    notes: list[str] = []
    plain: LinkType | None = None
    executable: LinkType | None = None
    for name in names:
        link = make(name)
        wanted = plain is None or (executable is None and not link.keeps_mode)
        if not wanted:
            continue
        if name not in results:
            results[name] = link.probe(cache, workspace)
            if results[name]:
                notes.append(f"{name} does not work between the cache and the workspace: {results[name]}")
        if results[name] is None:
            plain = plain or link
            executable = executable or (None if link.keeps_mode else link)
    if plain is None or executable is None:
        raise LinkUnsupported("no link type works between the cache and the workspace, not even copy")
    if notes:
        notes.append(f"files are made by {plain.name}")
    if results != known.get(key):
        _remember(memory, {**known, key: results})
    return LinkChoice(plain, executable, tuple(notes))


def _key(cache: Path, workspace: Path) -> str:
    # The devices are part of the key: the same path may be mounted from elsewhere tomorrow.
    return json.dumps([str(cache), cache.stat().st_dev, str(workspace), workspace.stat().st_dev])


def _recall(memory: Path | None) -> dict[str, dict[str, str | None]]:
    if memory is None:
        return {}
    try:
        found = load_json(memory.read_bytes())
    except (OSError, ValueError):
        return {}  # Absent or broken: everything is probed again.
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, dict)}


def _remember(memory: Path | None, known: dict[str, dict[str, str | None]]) -> None:
    if memory is None:
        return
    # Only a hint: a folder that cannot be written costs a probe next time, nothing else.
    with contextlib.suppress(KistError, OSError):
        memory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(memory, json.dumps(known, sort_keys=True).encode(), mode=0o600, sync=False)


def probe_with_files(link: LinkType, cache: Path, workspace: Path) -> str | None:
    """Try a link type with a small file of its own in each folder; both are removed again.

    Args:
        link: what to try.
        cache: an existing folder.
        workspace: another one.

    Returns:
        None if it works, else why not.

    Raises:
        StorageError: the disk is full or fails, which tells nothing about the link type.
    """
    source, target = (os.fsencode(temp_name("probe")) for _ in range(2))
    try:
        source_dir = os.open(cache, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            target_dir = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return _try_link(link, (source_dir, source), (target_dir, target))
            finally:
                discard(target, target_dir)
                discard(source, source_dir)
                os.close(target_dir)
        finally:
            os.close(source_dir)
    except StorageError as exc:
        if exc.errno in _TROUBLE:
            raise
        return exc.message
    except KistError as exc:
        return exc.message
    except OSError as exc:
        if exc.errno in _TROUBLE:
            raise storage_error(exc, cache) from exc
        return exc.strerror or str(exc)


def _try_link(link: LinkType, source: tuple[int, bytes], target: tuple[int, bytes]) -> str | None:
    descriptor = os.open(source[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o444, dir_fd=source[0])
    try:
        os.write(descriptor, _PROBE)
    finally:
        os.close(descriptor)
    link.link_many(source[0], [source[1]], target[0], [target[1]])
    descriptor = os.open(target[1], os.O_RDONLY, dir_fd=target[0])
    try:
        return None if os.read(descriptor, 100) == _PROBE else "the link does not show the object's bytes"
    finally:
        os.close(descriptor)
