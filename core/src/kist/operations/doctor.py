"""doctor: look at everything that can be wrong with this machine or repository, and mend what can be mended."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from kist.engine.cache.check import quarantined
from kist.engine.cache.mend import unindexed
from kist.engine.process.clock import FileClock
from kist.engine.process.locks import find_holder, has_flock
from kist.errors import KistError, NotARepo
from kist.model.report import Finding
from kist.operations.doctor_git import ignore_rules
from kist.operations.doctor_links import links
from kist.operations.doctor_plugins import executor, installed, kernel, told_by_plugins
from kist.operations.needs import check_refs
from kist.plugins.blame import plugin_defect
from kist.repo import gitignore
from kist.repo.context import RepoContext
from kist.repo.git_program import program_version
from kist.util.atomic import storage_errors
from kist.util.paths import display
from kist.util.units import show_count, show_duration, show_size
from kist.util.version import VERSION

_SKEW = 2.0
"""Seconds between the machine's clock and a file system's that are worth a warning."""

_LITTLE_SPACE = 1 << 30
_REPAIR = "kist doctor --fix"

Check = Callable[[RepoContext], Iterable[Finding]]
Mender = Callable[[RepoContext, bool], Iterable[Finding]]
"""A check that can also mend what it finds."""


def doctor(
    opened: RepoContext | KistError, *, remote: str | None = None, fix: bool = False, dry_run: bool = False
) -> Iterator[Finding]:
    """Look at everything.

    Args:
        opened: the repository, or why there is none to look at.
        remote: also write to, read from, list and delete on this remote.
        fix: mend what can be made anew without losing anything: indexes, fingerprints, left-overs of killed commands.
        dry_run: change nothing at all, whatever *fix* says, and write no trial object to the remote.

    Yields:
        Findings; a check that fails is one of them, in state error.
    """
    fix = fix and not dry_run
    context = None if isinstance(opened, KistError) else opened
    yield from _guarded("versions", _versions)
    yield from _guarded("plugins", lambda: installed(context))
    yield from _guarded("kernel", lambda: kernel(context))
    yield from _guarded("executor", lambda: executor(context))
    if isinstance(opened, NotARepo):
        yield Finding("repository", "note", "the current folder belongs to none", "kist init")
    elif isinstance(opened, KistError):
        yield Finding("repository", "error", str(opened), opened.hint)
    else:
        for label, mender in _MENDERS:
            yield from _guarded(label, partial(mender, opened, fix))
        for label, check in _CHECKS:
            yield from _guarded(label, partial(check, opened))
        yield from _guarded("remotes", lambda: _remotes(opened))
        if remote is not None:
            from kist.operations.doctor_remote import probe

            yield from _guarded(f"remote {remote}", lambda: probe(opened, remote, fix=fix, dry_run=dry_run))
    yield from told_by_plugins(context)


def _guarded(label: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """A check's findings; what it raises is one too, so that one thing that is broken hides no other."""
    try:
        yield from check()
    except KistError as error:
        yield Finding(label, "error", str(error), error.hint)
    except Exception as error:
        if defect := plugin_defect(error):
            yield Finding(label, "error", str(defect), defect.hint)
        elif isinstance(error, OSError):
            yield Finding(label, "error", f"{error.filename or label}: {error.strerror or error}")
        else:
            raise


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _versions() -> Iterator[Finding]:
    yield Finding("kist", "ok", VERSION)
    yield Finding("python", "ok", f"{platform.python_version()} ({sys.executable})")
    yield Finding("platform", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")
    git = program_version()
    if git is None:
        yield Finding("git", "note", "not installed: history, --rev and ignore rules are not available", "install Git")
    else:
        yield Finding("git", "ok", git)


# ── the repository ───────────────────────────────────────────────────────────────────────────────────────────────────


def _repository(context: RepoContext, fix: bool) -> Iterator[Finding]:
    place = context.place
    inside = "inside Git" if place.git else "without Git"
    named = f"id {context.id}" if context.id else "without an id so far"
    yield Finding("repository", "ok", f"{display(str(context.root))} ({inside}), {named}")
    if place.waiting is not None:
        yield Finding("private folder", "note", "it is from before Git came; the next writing command moves it")
    if place.shared.is_dir():
        mode = stat.S_IMODE(place.shared.stat().st_mode)
        if mode & 0o077:
            if fix:
                place.shared.chmod(0o700)
            state, text = ("ok", "mended: ") if fix else ("warning", "")
            detail = f"{text}{display(str(place.shared))} was open to others (mode {mode:04o})"
            yield Finding("private folder", state, detail, None if fix else _REPAIR)
        else:
            yield Finding("private folder", "ok", display(str(place.shared)))


def _configuration(context: RepoContext) -> Iterator[Finding]:
    for warning in context.config.warnings:
        yield Finding("configuration", "warning", warning)
    if context.config.get("core.fsync") == "off":
        yield Finding(
            "configuration",
            "warning",
            "core.fsync is off: a power cut can lose what add has just said is saved",
            "kist config --local core.fsync batch",
        )
    if not context.config.warnings:
        yield Finding("configuration", "ok", "no problems")


def _metafiles(context: RepoContext) -> Iterator[Finding]:
    before = len(context.problems)
    tracked = context.tracked()
    problems = context.problems[before:]
    del context.problems[before:]
    for error in problems:
        yield Finding("metafiles", "error", str(error), error.hint)
    if not problems:
        yield Finding("metafiles", "ok", f"{show_count(len(tracked), 'tracked output')}")
    if context.git is None or not tracked:
        return
    for metafile, rule in gitignore.hiding_rules(context.root, sorted({one.metafile for one in tracked})).items():
        yield Finding(
            "git ignore rules",
            "warning",
            f"{metafile} would not be committed: {rule} hides it",
            f"git add -f {metafile}, or change that rule",
        )
    held = context.git.tracked([os.fsencode(one.path) for one in tracked])
    for path in held[:20]:
        text = display(path)
        yield Finding("git", "warning", f"Git tracks {text} too", f"git rm -r --cached {text}")


def _cache(context: RepoContext, fix: bool) -> Iterator[Finding]:
    cache = context.cache
    if not cache.root.is_dir():
        yield Finding("cache", "ok", f"{display(str(cache.root))}: empty so far")
        return
    cache.catalog.refresh(force=True)
    shared = ", shared" if context.config.get("cache.shared") == "group" else ""
    yield Finding("cache", "ok", f"{display(str(cache.root))}: {show_count(len(cache.catalog.packs), 'pack')}{shared}")
    broken = len(cache.catalog.damaged_indexes) + len(cache.catalog.broken)
    indexes = len(cache.folder.index_ids())
    lost = bool(cache.catalog.packs) and not indexes
    hidden = 0 if broken or lost else unindexed(cache)
    if broken or lost or hidden:
        what = f"{broken} indexes or packs cannot be read" if broken else "the indexes are lost"
        what = f"{show_count(hidden, 'object')} of packs are in no index" if hidden else what
        if fix:
            with context.writing():
                count = cache.rebuild_indexes()
            yield Finding("cache indexes", "ok", f"mended: {what}; made anew from {show_count(count, 'pack')}")
        else:
            yield Finding("cache indexes", "warning" if lost else "error", what, _REPAIR)
    else:
        yield Finding("cache indexes", "ok", f"{show_count(indexes, 'index file')}")
    yield from _set_aside(context, fix)
    if not os.access(cache.root, os.W_OK):
        yield Finding("cache", "warning", "it cannot be written", "check the owner and the mode")


def _set_aside(context: RepoContext, fix: bool) -> Iterator[Finding]:
    """Damaged objects in the quarantine: of use only while the cache has no other copy."""
    folder = context.cache.folder
    names = os.listdir(folder.quarantine) if folder.quarantine.is_dir() else []
    if not names:
        return
    what = show_count(len(names), "damaged object was", "damaged objects were") + " set aside"
    if not all(map(context.cache.has, quarantined(folder))):
        yield Finding("quarantine", "warning", what, "kist verify --repair")
        return
    useless = [name for name in names if name.startswith("loose-")]
    if fix and useless:
        with storage_errors(folder.quarantine):
            for name in useless:
                (folder.quarantine / name).unlink(missing_ok=True)
        yield Finding(
            "quarantine", "ok", f"mended: deleted {show_count(len(useless), 'damaged copy', 'damaged copies')}"
        )
    else:
        yield Finding("quarantine", "note", f"{what}; the cache has another copy of each", _REPAIR if useless else None)


def _space(context: RepoContext) -> Iterator[Finding]:
    for label, folder in (("workspace", context.root), ("cache", context.cache_folder)):
        there = next((one for one in (folder, *folder.parents) if one.exists()), folder)
        free = shutil.disk_usage(there).free
        state = "warning" if free < _LITTLE_SPACE else "ok"
        yield Finding(f"free space, {label}", state, show_size(free), "kist gc" if state == "warning" else None)


def _fingerprints(context: RepoContext, fix: bool) -> Iterator[Finding]:
    import sqlite3

    path = context.place.fingerprints
    if not path.exists():
        yield Finding("fingerprints", "ok", "none yet")
        return
    try:
        reader = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=0.5)
        try:
            (answer,) = reader.execute("PRAGMA quick_check(1)").fetchone()
        finally:
            reader.close()
    except sqlite3.OperationalError as error:
        yield Finding("fingerprints", "note", f"cannot be read now: {error}")
        return
    except sqlite3.DatabaseError as error:
        answer = str(error)
    if answer == "ok":
        yield Finding("fingerprints", "ok", show_size(path.stat().st_size))
    elif fix:
        for suffix in ("", "-journal", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        yield Finding("fingerprints", "ok", "mended: they were damaged and are made anew by the next command")
    else:
        yield Finding("fingerprints", "error", f"damaged: {answer}", _REPAIR)


def _clock(context: RepoContext) -> Iterator[Finding]:
    if not os.access(context.root, os.W_OK):
        return
    descriptor = os.open(context.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        theirs = FileClock().at(descriptor)
    finally:
        os.close(descriptor)
    if theirs is None:
        yield Finding("clock", "note", "the workspace's file system tells no time: fresh files are always read")
        return
    skew = theirs / 1e9 - time.time()
    if abs(skew) > _SKEW:
        yield Finding(
            "clock",
            "warning",
            f"the workspace's file system is {show_duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} "
            "this machine",
            "set the clocks by NTP",
        )
    else:
        yield Finding("clock", "ok", "this machine and the workspace's file system agree")


def _locks(context: RepoContext) -> Iterator[Finding]:
    folder = context.place.locks
    if not folder.is_dir():
        yield Finding("locks", "ok", "none yet")
        return
    places = {"repository": folder, "cache": context.cache_folder}
    lacking = [name for name, place in places.items() if os.access(place, os.W_OK | os.X_OK) and not has_flock(place)]
    if lacking:
        where = " and of the ".join(lacking)
        detail = f"the file system of the {where} has no kernel locks: lease files with a heartbeat are used"
        yield Finding("locks", "note", detail)
    else:
        yield Finding("locks", "ok", "kernel locks")
    for path in (context.place.own / "write.lock", context.cache_folder / "gc.lock"):
        holder = find_holder(path) if path.exists() else None
        if holder is not None:
            yield Finding("locks", "note", f"{path.name} is held by {holder.describe()} since {holder.when()}")


def _left_overs(context: RepoContext, fix: bool) -> Iterator[Finding]:
    writer = find_holder(context.place.own / "write.lock")
    if writer is not None and not fix and not has_flock(context.place.locks):
        detail = f"{writer.describe()} is at work, and without kernel locks its journal looks like that of a killed one"
        yield Finding("journal", "note", detail)
        return
    records = []
    for record in context.journal.pending():
        records.append(str(record.header.get("verb", "a command")))
        record.release()
    if fix:
        with context.writing():
            pass
        if records:
            yield Finding(
                "journal", "ok", f"mended: finished {show_count(len(records), 'killed command')} ({', '.join(records)})"
            )
    elif records:
        names = ", ".join(records)
        what = show_count(len(records), "killed command is", "killed commands are")
        detail = f"{what} not finished ({names}); the next writing command does it"
        yield Finding("journal", "warning", detail, _REPAIR)
    if not records:
        yield Finding("journal", "ok", "nothing pending")


def _trash(context: RepoContext) -> Iterator[Finding]:
    entries = context.trash.list()
    if not entries:
        yield Finding("trash", "ok", "empty")
        return
    keep = float(context.config.get("trash.keep"))
    old = sum(entry.when < time.time() - keep for entry in entries)
    detail = f"{show_count(len(entries), 'entry', 'entries')}, {show_size(sum(entry.size for entry in entries))}"
    if old:
        yield Finding("trash", "note", f"{detail}, {old} older than {show_duration(keep)}", "kist trash empty")
    else:
        yield Finding("trash", "ok", detail)


def _remotes(context: RepoContext) -> Iterator[Finding]:
    from kist.operations.remote import list_remotes

    for one in list_remotes(context):
        default = " (default)" if one.default else ""
        yield Finding(f"remote {one.name}", "ok", f"{one.url}{default}; 'kist doctor --remote {one.name}' tries it")


_MENDERS: tuple[tuple[str, Mender], ...] = (
    ("repository", _repository),
    ("cache", _cache),
    ("cache refs", check_refs),
    ("fingerprints", _fingerprints),
    ("journal", _left_overs),
    ("git ignore rules", ignore_rules),
)
_CHECKS: tuple[tuple[str, Check], ...] = (
    ("configuration", _configuration),
    ("metafiles", _metafiles),
    ("free space", _space),
    ("links", links),
    ("clock", _clock),
    ("locks", _locks),
    ("trash", _trash),
)
