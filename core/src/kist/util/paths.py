"""Path rules: which relative names may come out of a manifest, a metafile or a remote, and how names are shown.

A path is ``bytes``, ``/``-separated, relative to something that the caller knows. Nothing here touches the disk.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NoReturn

from kist.errors import MetafileError
from kist.util.lazy import lazy_pattern

MAX_PATH = 4096
MAX_PART = 255
MAX_DEPTH = 256

_TOGETHER = 1 << 14
"""Paths that are joined at a time."""

_WINDOWS = os.name == "nt"

# Code points that some file systems ignore in names, so that ".g<U+200C>it" opens ".git".
_IGNORED = lazy_pattern("[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
_RESERVED = (".git", ".kist")
_SHORT_NAME = lazy_pattern(r"(?:git|kist)~[0-9]+")

# What makes a block of paths worth an exact look; each part there starts and ends with NUL.
_SUSPECT_DOT = lazy_pattern(rb"\0\.(?:\0|\.\0|[gGkK\x80-\xff ])")
_LONG = lazy_pattern(rb"\0[^\0]{%d}" % (MAX_PART + 1))
_SUSPECT_SHORT = lazy_pattern(rb"(?i:git|kist)~")
_SUSPECT_BYTES = (b"\xe2\x80", b"\xe2\x81", b"\xef\xbb\xbf")

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{name}{digit}" for name in ("com", "lpt") for digit in (*"123456789", "\u00b9", "\u00b2", "\u00b3")]
)
_WINDOWS_BAD = lazy_pattern(r'[\x00-\x1f\x7f<>:"|?*\\]')


def check_path(path: bytes) -> None:
    """Refuse a path that could lead anywhere but below its directory.

    Args:
        path: relative, ``/``-separated.

    Raises:
        MetafileError: the path is empty, absolute, too long or too deep, has an empty, ``.`` or ``..`` part, a NUL,
            or enters ``.git`` or ``.kist`` in any spelling that a file system may take for them.
    """
    if not path:
        _refuse(path, "it is empty")
    if b"\0" in path:
        _refuse(path, "it holds a NUL character")
    if path.startswith(b"/"):
        _refuse(path, "it is absolute")
    if len(path) > MAX_PATH:
        _refuse(path, f"it is longer than {MAX_PATH} bytes")
    names = path.split(b"/")
    if len(names) > MAX_DEPTH:
        _refuse(path, f"it is deeper than {MAX_DEPTH} folders")
    for name in names:
        reason = _part_problem(name)
        if reason:
            _refuse(path, reason)


def framed(paths: Sequence[bytes]) -> bytes:
    """Paths joined so that each stands between two NULs."""
    return b"\0%b\0" % b"\0".join(paths)


def check_paths(paths: Sequence[bytes], between: bytes | None = None) -> None:
    """Check many paths as :func:`check_path` does, at the cost of a few scans of their joined bytes.

    Args:
        paths: relative, ``/``-separated.
        between: what was split to get them, where that is at hand: each path between two NULs.

    Raises:
        MetafileError: naming the first path that is not allowed.
    """
    for start in range(0, len(paths) if between is None else 0, _TOGETHER):
        part = paths[start : start + _TOGETHER]
        joined = framed(part)
        if joined.count(b"\0") != len(part) + 1 or _suspicious(joined):
            _check_each(part)
    if between is not None and _suspicious(between):
        _check_each(paths)


def _check_each(paths: Sequence[bytes]) -> None:
    for path in paths:
        check_path(path)


def _suspicious(joined: bytes) -> bool:
    """Whether any path may break a rule, of those that each stand between NULs; False is proof that none does."""
    # Depth cannot exceed the limit in a path this short, nor can a part.
    if _WINDOWS or _LONG.search(joined) is not None:
        return True
    joined = joined.replace(b"/", b"\0")
    return (
        b"\0\0" in joined
        or (b"\0." in joined and _SUSPECT_DOT.search(joined) is not None)
        or (b"~" in joined and _SUSPECT_SHORT.search(joined) is not None)
        or (not joined.isascii() and any(mark in joined for mark in _SUSPECT_BYTES))
    )


def _part_problem(name: bytes) -> str | None:
    """What is wrong with one part of a path, None if nothing."""
    if name in (b"", b".", b".."):
        return "it has an empty part" if not name else f"it has the part '{name.decode()}'"
    if len(name) > MAX_PART:
        return f"a part is longer than {MAX_PART} bytes"
    if is_reserved(name):
        return "it enters a private folder"
    return _windows_problem(name) if _WINDOWS else None


def is_reserved(name: bytes) -> bool:
    """Whether a file system may take *name* for ``.git`` or ``.kist``.

    Args:
        name: one part of a path.

    Returns:
        True for these names in any case or Unicode form, with ignorable characters, trailing dots or spaces, a
        stream suffix, or as a short name such as ``git~1``.
    """
    if name.isascii() and name[:1] != b"." and b"~" not in name:
        return False
    import unicodedata

    text = _IGNORED.sub("", name.decode("utf-8", "surrogateescape"))
    text = unicodedata.normalize("NFC", text.casefold()).partition(":")[0].rstrip(". ")
    return text in _RESERVED or _SHORT_NAME.fullmatch(text) is not None


def _windows_problem(name: bytes) -> str | None:
    text = name.decode("utf-8", "surrogateescape")
    if _WINDOWS_BAD.search(text):
        return "it has a character that Windows does not allow in names"
    if text[-1] in ". ":
        return "a part ends in a dot or space, which Windows drops"
    if text.partition(".")[0].rstrip(" ").casefold() in _DEVICES:
        return "it has the name of a Windows device"
    return None


def _refuse(path: bytes, reason: str) -> NoReturn:
    shown = display(path[:200]) + ("…" if len(path) > 200 else "")
    raise MetafileError(f"the path '{shown}' is not allowed: {reason}", path=shown)


def parts(path: bytes) -> tuple[bytes, ...]:
    """The parts of a path that is allowed.

    Args:
        path: relative, ``/``-separated.

    Returns:
        Its parts, at least one.

    Raises:
        MetafileError: as :func:`check_path`.
    """
    check_path(path)
    return tuple(path.split(b"/"))


def parents(path: bytes) -> list[bytes]:
    """The folders above *path*, outermost first: ``a/b/c`` gives ``a`` and ``a/b``."""
    return list(accumulate(path.split(b"/")[:-1], lambda above, name: above + b"/" + name))


def fold(path: bytes) -> bytes:
    """What a file system without regard for case and Unicode form takes *path* for.

    Args:
        path: relative, ``/``-separated.

    Returns:
        The case-folded path in Unicode form NFC; two paths with the same fold may clash.
    """
    if path.isascii():
        return path.lower()
    import unicodedata  # large, and only such names need it

    text = unicodedata.normalize("NFD", path.decode("utf-8", "surrogateescape")).casefold()
    return unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape")


def collisions(paths: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    """Names that clash where case and Unicode form do not count, folders included.

    Args:
        paths: all paths of one directory.

    Returns:
        Pairs of different names with the same fold, sorted.
    """
    names = set(paths)
    folders = {name.rpartition(b"/")[0] for name in names}
    while folders:
        folders.discard(b"")
        folders -= names
        names |= folders
        folders = {name.rpartition(b"/")[0] for name in folders}
    if len({fold(name) for name in names}) == len(names):
        return []
    first: dict[bytes, bytes] = {}
    return [(first[key], name) for name in sorted(names) if first.setdefault(key := fold(name), name) != name]


def to_text(path: bytes) -> str:
    """*path* as ``str`` for the operating system, undecodable bytes kept as surrogates."""
    return os.fsdecode(path)


def to_bytes(path: str) -> bytes:
    """The bytes of a path that the operating system or the user gave as ``str``."""
    return os.fsencode(path)


def display(path: bytes | str) -> str:
    r"""*path* as text that is safe on a terminal.

    Args:
        path: any name, or any short text from outside.

    Returns:
        The text with control characters, escapes, bidirectional and invisible characters and undecodable bytes
        shown as ``\n``, ``\x1b``, ``\u202e`` and the like.
    """
    text = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def json_path(path: bytes) -> dict[str, str]:
    """*path* for JSON.

    Args:
        path: any path.

    Returns:
        ``{"path": text}``; a path that is not UTF-8 gets ``path_b64`` too, its exact bytes in base64.
    """
    try:
        return {"path": path.decode("utf-8")}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"path": path.decode("utf-8", "backslashreplace"), "path_b64": b64encode(path).decode("ascii")}


def absolute(target: bytes, folder: bytes) -> bytes:
    """Where *target* points, seen from *folder*, by the text alone.

    Args:
        target: a path as the user typed it; ``.``, ``..``, doubled and trailing slashes are resolved.
        folder: an absolute path.

    Returns:
        An absolute path without ``.`` and ``..``.
    """
    whole = posixpath.normpath(posixpath.join(folder, target))
    return whole[1:] if whole.startswith(b"//") else whole


def relative_to(path: bytes, root: bytes) -> bytes | None:
    """*path* seen from *root*.

    Args:
        path: absolute and normal, as :func:`absolute` gives it.
        root: likewise.

    Returns:
        The relative path, b"" for *root* itself, None for a path outside.
    """
    if path == root:
        return b""
    above = root.rstrip(b"/") + b"/"
    return path[len(above) :] if path.startswith(above) else None


def inside(path: bytes, folder: bytes) -> bool:
    """Whether the relative *path* is *folder* or lies below it; everything lies below b""."""
    return not folder or path == folder or path.startswith(folder + b"/")


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that *name* was probably meant to be.

    Args:
        name: what was typed.
        candidates: what exists.

    Returns:
        The most similar candidate, None if none is similar.
    """
    from difflib import get_close_matches

    close = get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return close[0] if close else None
