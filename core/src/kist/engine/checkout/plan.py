"""Plan a checkout: merge what is, what shall be and what was, without handling equal entries one by one.

All three are streams of sorted Columns. The plan holds only what differs. Nothing here touches the disk.
"""

from __future__ import annotations

import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from kist.model.columns import Columns, Gathered
from kist.model.entry import DIRECTORY, EXECUTABLE, FILE, SYMLINK
from kist.model.path_list import place_of
from kist.util.slotted import field, slotted

_CONTENT = (FILE, EXECUTABLE)
_LONGEST = 4096


@slotted()
class CheckoutPlan:
    """What must change in a workspace directory; every path is relative to it.

    Attributes:
        create: target entries at paths that hold nothing.
        replace: target entries at paths that hold something else.
        replaced: what stands there now, position by position.
        modes: target entries of which only the executable bit differs.
        delete: what stands where nothing shall be.
        blocking: paths of ``delete`` that must go before something can be created: a file where a folder is needed,
            or what lies in a folder where a file is needed.
        unsaved: paths of ``replaced`` and ``delete`` whose content is saved nowhere.
        kept: untracked additions that stay.
        equal: entries that are right already.
        started_ns: when the workspace began to be read; whatever changed later is looked at again.
        looks: for each of ``replaced`` the stats, as in a listing, of a file that certainly has its digest, -1 where
            nobody knows; empty where that is true of all.
    """

    create: Columns
    replace: Columns
    replaced: Columns
    modes: Columns
    delete: Columns
    blocking: frozenset[bytes] = frozenset()
    unsaved: list[bytes] = field(default_factory=list)
    kept: list[bytes] = field(default_factory=list)
    equal: int = 0
    started_ns: int = 0
    looks: array[int] = field(default_factory=lambda: array("q"))

    @property
    def comes(self) -> tuple[Columns, Columns, Columns]:
        """All that is made, or gets another mode."""
        return self.create, self.replace, self.modes

    def __bool__(self) -> bool:
        """Whether anything must change."""
        return bool(len(self.create) or len(self.replace) or len(self.modes) or len(self.delete))


class _Stream:
    """A cursor over Columns that follow one another."""

    def __init__(self, parts: Iterable[Columns]) -> None:
        self._parts = iter(parts)
        self.part: Columns | None = None
        self.at = 0
        self.skip(0)

    def skip(self, count: int) -> None:
        self.at += count
        while self.part is None or self.at >= len(self.part):
            self.part = next(self._parts, None)
            self.at = 0
            if self.part is None:
                return

    def take(self, stop: int) -> Columns:
        """The entries up to *stop* of the current part."""
        assert self.part is not None
        taken = self.part.slice(self.at, stop)
        self.skip(stop - self.at)
        return taken


class _Base:
    """Looks up single paths, asked for in ascending order, in what the workspace was last equal to."""

    def __init__(self, parts: Iterable[Columns] | None) -> None:
        self.known = parts is not None
        self._parts: Iterator[Columns] = iter(parts or ())
        self._part: Columns | None = None

    def has(self, entry: Columns) -> bool | None:
        """Whether the one *entry* is in the base as it is; None if the base has nothing at its path."""
        path = entry.paths[0]
        while self._part is None or not self._part.paths or self._part.paths[-1] < path:
            self._part = next(self._parts, None)
            if self._part is None:
                self._parts = iter(())
                self._part = None
                return None
        position = self._part.find(path)
        if position is None:
            return (entry.kinds[0] == DIRECTORY and self._has_below(path)) or None
        return _content(self._part.slice(position, position + 1)) == _content(entry)

    def _has_below(self, path: bytes) -> bool:
        """Whether the base has entries in the folder *path*: then an empty one is what is left of it."""
        assert self._part is not None
        prefix = path + b"/"
        seen: list[Columns] = []
        part: Columns | None = self._part
        while part is not None and part.paths[-1] < prefix:
            part = next(self._parts, None)
            seen += [part] if part is not None else []
        self._parts = chain(seen, self._parts)
        return part is not None and part.paths[bisect_left(part.paths, prefix)].startswith(prefix)


def _content(entry: Columns) -> tuple[int, bytes, list[bytes]]:
    """What makes two entries hold the same content, the executable bit aside."""
    kind = entry.kinds[0]
    return (FILE if kind == EXECUTABLE else kind, entry.digests, entry.targets)


class _Merge:
    """The state of one planning."""

    def __init__(self, base: _Base, ours: bytes) -> None:
        self.base = base
        self.ours = ours
        self.create = Gathered()
        self.replace = Gathered()
        self.replaced = Gathered()
        self.modes = Gathered()
        self.delete = Gathered()
        self.kept = Gathered()
        self.in_base: set[bytes] = set()  # symlinks and unknown kinds that the base has: no content to be saved
        self.equal = 0

    def pair(self, current: Columns, target: Columns) -> None:
        """The same path on both sides, with something different."""
        if current.kinds[0] in _CONTENT and target.kinds[0] in _CONTENT and current.digests == target.digests:
            self.modes.add(target)
            return
        if current.kinds[0] == SYMLINK and (self._is_ours(current) or self.base.has(current)):
            self.in_base.add(current.paths[0])
        self.replace.add(target)
        self.replaced.add(current)

    def _is_ours(self, entry: Columns) -> bool:
        return bool(self.ours) and entry.targets[0].startswith(self.ours)

    def extras(self, run: Columns) -> None:
        """What the workspace has and the target has not."""
        if not self.base.known:
            # Only what is saved may go; that is decided for all at once, later.
            self.delete.add(run)
            return
        for position in range(len(run)):
            entry = run.slice(position, position + 1)
            same = self.base.has(entry)
            (self.kept if same is None else self.delete).add(entry)
            if same and entry.kinds[0] not in _CONTENT:
                self.in_base.add(entry.paths[0])


def plan_checkout(
    current: Iterable[Columns],
    target: Iterable[Columns],
    base: Iterable[Columns] | None,
    saved: Callable[[list[bytes]], list[bool]],
    ours: bytes = b"",
) -> CheckoutPlan:
    """Compare a workspace directory with what it shall be.

    Args:
        current: what is there, digests by the target's algorithm. Kinds other than the four of a manifest (FIFOs,
            devices) may occur; they are never removed.
        target: what shall be there.
        base: what the directory was last equal to, None where that is not known.
        saved: tells for raw digests whether their content is kept in the cache.
        ours: what the targets of symlinks to objects begin with; such a link without its object may always go.

    Returns:
        The plan. Extra entries that the base has are deleted, others kept unless they stand in the way; without a base
        those are deleted whose content is saved.
    """
    started = time.time_ns()
    here, there = _Stream(current), _Stream(target)
    merge = _Merge(_Base(base), ours)
    sample = here.part or there.part
    while here.part is not None or there.part is not None:
        if there.part is None:
            assert here.part is not None
            merge.extras(here.take(len(here.part)))
        elif here.part is None:
            merge.create.add(there.take(len(there.part)))
        else:
            _step(merge, here, there)
    algorithm, width = (sample.algorithm, sample.width) if sample else ("", 0)
    plan = CheckoutPlan(
        merge.create.take(algorithm, width),
        merge.replace.take(algorithm, width),
        merge.replaced.take(algorithm, width),
        merge.modes.take(algorithm, width),
        merge.delete.take(algorithm, width),
        equal=merge.equal,
        started_ns=started,
    )
    _settle(plan, merge.kept.take(algorithm, width), merge, saved)
    return plan


def _step(merge: _Merge, here: _Stream, there: _Stream) -> None:
    mine, theirs = here.part, there.part
    assert mine is not None
    assert theirs is not None
    old, new = mine.paths[here.at], theirs.paths[there.at]
    if old == new:
        run = _equal_run(here, there)
        if run:
            merge.equal += run
            here.skip(run)
            there.skip(run)
        else:
            merge.pair(here.take(here.at + 1), there.take(there.at + 1))
    elif new < old:
        merge.create.add(there.take(bisect_left(theirs.paths, old, there.at)))
    else:
        merge.extras(here.take(bisect_left(mine.paths, new, here.at)))


def _equal_run(here: _Stream, there: _Stream) -> int:
    """How many entries from here on are equal: strides that double while they are, then halve."""
    mine, theirs = here.part, there.part
    assert mine is not None
    assert theirs is not None
    left = min(len(mine) - here.at, len(theirs) - there.at)
    run, stride, growing = 0, 1, True
    while stride and run < left:
        stride = min(stride, left - run)
        if _same(mine, here.at + run, theirs, there.at + run, stride):
            run += stride
            stride = min(stride * 2, _LONGEST) if growing else stride // 2
        else:
            growing = False
            stride //= 2
    return run


def _same(mine: Columns, i: int, theirs: Columns, j: int, count: int) -> bool:
    kinds = mine.kinds[i : i + count]
    width = mine.width
    return (
        kinds == theirs.kinds[j : j + count]
        and mine.digests[i * width : (i + count) * width] == theirs.digests[j * width : (j + count) * width]
        and mine.paths[i : i + count] == theirs.paths[j : j + count]
        and (SYMLINK not in kinds or mine.slice(i, i + count).targets == theirs.slice(j, j + count).targets)
    )


def _settle(plan: CheckoutPlan, kept: Columns, merge: _Merge, saved: Callable[[list[bytes]], list[bool]]) -> None:
    """Decide what is unsaved, what stays, and what stands in the way."""
    safe = _safe_paths([plan.replaced, plan.delete, kept], saved) | merge.in_base
    doomed = plan.delete
    if not merge.base.known:
        doomed, more = _split(doomed, lambda path, kind: path in safe and kind != DIRECTORY)
        kept = merged(kept, more)
    wanted = _merged_paths(plan.create, plan.replace)
    needed = _needed_folders(wanted, kept)
    blockers = _in_the_way(plan.create, kept) | needed
    kept, forced = _split(kept, lambda path, _kind: path not in blockers)
    plan.delete = merged(doomed, forced)
    plan.blocking = frozenset(_in_the_way(plan.create, plan.delete) | _needed_folders(wanted, plan.delete))
    plan.kept = list(kept.paths)
    plan.unsaved = sorted(
        path
        for part in (plan.replaced, plan.delete)
        for path, kind in zip(part.paths, part.kinds, strict=True)
        if kind != DIRECTORY and path not in safe
    )


def _safe_paths(parts: list[Columns], saved: Callable[[list[bytes]], list[bool]]) -> set[bytes]:
    """The paths of entries with content that is saved."""
    paths = [path for part in parts for path, kind in zip(part.paths, part.kinds, strict=True) if kind in _CONTENT]
    if not paths:
        return set()
    answers = saved([raw for part in parts for raw in part.content_raws()])
    return {path for path, answer in zip(paths, answers, strict=True) if answer}


def _split(columns: Columns, chosen: Callable[[bytes, int], bool]) -> tuple[Columns, Columns]:
    """The entries for which *chosen* holds, and the others."""
    if not len(columns):
        return columns, columns
    flags = [chosen(path, kind) for path, kind in zip(columns.paths, columns.kinds, strict=True)]
    return pick(columns, flags), pick(columns, [not flag for flag in flags])


def pick(columns: Columns, flags: list[bool]) -> Columns:
    """The entries of *columns* whose flag is set.

    Args:
        columns: any entries.
        flags: one an entry.

    Returns:
        Columns of their own; runs are copied whole.
    """
    if all(flags):
        return columns
    parts, at, count = [], 0, len(flags)
    while at < count:
        try:
            start = flags.index(True, at)
        except ValueError:
            break
        try:
            at = flags.index(False, start)
        except ValueError:
            at = count
        parts.append(columns.slice(start, at))
    return Columns.concat(columns.algorithm, columns.width, parts)


def merged(one: Columns, other: Columns) -> Columns:
    """The entries of both, which have no path in common, sorted."""
    if not len(one) or not len(other):
        return one if len(one) else other
    both = Columns.concat(one.algorithm, one.width, [one, other])
    order = sorted(range(len(both)), key=both.paths.__getitem__)
    return Columns.concat(one.algorithm, one.width, (both.slice(at, at + 1) for at in order))


def _merged_paths(one: Columns, other: Columns) -> Sequence[bytes]:
    return sorted([*one.paths, *other.paths]) if one.paths and other.paths else one.paths or other.paths


def _needed_folders(wanted: Sequence[bytes], extras: Columns) -> set[bytes]:
    """Paths of extras that are no folder, where *wanted* needs one."""
    found: set[bytes] = set()
    if not wanted:
        return found
    for path, kind in zip(extras.paths, extras.kinds, strict=True):
        if kind == DIRECTORY:
            continue
        below = path + b"/"
        position = place_of(wanted, below)
        if position < len(wanted) and wanted[position].startswith(below):
            found.add(path)
    return found


def _in_the_way(create: Columns, extras: Columns) -> set[bytes]:
    """Paths of extras that lie below a path where something else than a folder shall be made."""
    found: set[bytes] = set()
    if not len(extras):
        return found
    for path, kind in zip(create.paths, create.kinds, strict=True):
        if kind != DIRECTORY:
            start, stop = extras.span(path)
            found.update(extras.paths[start:stop])
    return found


def plan_removal(
    current: Iterable[Columns], base: Iterable[Columns], saved: Callable[[list[bytes]], list[bool]]
) -> CheckoutPlan:
    """Plan to take a tracked directory away: what is saved goes, untracked additions stay.

    Args:
        current: what is there.
        base: what is tracked there.
        saved: as in :func:`plan_checkout`.

    Returns:
        A plan without anything to write; edited files are among ``unsaved``.
    """
    return plan_checkout(current, (), base, saved)
