"""Sizes and durations: read what people write, show what people can read."""

from __future__ import annotations

import re

from kist.util.lazy import lazy_pattern

_SIZE_STEPS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
_SIZE = lazy_pattern(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(?:([KMGTPE])(I?)B?|B)?\s*", re.IGNORECASE | re.ASCII)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DURATION = lazy_pattern(r"\s*(?:[0-9]+(?:\.[0-9]+)?\s*[smhdw]\s*)+", re.IGNORECASE | re.ASCII)
_DURATION_PART = lazy_pattern(r"([0-9]+(?:\.[0-9]+)?)\s*([smhdw])", re.IGNORECASE | re.ASCII)
_LONGEST = 1e12

_MAX_DIGITS = 30


def show_count(count: int, noun: str, plural: str = "") -> str:
    """Show how many there are of something.

    Args:
        count: how many.
        noun: what one is called.
        plural: what several are called; with an s by default.

    Returns:
        Text such as ``1 file``, ``1,200 files``, ``2 entries``.
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def parse_size(text: str | int) -> int:
    """Read a size.

    Args:
        text: bytes as a number, or a number with a unit: ``1.5 GiB``, ``64M``, ``10 kB``. The units ``K``, ``M``, … and
            ``KiB``, ``MiB``, … are powers of 1024; ``kB``, ``MB``, … powers of 1000.

    Returns:
        Bytes.

    Raises:
        ValueError: it is no size.
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if text < 0:
            raise ValueError("a size cannot be negative")
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) and len(text) <= _MAX_DIGITS else None
    if match is None:
        raise ValueError(f"not a size: {text!r:.60} (write bytes, or a number with a unit such as 64 MiB)")
    unit = (match[2] or "").upper()
    decimal = unit and not match[3] and match[0].rstrip().upper().endswith("B")
    factor = int((1000 if decimal else 1024) ** _SIZE_STEPS[unit])
    return int(match[1]) * factor if "." not in match[1] else round(float(match[1]) * factor)


def show_size(size: int) -> str:
    """Show a size with three digits and a binary unit.

    Args:
        size: bytes.

    Returns:
        Text such as ``0 B``, ``1.50 GiB``, ``64.0 MiB``.
    """
    if abs(size) < 1024:
        return f"{size} B"
    value, unit = float(size), ""
    for unit in ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"):  # noqa: B007 - the last one is used below
        value /= 1024
        if abs(value) < 999.5:
            break
    digits = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def parse_duration(text: str | float) -> float:
    """Read a duration.

    Args:
        text: seconds as a number, or numbers with units: ``90s``, ``5m``, ``1h30m``, ``14d``, ``2w``.

    Returns:
        Seconds.

    Raises:
        ValueError: it is no duration.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        seconds = float(text)
    elif isinstance(text, str) and len(text) <= _MAX_DIGITS and _DURATION.fullmatch(text):
        seconds = sum(float(number) * _SECONDS[unit.lower()] for number, unit in _DURATION_PART.findall(text))
    else:
        try:
            seconds = float(text) if isinstance(text, str) and text.isascii() and len(text) <= _MAX_DIGITS else -1.0
        except ValueError:
            seconds = -1.0
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"not a duration: {text!r:.60} (write seconds, or numbers with units such as 1h30m or 14d)")
    return seconds


def show_duration(seconds: float) -> str:
    """Show a duration in its two largest units.

    Args:
        seconds: how long.

    Returns:
        Text such as ``0.3 s``, ``12 s``, ``5 min 3 s``, ``2 h 5 min``, ``14 d``.
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    rest = round(seconds)
    shown = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            shown.append(f"{count} {unit}")
        elif shown:
            break
        if len(shown) == 2:
            break
    return " ".join(shown)
