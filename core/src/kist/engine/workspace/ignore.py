"""Ignore rules: ``.kistignore`` files in gitignore grammar, and names that are never part of an output."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from pathlib import Path

from kist.abc.kernel import STAT_FIELDS, SUBDIRECTORY, Listing
from kist.errors import ConfigError
from kist.util.atomic import OPEN_FOLDER, TEMP_MARK, storage_error
from kist.util.paths import display

IGNORE_FILE = b".kistignore"
ALWAYS_IGNORED = frozenset((b".git", b".kist"))
MAX_BYTES = 1 << 20
"""Size that an ignore file may have: it comes with a clone and is compiled to regular expressions."""

_TEMP_MARK = TEMP_MARK.encode()
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


_STAR, _FOLDERS = "[^/]*", "(?:/.+)?"
"""What pathspec makes of ``*`` and of ``/**``."""
_SIGNS = ("\ufdd0", "\ufdd1", "\ufdd2")
"""Stand for these and for ``?`` while an expression is taken apart; no characters, so that no name has them."""


def _linear(expression: str) -> str:
    """The same regular expression, which tries no other match of a wildcard once the next wildcard has been reached.

    What lies between two wildcards is best found as early as possible, since the second one takes whatever comes after
    it. Else a pattern of many wildcards, as a clone can bring it, takes time without end. Python's fnmatch does so too.

    Args:
        expression: as pathspec makes it.
    """
    star, folders, one = _SIGNS
    text = expression.replace(_STAR, star).replace(_FOLDERS, folders).replace("[^/]", one)
    text = "/".join(_taken_early(part, star, f"(?>{star}?{{}})") for part in text.split("/"))
    text = _taken_early(text, folders, "(?>(?:/.+?)??{}(?=/))")
    text = text.replace("[^", "[^/")  # as in Git, where a slash is no character like others
    return text.replace(one, "[^/]").replace(folders, _FOLDERS).replace(star, _STAR)


def _taken_early(text: str, wildcard: str, group: str) -> str:
    """Put each wildcard that another one follows into an atomic group, with what is between them."""
    first, *between = text.split(wildcard)
    if len(between) < 2:
        return text
    last = between.pop()
    return first + "".join(group.replace("{}", piece) for piece in between) + wildcard + last


class _Rule:
    """One line of an ignore file."""

    __slots__ = ("_anchored", "_loose", "_matches", "hides")

    def __init__(self, line: str, matches: Callable[[str], object], *, hides: bool) -> None:
        body = line.rstrip().removesuffix("/")
        self._matches = matches
        self._anchored = "/" in body
        self._loose = "**" in body
        self.hides = hides

    def fits(self, path: str, name: str, parent: str) -> bool:
        """Whether the rule is about this very path, not about a folder that it lies in.

        pathspec lets a rule fit all that lies below what it names. Here each level is judged on its way down, so
        that must not count twice: a re-included folder would re-include files that a later rule hides.
        """
        if not self._anchored:
            return bool(self._matches(name))
        if not self._matches(path):
            return False
        return self._loose or not parent or not self._matches(parent)


def _rules_of(line: str) -> list[_Rule]:
    """The rule of one line, none for a comment.

    Raises:
        ValueError: it is no pattern.
        re.error: likewise.
    """
    import warnings

    from pathspec import GitIgnoreSpec

    if not set(_SIGNS).isdisjoint(line):
        raise ValueError(line)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what Python may one day read into a set
        return [
            _Rule(line, re.compile(_linear(pattern.regex.pattern)).search, hides=pattern.include)
            for pattern in GitIgnoreSpec.from_lines([line]).patterns
            if pattern.include is not None and pattern.regex is not None
        ]


class _RuleFile:
    """The rules of one ignore file, for paths relative to its folder."""

    __slots__ = ("_rules", "base")

    def __init__(self, text: str, where: bytes, base: bytes) -> None:
        self.base = base
        self._rules: list[_Rule] = []
        for number, line in enumerate(text.split("\n"), 1):
            line = line.removesuffix("\r")
            try:
                self._rules += _rules_of(line)
            except (ValueError, re.error) as exc:
                raise ConfigError(
                    f"{display(where)}:{number}: not a valid ignore pattern: {line}", path=display(where)
                ) from exc
        self._rules.reverse()  # the last rule that fits wins

    def verdict(self, path: str, name: str, parent: str) -> bool | None:
        """True: hidden, False: shown by a ``!`` rule, None: no rule fits."""
        return next((rule.hides for rule in self._rules if rule.fits(path, name, parent)), None)


class IgnoreRules:
    """The rules in force in one folder; immutable. Without ignore files they cost two searches a folder.

    Args:
        always: names that are never part of an output, in any case.
        file_name: the name of the ignore files.
        cache: the cache's folder; ignore files may be links to its objects. None: no link is read through.
    """

    __slots__ = ("_always", "_cache", "_file_name", "_files")

    def __init__(
        self,
        *,
        always: Iterable[bytes] = ALWAYS_IGNORED,
        file_name: bytes = IGNORE_FILE,
        cache: Path | None = None,
    ) -> None:
        self._always = frozenset(name.lower() for name in always)
        self._file_name = file_name
        self._cache = cache
        self._files: tuple[_RuleFile, ...] = ()

    def for_directory(self, path: bytes, descriptor: int, names: Sequence[bytes] | None = None) -> IgnoreRules:
        """The rules inside a folder, given that these are in force in the folder that holds it.

        Args:
            path: the folder, relative to the repository.
            descriptor: the open folder.
            names: what it holds, if that is known: saves the attempt to open an absent file.

        Returns:
            These rules and those of the folder's own ignore file; these themselves if it has none.

        Raises:
            ConfigError: the ignore file has a line that is no pattern, or is too large.
            StorageError: it cannot be read.
        """
        if names is not None and self._file_name not in names:
            return self
        where = path + b"/" + self._file_name if path else self._file_name
        text = _read(descriptor, self._file_name, where, self._cache)
        if text is None:
            return self
        inner = IgnoreRules(always=self._always, file_name=self._file_name, cache=self._cache)
        inner._files = (_RuleFile(text, where, path + b"/" if path else b""), *self._files)
        return inner

    def apply(self, path: bytes, listing: Listing) -> Listing:
        """What is left of a folder's listing.

        Args:
            path: the folder, relative to the repository.
            listing: all that it holds.

        Returns:
            The listing itself if nothing is hidden, else a new one.
        """
        if not self._files and not self._suspicious(listing.names):
            return listing
        prefix = path + b"/" if path else b""
        keep = [
            not self.hides_name(prefix, name, is_directory=kind == SUBDIRECTORY)
            for name, kind in zip(listing.names, listing.kinds, strict=True)
        ]
        return listing if all(keep) else pick(listing, keep)

    def private(self, names: Iterable[bytes]) -> tuple[bytes, ...]:
        """Those of some names that are never part of an output, whatever an ignore file says."""
        return tuple(name for name in names if name.lower() in self._always)

    def hides_name(self, prefix: bytes, name: bytes, *, is_directory: bool) -> bool:
        """Whether one name of the folder that these rules are for is hidden.

        Args:
            prefix: the folder, relative to the repository, with ``/`` at its end; b"" for the repository.
            name: a plain name.
            is_directory: whether it is a folder.

        Returns:
            True if it is no part of any output.
        """
        if name.lower() in self._always or _TEMP_MARK in name:
            return True
        if not self._files:
            return False
        end = "/" if is_directory else ""
        text = os.fsdecode(name) + end
        for rules in self._files:
            parent = os.fsdecode(prefix[len(rules.base) :])
            verdict = rules.verdict(parent + text, text, parent)
            if verdict is not None:
                return verdict
        return False

    def _suspicious(self, names: Sequence[bytes]) -> bool:
        joined = b"\0%b\0" % b"\0".join(names)
        if _TEMP_MARK in joined:
            return True
        return b"\0." in joined and any(name[:1] == b"." and name.lower() in self._always for name in names)


class RepositoryIgnore:
    """Answers for whole paths of one repository.

    Args:
        root: the repository.
        rules: the rules above it: what is always ignored.
    """

    def __init__(self, root: Path, rules: IgnoreRules | None = None) -> None:
        self._root = root
        self.rules = rules or IgnoreRules()

    def hides(self, path: bytes, *, is_directory: bool) -> bool:
        """Whether a rule hides *path* or a folder that it lies in.

        Args:
            path: relative to the repository.
            is_directory: whether it is a folder.

        Returns:
            True if it is hidden.

        Raises:
            ConfigError: an ignore file is not valid.
            StorageError: an ignore file cannot be read.
        """
        parts = path.split(b"/")
        rules, prefix = self.rules, b""
        descriptor = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth, part in enumerate(parts):
                rules = rules.for_directory(prefix.rstrip(b"/"), descriptor)
                inner = depth < len(parts) - 1
                if rules.hides_name(prefix, part, is_directory=inner or is_directory):
                    return True
                prefix += part + b"/"
                if inner:
                    below = os.open(part, OPEN_FOLDER, dir_fd=descriptor)
                    os.close(descriptor)
                    descriptor = below
        except OSError:
            return False  # what is not there has no ignore files either
        finally:
            os.close(descriptor)
        return False


def pick(listing: Listing, keep: Sequence[bool]) -> Listing:
    """The entries of a listing whose place in *keep* is true."""
    quads = zip(*(listing.stats[field::STAT_FIELDS] for field in range(STAT_FIELDS)), strict=True)
    stats = listing.stats[:0]
    for quad in compress(quads, keep):
        stats.extend(quad)
    return Listing(list(compress(listing.names, keep)), bytes(compress(listing.kinds, keep)), stats)


def _open_object(directory: int, name: bytes, cache: Path | None) -> int:
    """Open the object that a checkout linked an ignore file to; -1: nothing else is read through a link or a socket."""
    try:
        target = os.readlink(name, dir_fd=directory)
        objects = os.fsencode(os.path.realpath(cache / "objects")) + b"/" if cache is not None else b"\0"
        return os.open(target, _OPEN) if target.startswith(objects) and os.path.normpath(target) == target else -1
    except OSError:
        return -1


def _read(directory: int, name: bytes, where: bytes, cache: Path | None) -> str | None:
    """The text of an ignore file; None if there is none, or no regular file has its name."""
    import stat

    try:
        descriptor = os.open(name, _OPEN, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as exc:
        if exc.errno not in (errno.ELOOP, errno.ENXIO):
            raise storage_error(exc, where) from exc
        descriptor = _open_object(directory, name, cache)
        if descriptor < 0:
            return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        pieces = bytearray()
        while len(pieces) <= MAX_BYTES and (piece := os.read(descriptor, MAX_BYTES + 1)):
            pieces += piece
    except OSError as exc:
        raise storage_error(exc, where) from exc
    finally:
        os.close(descriptor)
    if len(pieces) > MAX_BYTES:
        raise ConfigError(f"{display(where)} is larger than {MAX_BYTES >> 20} MiB", path=display(where))
    return pieces.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
