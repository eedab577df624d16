"""Compare two sorted streams of entries by halves of columns, so that what is equal costs almost nothing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from kist.model.change import Change
from kist.model.columns import Columns
from kist.model.entry import SYMLINK, Entry

Delta = tuple[Columns, Columns]
"""Entries that differ over one range of paths: what was there, what is there; a modified path is in both."""


def deltas(old: Iterable[Columns], new: Iterable[Columns]) -> Iterator[Delta]:
    """What differs between two directories.

    Args:
        old: entries in path order, in any portions.
        new: likewise.

    Yields:
        The differing entries only, range by range in path order; never two empty sides.
    """
    left, right = _Stream(old), _Stream(new)
    while left.fill() and right.fill():
        bound = min(left.held.paths[-1], right.held.paths[-1])
        yield from _delta(left.take(bound), right.take(bound))
    while left.fill():
        yield left.rest(), Columns(left.held.algorithm, left.held.width)
    while right.fill():
        yield Columns(right.held.algorithm, right.held.width), right.rest()


def changes(parts: Iterable[Delta]) -> Iterator[Change]:
    """The same as one Change a path, in path order.

    Args:
        parts: as `deltas` yields them.

    Yields:
        Changes of the kinds added, modified and deleted.
    """
    for old, new in parts:
        befores, afters = list(old.entries()), list(new.entries())
        i = j = 0
        while i < len(befores) or j < len(afters):
            before = befores[i] if i < len(befores) else None
            after = afters[j] if j < len(afters) else None
            if before is not None and (after is None or before.path < after.path):
                yield Change(before.path, "deleted", before)
                i += 1
            elif after is not None and (before is None or after.path < before.path):
                yield Change(after.path, "added", None, after)
                j += 1
            else:
                yield _modified(before, after)
                i, j = i + 1, j + 1


def _modified(before: Entry | None, after: Entry | None) -> Change:
    assert after is not None
    return Change(after.path, "modified", before, after)


class _Stream:
    """A stream of columns that gives out entries up to a bound."""

    def __init__(self, parts: Iterable[Columns]) -> None:
        self._parts = iter(parts)
        self.held = Columns("", 0)
        self._at = 0

    def fill(self) -> bool:
        """Make sure that an entry is held; False at the end."""
        while self._at == len(self.held.paths):
            part = next(self._parts, None)
            if part is None:
                return False
            self.held, self._at = part, 0
        return True

    def take(self, bound: bytes) -> Columns:
        """The held entries with paths up to and including *bound*."""
        start, self._at = self._at, bisect_right(self.held.paths, bound, self._at)
        whole = self._at - start == len(self.held.paths)
        return self.held if whole else self.held.slice(start, self._at)

    def rest(self) -> Columns:
        """All held entries."""
        return self.take(self.held.paths[-1])


def _delta(old: Columns, new: Columns) -> Iterator[Delta]:
    left: list[tuple[int, int]] = []
    right: list[tuple[int, int]] = []
    i = j = 0
    while i < len(old.paths) and j < len(new.paths):
        run = _equal_run(old.paths, i, new.paths, j)
        for place in _modified_places(old, i, new, j, run):
            left.append((i + place, i + place + 1))
            right.append((j + place, j + place + 1))
        i, j = i + run, j + run
        if i < len(old.paths) and j < len(new.paths):
            stop = bisect_left(old.paths, new.paths[j], i)
            left.append((i, stop))
            i = stop
            if i < len(old.paths):
                stop = bisect_left(new.paths, old.paths[i], j)
                right.append((j, stop))
                j = stop
    left.append((i, len(old.paths)))
    right.append((j, len(new.paths)))
    before, after = _picked(old, left), _picked(new, right)
    if before.paths or after.paths:
        yield before, after


def _picked(columns: Columns, spans: list[tuple[int, int]]) -> Columns:
    pieces = [columns.slice(start, stop) for start, stop in spans if stop > start]
    return pieces[0] if len(pieces) == 1 else Columns.concat(columns.algorithm, columns.width, pieces)


def _equal_run(left: Sequence[bytes], i: int, right: Sequence[bytes], j: int) -> int:
    """How many paths agree from here on."""
    longest = min(len(left) - i, len(right) - j)
    if left[i : i + longest] == right[j : j + longest]:
        return longest
    run, step = 0, 1  # double the step up to a difference, then halve it
    while left[i + run : i + run + step] == right[j + run : j + run + step]:
        run += step
        step *= 2
    while step > 1:
        step //= 2
        if left[i + run : i + run + step] == right[j + run : j + run + step]:
            run += step
    return run


def _modified_places(old: Columns, i: int, new: Columns, j: int, run: int) -> list[int]:
    """Where entries of the same path differ in anything else, counted from the start of the run."""
    if (old.algorithm, old.width) != (new.algorithm, new.width):
        return [place for place in range(run) if old.entry(i + place) != new.entry(j + place)]
    places: list[int] = []
    waiting = [(0, run)]
    while waiting:
        start, count = waiting.pop()
        if _same(old, i + start, new, j + start, count):
            continue
        if count == 1:
            places.append(start)
        else:
            half = count // 2
            waiting += [(start + half, count - half), (start, half)]
    return places


def _same(old: Columns, i: int, new: Columns, j: int, count: int) -> bool:
    """Whether a block of entries with equal paths is equal in all other columns."""
    width = old.width
    kinds = old.kinds[i : i + count]
    return (
        kinds == new.kinds[j : j + count]
        and old.digests[i * width : (i + count) * width] == new.digests[j * width : (j + count) * width]
        and old.sizes[i : i + count] == new.sizes[j : j + count]
        and (SYMLINK not in kinds or _targets(old, i, count) == _targets(new, j, count))
    )


def _targets(columns: Columns, start: int, count: int) -> list[bytes]:
    first = columns.kinds.count(SYMLINK, 0, start)
    return columns.targets[first : first + columns.kinds.count(SYMLINK, start, start + count)]
