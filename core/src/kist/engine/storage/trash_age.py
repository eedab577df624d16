"""How long something has been in a trash, by a clock that may be wrong.

A clock that was set a year ahead cannot be told from a machine that was off for a year. So only what commands saw of
the time counts: from one look at the trash to the next, at most half of the time that things are kept. An entry is a
look, for it was made then; others leave an empty file with their time in its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from kist.engine.storage.trash_records import STAMP_LENGTH, stamp, time_of

_SEEN = "-seen"
_APART = 8
"""A look is noted if the last one was longer ago than this part of the time that things are kept."""


def look_name(when: float) -> str:
    """The name of the file that a look leaves, by its UTC seconds."""
    return stamp(when) + _SEEN


def time_of_look(name: str) -> float | None:
    """The UTC seconds of a look, None for the name of something else."""
    return time_of(name) if name[STAMP_LENGTH:] == _SEEN else None


def counted_age(when: float, now: float, looks: Iterable[float], keep: float) -> float:
    """How long something has been there for certain.

    Args:
        when: it came, UTC seconds.
        now: UTC seconds.
        looks: at the trash, UTC seconds in any order.
        keep: seconds that things are kept.

    Returns:
        seconds; 0 for what comes from the future, for the clock was ahead or is behind.
    """
    age, last = 0.0, when
    for look in [*sorted(look for look in looks if when < look < now), *([now] if now > when else [])]:
        age += min(look - last, keep / 2)
        last = look
    return age


def worth_noting(now: float, looks: Iterable[float], keep: float) -> bool:
    """Whether a look at this time tells more than those before."""
    return now - max((look for look in looks if look <= now), default=0.0) > keep / _APART


def useless(seen: Mapping[str, float], left: Collection[float], now: float) -> list[str]:
    """The names of looks that tell nothing: older than all that is left, or by a clock that was ahead.

    Args:
        seen: name -> UTC seconds of the look.
        left: when what is left came, UTC seconds.
        now: UTC seconds.
    """
    return [name for name, when in seen.items() if not left or not min(left) < when <= now]
