"""YAML with the meaning of version 1.2 and hard limits; the only module that imports ``yaml``.

Limits are enforced on the parser's events, before anything is built: no aliases, anchors, tags or merge keys, no
duplicate keys, bounded size, depth and scalars. The result is plain data, and where each value stands in the text, so
that a value can be replaced without touching the rest (:mod:`kist.util.yaml_edit`).
"""

from __future__ import annotations

from typing import Any

from kist.util.slotted import slotted
from kist.util.yaml_values import MAX_DEPTH, MAX_KEY, dump, read_simple, resolve, scalar

__all__ = ["Parsed", "Path", "Span", "YAMLError", "dump", "load", "parse"]

MAX_SIZE = 4 << 20
MAX_SCALAR = 64 << 10
MAX_VALUES = 250_000

Path = tuple[str | int, ...]
"""Where a value stands: keys of mappings and positions in sequences, from the outside in."""


class YAMLError(ValueError):
    """The text is not the YAML that is accepted here.

    Args:
        message: what is wrong.
        line: 1-based line, 0 where unknown.
        column: 1-based column, 0 where unknown.
        text: the offending line.
    """

    def __init__(self, message: str, *, line: int = 0, column: int = 0, text: str = "") -> None:
        super().__init__(f"line {line}, column {column}: {message}" if line else message)
        self.message = message
        self.line = line
        self.column = column
        self.text = text


@slotted()
class Span:
    """Where a value stands in the text, in characters.

    Args:
        start: first character of the value.
        end: behind its last one; of a block collection, behind its last value.
        key_start: first character of its key, -1 if it has none.
        key_end: behind the last character of its key.
        in_flow: whether it stands inside ``[…]`` or ``{…}``.
        block: whether it is a collection written without brackets.
    """

    start: int
    end: int
    key_start: int = -1
    key_end: int = -1
    in_flow: bool = False
    block: bool = False


@slotted()
class Parsed:
    """Plain data and where it stands.

    Args:
        data: what the text means; None for an empty text.
        spans: where each value stands; the whole has the path ().
        text: the text.
    """

    data: Any
    spans: dict[Path, Span]
    text: str

    def error(self, message: str, path: Path = ()) -> YAMLError:
        """An error that points at the value (or the nearest one around it) at *path*."""
        while path and path not in self.spans:
            path = path[:-1]
        span = self.spans.get(path)
        return _error(message, self.text, span.start) if span else YAMLError(message)


def load(data: bytes | str, *, max_size: int = MAX_SIZE) -> Any:
    """Read plain data.

    Args:
        data: the text, bytes in UTF-8.
        max_size: largest size in bytes.

    Returns:
        None, bool, int, float, str, lists and dicts with keys of text or integers.

    Raises:
        YAMLError: it is not valid, or over a limit.
    """
    text = _decode(data, max_size)
    simple = read_simple(text)
    return simple if simple is not None else parse(text, max_size=max_size).data


def parse(data: bytes | str, *, max_size: int = MAX_SIZE) -> Parsed:
    """Read plain data and where each value stands.

    Args:
        data: the text, bytes in UTF-8.
        max_size: largest size in bytes.

    Returns:
        The data with spans that index the text.

    Raises:
        YAMLError: it is not valid, or over a limit.
    """
    import yaml

    text = _decode(data, max_size)
    builder = _Builder(text)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.feed(event)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        message = ", ".join(part for part in (exc.context, exc.problem) if part) or "not valid YAML"
        raise _error(message, text, mark.index if mark else 0) from None
    except yaml.reader.ReaderError as exc:
        position = exc.position if isinstance(exc.position, int) else 0
        raise _error("a character that YAML does not allow", text, _bad_character(text, position)) from None
    except (yaml.YAMLError, RecursionError, UnicodeError) as exc:
        raise YAMLError(f"not valid YAML: {type(exc).__name__}") from None
    return Parsed(builder.root, builder.spans, text)


def _decode(data: bytes | str, max_size: int) -> str:
    if len(data) > max_size:
        raise YAMLError(f"larger than {max_size} bytes")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        before = data[: exc.start].decode("utf-8")
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise YAMLError("not valid UTF-8", line=before.count("\n") + 1, column=column) from None


def _error(message: str, text: str, position: int) -> YAMLError:
    position = min(position, len(text))
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    line = text[start : end if end >= 0 else len(text)].rstrip("\r")
    return YAMLError(message, line=text.count("\n", 0, start) + 1, column=position - start + 1, text=line[:200])


def _bad_character(text: str, position: int) -> int:
    """The reader counts in characters or bytes, as it likes: find what it meant."""
    for index, character in enumerate(text[: position + 1]):
        if not (character.isprintable() or character in "\t\r\n\x85\xa0\u2028\u2029\ufeff"):
            return index
    return position


@slotted()
class _Frame:
    """A collection that is being built."""

    value: dict[Any, Any] | list[Any]
    path: Path
    span: Span
    flow: bool
    key: str | int | None = None
    key_mark: tuple[int, int] = (-1, -1)
    last: int = -1


class _Builder:
    """Builds data from events, refusing what is over a limit as soon as it shows."""

    def __init__(self, text: str) -> None:
        self.root: Any = None
        self.spans: dict[Path, Span] = {}
        self._text = text
        self._stack: list[_Frame] = []
        self._documents = 0

    def feed(self, event: Any) -> None:
        """Take the parser's next event."""
        kind = type(event).__name__
        if kind == "ScalarEvent":
            self._scalar(event)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._open(event, {} if kind == "MappingStartEvent" else [])
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._close(event)
        elif kind == "AliasEvent":
            raise self._refuse("aliases are not allowed", event)
        elif kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                raise self._refuse("a second document is not allowed", event)
            if event.tags:
                raise self._refuse("tags are not allowed", event)

    def _refuse(self, message: str, event: Any) -> YAMLError:
        return _error(message, self._text, event.start_mark.index)

    def _plain(self, event: Any) -> None:
        """What holds for scalars and collections alike."""
        if event.anchor is not None:
            raise self._refuse("anchors are not allowed", event)
        if event.tag is not None:
            raise self._refuse("tags are not allowed", event)
        if len(self.spans) >= MAX_VALUES:
            raise self._refuse(f"more than {MAX_VALUES} values", event)

    def _scalar(self, event: Any) -> None:
        self._plain(event)
        if len(event.value) > MAX_SCALAR:
            raise self._refuse(f"a value longer than {MAX_SCALAR} characters", event)
        value = event.value
        if event.implicit[0] and not event.style:
            try:
                value = resolve(value)
            except ValueError as exc:
                raise self._refuse(str(exc), event) from None
        start, end = event.start_mark.index, event.end_mark.index
        if event.style in ("|", ">"):  # its end mark stands behind the blank lines that follow
            end = start + len(self._text[start:end].rstrip())
        frame = self._stack[-1] if self._stack else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._take_key(frame, value, event)
            return
        path = self._place(event)
        self.spans[path] = self._span(start, end)
        self._put(value, end)

    def _take_key(self, frame: _Frame, key: Any, event: Any) -> None:
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise self._refuse("a key must be text", event)
        if key == "<<" and not event.style:
            raise self._refuse("merge keys are not allowed", event)
        if isinstance(key, str) and len(key) > 90 and len(scalar(key)) > MAX_KEY:
            raise self._refuse("a key is too long", event)
        if key in frame.value:
            raise self._refuse(f"the key '{key}' occurs twice", event)
        frame.key = key
        frame.key_mark = (event.start_mark.index, event.end_mark.index)

    def _place(self, event: Any) -> Path:
        if not self._stack:
            return ()
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            return (*frame.path, len(frame.value))
        if frame.key is None:
            raise self._refuse("a key must be text", event)
        return (*frame.path, frame.key)

    def _span(self, start: int, end: int) -> Span:
        frame = self._stack[-1] if self._stack else None
        key = frame.key_mark if frame is not None and isinstance(frame.value, dict) else (-1, -1)
        return Span(start, end, *key, in_flow=frame is not None and frame.flow)

    def _put(self, value: Any, end: int) -> None:
        if not self._stack:
            self.root = value
            return
        frame = self._stack[-1]
        frame.last = end
        if isinstance(frame.value, list):
            frame.value.append(value)
        else:
            frame.value[frame.key] = value
            frame.key = None

    def _open(self, event: Any, value: dict[Any, Any] | list[Any]) -> None:
        self._plain(event)
        if len(self._stack) >= MAX_DEPTH:
            raise self._refuse(f"nested deeper than {MAX_DEPTH} levels", event)
        path = self._place(event)
        span = self._span(event.start_mark.index, event.end_mark.index)
        span.block = not event.flow_style
        self.spans[path] = span
        self._stack.append(_Frame(value, path, span, bool(event.flow_style) or span.in_flow))

    def _close(self, event: Any) -> None:
        frame = self._stack.pop()
        # The end event of a block collection stands where the next token starts, behind comments.
        frame.span.end = event.end_mark.index if not frame.span.block else max(frame.last, frame.span.start)
        self._put(frame.value, frame.span.end)
