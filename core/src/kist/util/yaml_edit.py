"""Change single values of a YAML text in place: comments, order, quoting and blank lines of the rest stay as they are.

Every edit is checked by reading its result again; a layout that cannot be edited in place is written anew, so the
meaning is always right and only comments of such a rare file are lost.
"""

from __future__ import annotations

import copy
from typing import Any

from kist.util.yaml12 import MAX_SIZE, Parsed, Path, YAMLError, parse
from kist.util.yaml_values import dump, dump_lines, flow, scalar

_ABSENT: Any = object()


class Document:
    """A YAML text with a mapping at the top, to be read and edited.

    Args:
        data: the text; bytes in UTF-8. An empty one counts as an empty mapping.
        max_size: largest size in bytes.

    Raises:
        YAMLError: it is not valid, over a limit, or no mapping.
    """

    def __init__(self, data: bytes | str = "", *, max_size: int = MAX_SIZE) -> None:
        self._max_size = max_size
        self._parsed = parse(data, max_size=max_size)
        if not isinstance(self._parsed.data, (dict, type(None))):
            raise self._parsed.error("a mapping is expected here")

    @property
    def data(self) -> dict[str, Any]:
        """What the text means; do not change it."""
        return self._parsed.data or {}

    @property
    def text(self) -> str:
        """The text as it is now."""
        return self._parsed.text

    def dump(self) -> bytes:
        """The text as bytes."""
        return self.text.encode("utf-8")

    def error(self, message: str, path: Path = ()) -> YAMLError:
        """An error that points at the value at *path*."""
        return self._parsed.error(message, path)

    def get(self, path: Path) -> Any:
        """The value at *path*, None where there is none."""
        value = _find(self.data, path)
        return None if value is _ABSENT else value

    def set(self, path: Path, value: Any) -> None:
        """Replace the value at *path*, or append it with the mappings that lead to it.

        Args:
            path: keys from the outside in.
            value: plain data.

        Raises:
            YAMLError: something on the way is no mapping.
            ValueError: the value has no YAML form.
        """
        old = _find(self.data, path)
        if old is not _ABSENT and _same(old, value):
            return
        wanted = copy.deepcopy(self.data)
        inner: Any = wanted
        for depth, step in enumerate(path[:-1]):
            if isinstance(inner, dict):
                inner.setdefault(step, {})
            inner = _find(inner, (step,))
            if not isinstance(inner, (dict, list)):
                raise self.error("a mapping is expected here", path[: depth + 1])
        if isinstance(inner, list) and _find(inner, path[-1:]) is _ABSENT:
            raise self.error("a mapping is expected here", path[:-1])
        inner[path[-1]] = value
        self._apply(wanted, _replace(self._parsed, path, value) if old is not _ABSENT else self._append(path, value))

    def remove(self, path: Path) -> bool:
        """Remove the key at *path*, and mappings around it that get empty.

        Args:
            path: keys from the outside in.

        Returns:
            Whether it was there.

        Raises:
            YAMLError: the text cannot be read again.
        """
        if _find(self.data, path) is _ABSENT:
            return False
        while len(path) > 1 and len(_find(self.data, path[:-1])) == 1 and isinstance(path[-1], str):
            path = path[:-1]
        wanted = copy.deepcopy(self.data)
        del _find(wanted, path[:-1])[path[-1]]
        self._apply(wanted, _cut(self._parsed, path))
        return True

    def _read(self, text: str) -> Parsed:
        return parse(text, max_size=self._max_size)

    def _append(self, path: Path, value: Any) -> str | None:
        """The text with a new key, below the deepest mapping on the way that exists."""
        depth = len(path) - 1
        while depth and _find(self.data, path[:depth]) is _ABSENT:
            depth -= 1
        for step in reversed(path[depth + 1 :]):
            value = {step: value}
        return _insert(self._parsed, path[:depth], path[depth], value)

    def _apply(self, wanted: dict[str, Any], text: str | None) -> None:
        """Take the edited *text* if it means what is wanted, else write *wanted* anew."""
        if text is not None:
            try:
                parsed = self._read(text)
            except YAMLError:
                parsed = _EMPTY
            if _same(parsed.data or {}, wanted):
                self._parsed = parsed
                return
        self._parsed = self._read(dump(wanted))


_EMPTY = Parsed(None, {}, "")


def _find(data: Any, path: Path) -> Any:
    for step in path:
        known = range(len(data)) if isinstance(data, list) else data if isinstance(data, dict) else ()
        if step not in known:
            return _ABSENT
        data = data[step]
    return data


def _same(one: Any, other: Any) -> bool:
    """Equality that tells True from 1 and 1 from 1.0, and the order of keys does not count."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (one != one and other != other)  # noqa: PLR0124 - not-a-number is like itself


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, position) + 1


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return end if end >= 0 else len(text)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _entry(key: str | int, value: Any, indent: int, newline: str) -> str:
    """A key with its value in block style, first line not indented."""
    return newline.join(dump_lines({key: value}, indent))[indent:]


def _replace(parsed: Parsed, path: Path, value: Any) -> str | None:
    text, span = parsed.text, parsed.spans[path]
    collection = isinstance(_find(parsed.data, path), (dict, list))
    if span.in_flow or (not span.block and (collection or span.key_start < 0)):
        return text[: span.start] + flow(value, len(path)) + text[span.end :]
    if span.key_start < 0:
        return None
    if not span.block and not (isinstance(value, (dict, list)) and value):
        gap = " " if text[span.start - 1] == ":" else ""
        return text[: span.start] + gap + scalar(value) + text[span.end :]
    indent = span.key_start - _line_start(text, span.key_start)
    return text[: span.key_start] + _entry(path[-1], value, indent, _newline(text)) + text[span.end :]


def _insert(parsed: Parsed, path: Path, key: str | int, value: Any) -> str | None:
    """The text with a new last key in the mapping at *path*."""
    text, newline = parsed.text, _newline(parsed.text)
    if not parsed.data and not path:
        base = "" if not text.strip() or text.strip() in ("{}", "null", "~") else text
        return base + (newline if base and not base.endswith("\n") else "") + _entry(key, value, 0, newline) + newline
    mapping = _find(parsed.data, path)
    if not isinstance(mapping, dict):
        return None
    span = parsed.spans[path]
    if not span.block:
        return _replace(parsed, path, {**mapping, key: value}) if span.in_flow or path else None
    last = parsed.spans[(*path, next(reversed(mapping)))]
    first = parsed.spans[(*path, next(iter(mapping)))]
    indent = first.key_start - _line_start(text, first.key_start)
    end = _line_end(text, max(last.end - 1, 0))
    if text[:end].endswith("\r"):
        end -= 1
    return text[:end] + newline + " " * indent + _entry(key, value, indent, newline) + text[end:]


def _cut(parsed: Parsed, path: Path) -> str | None:
    """The text without the key at *path*."""
    text, span = parsed.text, parsed.spans[path]
    if span.in_flow:
        above = {key: value for key, value in _find(parsed.data, path[:-1]).items() if key != path[-1]}
        return _replace(parsed, path[:-1], above) if len(path) > 1 else None
    start = _line_start(text, span.key_start)
    if text[start : span.key_start].strip():
        return None
    end = _line_end(text, max(span.end - 1, span.key_start))
    return text[:start] + text[end + 1 :]
