"""Apply a checkout plan: refuse whole before the first change, or do all of it so that a kill loses nothing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kist.engine.checkout.checks import (
    check_case,
    check_names,
    check_space,
    check_unsaved,
    drop_missing,
    full_path,
    missing_report,
    survey,
)
from kist.engine.checkout.contents import set_executable
from kist.engine.checkout.displace import Trash
from kist.engine.checkout.guard import Guard
from kist.engine.checkout.plan import CheckoutPlan, merged, pick
from kist.engine.checkout.rows import child_folders
from kist.engine.checkout.tools import CheckoutTools
from kist.engine.checkout.write import FileWriter, group_by_folder
from kist.engine.process.journal import JournalRecord
from kist.engine.workspace.folders import (
    Folders,
    lstat_or_none,
    name_of,
    parent_of,
    remove_if_empty,
    sweep_temporaries,
    with_ancestors,
)
from kist.errors import PathConflict, StorageError
from kist.model.columns import Columns
from kist.model.entry import DIRECTORY, EXECUTABLE
from kist.model.report import CheckoutReport
from kist.util.atomic import DENIED, storage_error, storage_errors
from kist.util.paths import display


def apply_checkout(
    root: Path,
    output: bytes,
    plan: CheckoutPlan,
    tools: CheckoutTools,
    *,
    intent: Mapping[str, Any],
    force: bool = False,
) -> CheckoutReport:
    """Make a workspace directory what the plan says.

    Args:
        root: the repository's folder.
        output: the directory, relative to it; b"" for the repository itself.
        plan: what must change; it is used up.
        tools: what a checkout works with.
        intent: what the journal says, JSON values: ``verb``, ``output``, ``target`` and whatever the next command
            needs to plan it again. With ``remove_root`` true the directory itself goes when it is empty.
        force: move unsaved work to the trash rather than refuse.

    Returns:
        What was done. Objects that are missing or damaged are left out and listed.

    Raises:
        UnsavedChanges: work would be lost; nothing was changed.
        PathConflict: a symlink, special file or unknown folder stands in the way, or names clash by case.
        MetafileError: a name in the manifest is not allowed; nothing was changed.
        StorageError: no room (nothing was changed), or the disk fails on the way: the journal keeps the intent. Where
            the system forbids a change, the rest is given up: that will not be right by itself.
    """
    check_names(plan)
    with storage_errors(root):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _Checkout(descriptor, output, plan, tools).run(intent, force=force)
    finally:
        os.close(descriptor)


class _Checkout:
    """One checkout of one directory."""

    def __init__(self, root: int, output: bytes, plan: CheckoutPlan, tools: CheckoutTools) -> None:
        self.root, self.output, self.plan, self.tools = root, output, plan, tools
        self.guard = Guard(plan, tools.hasher.new, os.fsencode(tools.objects.root))
        self.algorithm = tools.hasher.name
        self.deleted = 0
        self.spared: list[bytes] = []
        self.trashed: list[str] = []

    def run(self, intent: Mapping[str, Any], *, force: bool) -> CheckoutReport:
        """Check everything, then do it."""
        plan, tools = self.plan, self.tools
        check_unsaved(self.output, plan, force=force)
        self._check_modes()
        missing = drop_missing(plan, tools.objects)
        wanted = merged(plan.create, plan.replace)
        check_case(self.root, wanted)
        with Folders(self.root) as folders:
            strangers = survey(_Below(folders, self.output), self.output, plan, force=force)
        linked_from = None if tools.links.plain.verified else tools.small
        check_space(self.root, plan, linked_from=linked_from, ready=tools.objects.copies.ready(self.algorithm))
        if not plan and self._root_is_right(intent):
            return self._report(missing, None)
        self.guard = Guard(plan, tools.hasher.new, os.fsencode(tools.objects.root))
        groups = group_by_folder(wanted.paths)
        reach = with_ancestors(list(groups))
        # Where temporary files may stand: all folders that are written, those above, and the repository itself.
        data = b"\0".join([b"", parent_of(self.output), *sorted(full_path(self.output, folder) for folder in reach)])
        record = tools.journal.begin({**intent, "force": force}, data, token=tools.token)
        with record:
            writer = FileWriter(tools, (self.root, self.output), wanted, self.guard, record.token)
            tools.progress.start("checkout", total=sum(wanted.sizes))
            try:
                self._change(writer, groups, reach, [*plan.unsaved, *strangers])
                self._settle_root(intent)
            except BaseException as exc:
                self._clean_up(record, data)
                error = storage_error(exc) if isinstance(exc, OSError) else exc
                if isinstance(error, StorageError) and error.errno in DENIED:
                    record.done()
                if error is not exc:
                    raise error from exc
                raise
            finally:
                writer.close()
                tools.progress.finish()
        return self._report(missing, writer)

    def _change(
        self, writer: FileWriter, groups: dict[bytes, list[range]], reach: set[bytes], displaced: list[bytes]
    ) -> None:
        """All changes, in the order in which a kill between any two loses nothing."""
        plan = self.plan
        self._displace(displaced)
        blocking = [path in plan.blocking for path in plan.delete.paths]
        self._set_modes()
        self._remove(pick(plan.delete, blocking))
        # Empty folders count as subfolders of their own in the fingerprints.
        made = merged(plan.create, plan.replace)
        empty = [path for path, kind in zip(made.paths, made.kinds, strict=True) if kind == DIRECTORY]
        writer.write(groups, child_folders(reach | set(empty)))
        self._remove(pick(plan.delete, [not flag for flag in blocking]))

    def _clean_up(self, record: JournalRecord, data: bytes) -> None:
        """After an error the process still lives, so it removes its own temporaries; the record stays."""
        try:
            sweep_temporaries(self.root, data.split(b"\0"), record.token)
        except (OSError, PathConflict):
            return

    # ── before ──

    def _check_modes(self) -> None:
        """Files that share their mode with an object, or are links, are made anew rather than changed."""
        plan = self.plan
        if not len(plan.modes):
            return
        alone: list[bool] = []
        with Folders(self.root) as folders:
            for path in plan.modes.paths:
                found = lstat_or_none(name_of(path), folders.open(parent_of(full_path(self.output, path))))
                alone.append(found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
        anew = pick(plan.modes, [not flag for flag in alone])
        if len(anew):
            old = anew.slice(0, len(anew))
            plan.modes = pick(plan.modes, alone)
            plan.replace, plan.replaced = merged(plan.replace, anew), merged(plan.replaced, old)

    def _root_is_right(self, intent: Mapping[str, Any]) -> bool:
        """Whether the directory itself is there, or gone, as it shall be."""
        if not self.output:
            return True
        try:
            with Folders(self.root) as folders:
                folders.open(self.output)
        except FileNotFoundError:
            return bool(intent.get("remove_root"))
        return not intent.get("remove_root")

    # ── changes ──

    def _displace(self, paths: list[bytes]) -> None:
        if not paths:
            return
        trash = Trash(self.tools.trash)
        with Folders(self.root) as folders:
            for path in paths:
                full = full_path(self.output, path)
                try:
                    place = trash.take(folders.open(parent_of(full)), full)
                except FileNotFoundError:
                    continue
                if place is not None:
                    self.trashed.append(f"{display(full)} → {display(os.fsencode(place))}")
        trash.sync()

    def _set_modes(self) -> None:
        modes = self.plan.modes
        with Folders(self.root) as folders:
            for path, kind in zip(modes.paths, modes.kinds, strict=True):
                full = full_path(self.output, path)
                here = folders.open(parent_of(full))
                with storage_errors(full):
                    if not set_executable(name_of(path), here, executable=kind == EXECUTABLE):
                        self.spared.append(path)

    def _remove(self, entries: Columns) -> None:
        """Remove entries, then the folders that are empty by that."""
        protected = {path for path, kind in self._targets() if kind == DIRECTORY}
        emptied: set[bytes] = set()
        with Folders(self.root) as folders:
            for path, kind in zip(entries.paths, entries.kinds, strict=True):
                full = full_path(self.output, path)
                try:
                    here = folders.open(parent_of(full))
                except FileNotFoundError:
                    continue
                if kind == DIRECTORY:
                    emptied.add(path)
                    continue
                with storage_errors(full):
                    if self.guard.clear(here, name_of(path), path):
                        self.deleted += _unlink(name_of(path), here)
                        emptied.add(parent_of(path))
                    else:
                        self.spared.append(path)
        remove_empty(self.root, self.output, emptied, protected)

    def _targets(self) -> Iterable[tuple[bytes, int]]:
        for part in (self.plan.create, self.plan.replace):
            yield from zip(part.paths, part.kinds, strict=True)

    def _settle_root(self, intent: Mapping[str, Any]) -> None:
        if not self.output:
            return
        with Folders(self.root) as folders:
            if not intent.get("remove_root"):
                folders.open(self.output, make=True)
                return
            with storage_errors(self.output):
                remove_if_empty(name_of(self.output), folders.open(parent_of(self.output)))

    # ── after ──

    def _report(self, missing: dict[bytes, list[bytes]], writer: FileWriter | None) -> CheckoutReport:
        spared = list(self.spared)
        files = size = 0
        linked: dict[str, int] = {}
        warnings: list[str] = []
        if writer is not None:
            files, size, linked = writer.done.files, writer.done.size, writer.contents.linked
            spared += writer.done.spared
            wanted = merged(self.plan.create, self.plan.replace)
            for path, raw in zip(wanted.paths, wanted.raws(), strict=True) if writer.contents.failed else ():
                if raw in writer.contents.failed:
                    missing.setdefault(raw, []).append(path)
            warnings += writer.contents.failed.values()
        shown = [display(full_path(self.output, path)) for path in spared]
        warnings += [f"{path} changed meanwhile and was left as it is" for path in shown]
        return CheckoutReport(
            files=files + len(self.plan.modes),
            deleted=self.deleted,
            bytes=size,
            links=linked,
            missing=missing_report(self.algorithm, self.output, missing),
            trashed=tuple(self.trashed),
            kept=(*(display(full_path(self.output, path)) for path in self.plan.kept), *shown),
            warnings=tuple(warnings),
        )


class _Below(Folders):
    """Opens folders of an output through those of the repository."""

    def __init__(self, folders: Folders, output: bytes) -> None:
        self._above = folders
        self._output = output

    def open(self, path: bytes, *, make: bool = False) -> int:
        """The folder *path* of the output."""
        return self._above.open(full_path(self._output, path), make=make)


def remove_empty(root: int, output: bytes, folders: set[bytes], protected: set[bytes]) -> None:
    """Remove folders that are empty, and those above that are empty by it, up to but not including the output.

    Args:
        root: descriptor of the repository.
        output: the directory, relative to it.
        folders: where to begin, relative to the output.
        protected: empty folders that stay.
    """
    with Folders(root) as opener:
        for folder in sorted(folders, reverse=True):
            while folder and folder not in protected:
                full = full_path(output, folder)
                try:
                    here = opener.open(parent_of(full))
                except FileNotFoundError:  # gone with what was below another one of them
                    folder = parent_of(folder)
                    continue
                except PathConflict:
                    break
                with storage_errors(full):
                    if not remove_if_empty(name_of(full), here):
                        break
                folder = parent_of(folder)


def _unlink(name: bytes, here: int) -> int:
    try:
        os.unlink(name, dir_fd=here)
    except FileNotFoundError:
        return 0
    return 1
