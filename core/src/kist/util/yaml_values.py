"""Plain data and its YAML text without a YAML library: scalars of the 1.2 core schema, the writer, a reader for the
simple files that kist itself writes.
"""

from __future__ import annotations

import math
import re
from typing import Any

from kist.util.lazy import lazy_pattern

MAX_DEPTH = 32
MAX_INTEGER = 2**63
MAX_KEY = 1000
"""Characters of a key as written; YAML's own limit for a key on one line is 1,024."""
MAX_SIMPLE = 4096
"""Characters of a line that the simple reader takes."""

_WORD_VALUES: dict[str, bool | None] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"]),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
}
_INTEGER = lazy_pattern(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = lazy_pattern(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII
)

# Text that needs no quotes, whatever reads it. Words and numbers that YAML 1.1 takes for something else are quoted too.
_PLAIN = lazy_pattern(r"[A-Za-z_./][A-Za-z0-9_./@+=,()-]*(?:[ :][A-Za-z0-9_./@+=,()-]+)*", re.ASCII)
_WORDS = lazy_pattern(
    r"~|null|true|false|yes|no|on|off|y|n|[-+.]*(?:inf|nan)|[-+.0-9][-+.0-9eE_:xo]*", re.ASCII | re.IGNORECASE
)

_SIMPLE_LINE = re.compile(
    r"( *)([A-Za-z_][A-Za-z0-9_-]*):"
    r'(?: (?:([A-Za-z0-9_./](?:[A-Za-z0-9_./:@+-]*[A-Za-z0-9_./@+-])?)|"([\x20\x21\x23-\x5b\x5d-\x7e]*)"))?',
    re.ASCII,
)
_COMMENT = re.compile(r" *#[\x20-\x7e]*| *", re.ASCII)


def resolve(text: str) -> Any:
    """What a plain scalar means in the core schema of YAML 1.2.

    Args:
        text: the scalar.

    Returns:
        None, a bool, an int, a float, or the text itself.

    Raises:
        ValueError: an integer of 64 bits or more.
    """
    if text in _WORD_VALUES:
        return _WORD_VALUES[text]
    if text[0] not in "+-.0123456789":
        return text
    return _number(text)


def _number(text: str) -> int | float | str:
    if _INTEGER.fullmatch(text):
        number = _integer(text)
        if number is None:
            raise ValueError("an integer must be smaller than 2^63")
        return number
    match = _FLOAT.fullmatch(text)
    if match is None:
        return text
    special = text.lower()
    if special.endswith("inf"):
        return -math.inf if match[1] == "-" else math.inf
    return math.nan if special.endswith("nan") else float(text)


def _integer(text: str) -> int | None:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    digits = text[2:] if base != 10 else text.lstrip("+-")
    digits = digits.lstrip("0") or "0"
    if len(digits) > 22:
        return None
    number = int(digits, base)
    if number >= MAX_INTEGER:
        return None
    return -number if text[0] == "-" else number


def read_simple(text: str) -> dict[str, Any] | None:
    """Read nested mappings of scalars without escapes, the shape of files that kist writes, without a YAML library.

    Args:
        text: a file.

    Returns:
        Its data; None if it holds anything else, or may not be valid: then the real parser decides.
    """
    data: dict[str, Any] = {}
    levels: list[tuple[int, dict[str, Any]]] = [(0, data)]
    opened: dict[str, Any] | None = None
    for line in text.split("\n"):
        if not line or (line[0] in " #" and _COMMENT.fullmatch(line)):
            continue
        match = _SIMPLE_LINE.fullmatch(line)
        if match is None or len(line) > MAX_SIMPLE:
            return None
        width, key, value, quoted = len(match[1]), match[2], match[3], match[4]
        if opened is not None:
            if width <= levels[-1][0] or len(levels) >= MAX_DEPTH:
                return None
            levels.append((width, opened))
            opened = None
        while width < levels[-1][0]:
            levels.pop()
        target = levels[-1][1]
        if width != levels[-1][0] or key in target or not isinstance(resolve(key), str):
            return None
        try:
            target[key] = quoted if quoted is not None else {} if value is None else resolve(value)
        except ValueError:
            return None
        if value is None and quoted is None:
            opened = target[key]
    return data if data and opened is None else None


def dump(data: dict[Any, Any]) -> str:
    """Write plain data as YAML, the same text for the same data every time.

    Args:
        data: a mapping of text or integers to None, bool, int, float, str, lists and mappings.

    Returns:
        Block-style YAML that ends with a line break.

    Raises:
        ValueError: something that has no YAML form here, or is nested too deep.
    """
    return "".join(line + "\n" for line in dump_lines(data)) if data else "{}\n"


def dump_lines(data: dict[Any, Any], indent: int = 0) -> list[str]:
    """The lines of a mapping in block style, without line breaks.

    Args:
        data: as for :func:`dump`, not empty.
        indent: columns before each line.

    Returns:
        One text a line.

    Raises:
        ValueError: as :func:`dump`.
    """
    return [" " * indent + line for line in _block(data, 1)]


def _block(data: dict[Any, Any] | list[Any], depth: int) -> list[str]:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    lines: list[str] = []
    if isinstance(data, list):
        for value in data:
            inner = _block(value, depth + 1) if isinstance(value, (dict, list)) and value else [scalar(value)]
            lines.append(f"- {inner[0]}")
            lines += [f"  {line}" for line in inner[1:]]
        return lines
    for key, value in data.items():
        start = f"{_key(key)}:"
        if isinstance(value, (dict, list)) and value:
            lines += [start, *(f"  {line}" for line in _block(value, depth + 1))]
        else:
            lines.append(f"{start} {scalar(value)}")
    return lines


def _key(key: Any) -> str:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise ValueError(f"a key must be text, not {type(key).__name__}")  # noqa: TRY004 - as all that cannot be written
    text = scalar(key)
    if len(text) > MAX_KEY:
        raise ValueError("a key is too long")
    return text


def flow(value: Any, depth: int = 1) -> str:
    """Any plain value on one line.

    Args:
        value: as the values of :func:`dump`.
        depth: how deep it stands.

    Returns:
        Flow-style YAML.

    Raises:
        ValueError: as :func:`dump`.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flow_text(_key(k))}: {flow(v, depth + 1)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(one, depth + 1) for one in value) + "]"
    return _flow_text(scalar(value))


def _flow_text(text: str) -> str:
    return _quoted(text) if "," in text and text[0] != '"' else text


def scalar(value: Any) -> str:
    """A scalar, or an empty collection, as YAML.

    Args:
        value: None, bool, int, float, str, [] or {}.

    Returns:
        Its text on one line.

    Raises:
        ValueError: it has no YAML form here.
    """
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not _WORDS.fullmatch(value) and len(value) < 1000
        return value if plain else _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int):
        if abs(value) >= MAX_INTEGER:
            raise ValueError("an integer must be smaller than 2^63")
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ".nan"
        return repr(value) if math.isfinite(value) else ".inf" if value > 0 else "-.inf"
    if value in ({}, []) and isinstance(value, (dict, list)):
        return "{}" if isinstance(value, dict) else "[]"
    raise ValueError(f"a value of type {type(value).__name__} cannot be written")


_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def _quoted(text: str) -> str:
    if text.isprintable() and "\\" not in text and '"' not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if 0xD800 <= code <= 0xDFFF:
        raise ValueError("text that is not valid Unicode cannot be written")
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
