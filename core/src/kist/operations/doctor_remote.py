"""Try what a remote must be able to do, with one object that is removed again; look at its indexes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

from kist.abc.remote import Remote
from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import FORMAT_KEY, RemoteStore
from kist.errors import KistError, RemoteMissing, RemoteObjectNotFound
from kist.model.report import Finding
from kist.repo.context import RepoContext
from kist.repo.remotes import OpenRemote, open_remote
from kist.repo.trust import needs_trust
from kist.util.units import show_count

_LARGE = 12 << 20
"""Bytes of a large object: more than the 5 to 8 MiB from which backends use multi-part uploads or sessions."""

_CONTENT = b"kist doctor: this object may be deleted\n"


def probe(context: RepoContext, name: str, *, fix: bool = False, dry_run: bool = False) -> Iterator[Finding]:
    """Try a remote.

    Args:
        context: the repository.
        name: the remote's name.
        fix: forget a place that is gone.
        dry_run: write nothing there, so try only to read.

    Yields:
        How it is reached, and one finding for each of write, read, range, list and delete, with its time.

    Raises:
        ConfigError: no such remote.
        PluginNotFound: no plugin for its scheme.
    """
    label = f"remote {name}"
    opened = open_remote(context, name)
    opened.store.hints.frozen = dry_run
    try:
        remote = opened.store.remote
        for what, text in remote.describe_access():
            yield Finding(f"{label}: {what}", "ok", text)
        if needs_trust(context.config, name):
            yield _trust(label, opened)
        try:
            if opened.store.open():
                yield Finding(f"{label}: format", "ok", "holds versions")
            else:
                yield Finding(f"{label}: format", "ok", "is empty so far")
        except RemoteMissing as error:
            if fix:
                opened.store.hints.clear()
            if not opened.store.hints.empty:
                detail = f"{error}, but there was when it was last used from here"
                hint = f"{error.hint} If it is gone for good: kist doctor --fix --remote {name}"
                yield Finding(f"{label}: format", "error", detail, hint)
                return
            yield Finding(f"{label}: format", "note", f"{error}; it was never used from here", error.hint)
        except KistError as error:  # where something else lies, nothing is tried either
            yield Finding(f"{label}: format", "error", str(error), error.hint)
            return
        yield from _indexes(label, context, opened, fix)
        if dry_run:
            yield from (_tried(f"{label}: {what}", step) for what, step in _reading_steps(opened.store))
            yield Finding(f"{label}: write, large object, delete", "note", "not tried: a dry run writes nothing")
            return
        key = f"tmp/kist-doctor-{os.urandom(6).hex()}"
        try:
            yield from _steps(label, opened.store, key)
        finally:
            _forget(remote, key)
        if fix:
            yield from _left_overs(label, remote)
    finally:
        opened.close()


def _trust(label: str, opened: OpenRemote) -> Finding:
    """Whether the user agreed to the place that only the tracked configuration names."""
    text = "only the tracked configuration names it"
    if opened.trusted:
        return Finding(f"{label}: trust", "ok", f"{text}; you trust it")
    return Finding(f"{label}: trust", "note", text, f"kist remote trust {opened.name}")


def _indexes(label: str, context: RepoContext, opened: OpenRemote, fix: bool) -> Iterator[Finding]:
    """Whether every index that a version there needs is there and undamaged."""
    from kist.engine.transfer.index_repair import check_indexes

    try:
        if not opened.store.open(new=True):
            return
        found = check_indexes(opened.store, opened.store.workers(context.jobs), mend=fix)
    except KistError as error:
        yield Finding(f"{label}: indexes", "note", f"could not be checked: {error}", error.hint)
        return
    if not found.bad:
        yield Finding(f"{label}: indexes", "ok", show_count(found.checked, "index file"))
    elif found.mended:
        yield Finding(f"{label}: indexes", "ok", f"mended: {found.mended} were lost or damaged")
    else:
        detail = f"{len(found.bad)} of {show_count(found.checked, 'index file')} lost or damaged"
        yield Finding(f"{label}: indexes", "error", detail, f"kist doctor --fix --remote {opened.name}")


def _left_overs(label: str, remote: Remote) -> Iterator[Finding]:
    """Remove what killed transfers left."""
    try:
        removed = remote.sweep()
    except KistError as error:
        yield Finding(f"{label}: left-overs", "note", f"could not be removed: {error}", error.hint)
        return
    yield Finding(f"{label}: left-overs", "ok", f"mended: {removed} of killed transfers removed" if removed else "none")


_Steps = tuple[tuple[str, Callable[[], str | None]], ...]


def _steps(label: str, store: RemoteStore, key: str) -> Iterator[Finding]:
    remote = store.remote
    steps: _Steps = (
        ("write", lambda: remote.put_bytes(key, _CONTENT)),
        ("read", lambda: _differs(objects.get_bytes(remote, key), _CONTENT)),
        ("range", lambda: _differs(objects.get_range(remote, key, 5, 6), _CONTENT[5:11])),
        ("size", lambda: _differs(remote.stat(key).size, len(_CONTENT))),
        ("list", lambda: _differs([one.key for one in remote.list(key)], [key])),
        ("large object", lambda: _large(remote, key)),
        *((("any key", lambda: _any_key(remote, key)),) if remote.capabilities.any_key else ()),
        ("delete", lambda: _deleted(remote, key)),
    )
    written = _tried(f"{label}: {steps[0][0]}", steps[0][1])
    yield written
    rest = steps[1:] if written.state == "ok" else _reading_steps(store)
    for what, step in rest:
        yield _tried(f"{label}: {what}", step)
    if written.state != "ok":
        text = "not tried, since nothing can be written"
        yield Finding(f"{label}: large object, delete", "note", text)


def _reading_steps(store: RemoteStore) -> _Steps:
    """What somebody who may only read can do, with the one object that a remote of ours has in any case."""
    remote, key = store.remote, FORMAT_KEY
    listing: _Steps = (("list", lambda: _listed(remote)),)
    try:
        content = objects.get_bytes(remote, key)
    except KistError:
        return listing
    return (
        ("read", lambda: _differs(objects.get_bytes(remote, key), content)),
        ("range", lambda: _differs(objects.get_range(remote, key, 5, 6), content[5:11])),
        ("size", lambda: _differs(remote.stat(key).size, len(content))),
        *listing,
    )


def _listed(remote: Remote) -> None:
    """Ask for the first page of all keys."""
    next(iter(remote.list("")), None)


def _tried(label: str, step: Callable[[], str | None]) -> Finding:
    """Do one step, and say how long it took or what is wrong."""
    began = time.monotonic()
    try:
        wrong = step()
    except KistError as error:
        return Finding(label, "error", str(error), error.hint)
    took = f"{1000 * (time.monotonic() - began):.0f} ms"
    return Finding(label, "error" if wrong else "ok", wrong or took)


def _any_key(remote: Remote, key: str) -> str | None:
    """Use a key that only a remote which declares to take any can have: imports and foreign layouts rely on it."""
    odd = f"{key} Ünd mehr"
    try:
        remote.put_bytes(odd, _CONTENT)
        return _differs(objects.get_bytes(remote, odd), _CONTENT)
    finally:
        _forget(remote, odd)


def _large(remote: Remote, key: str) -> str | None:
    """Replace the object by one of the size from which backends send parts, and read its beginning, middle and end."""
    content = os.urandom(1 << 16) * (_LARGE >> 16)
    remote.put_bytes(key, content)
    for start in (0, _LARGE // 2, _LARGE - 4096):
        if objects.get_range(remote, key, start, 4096) != content[start : start + 4096]:
            return f"other bytes came from byte {start} on"
    return _differs(remote.stat(key).size, _LARGE)


def _differs(found: object, wanted: object) -> str | None:
    return None if found == wanted else f"gave {found!r:.80} instead of {wanted!r:.80}"


def _deleted(remote: Remote, key: str) -> str | None:
    remote.delete(key)
    try:
        remote.stat(key)
    except RemoteObjectNotFound:
        return None
    return "the object is still there"


def _forget(remote: Remote, key: str) -> None:
    try:
        remote.delete(key)
    except KistError:
        return
