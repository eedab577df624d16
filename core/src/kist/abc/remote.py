"""Remote: a flat store of immutable objects, key to bytes.

What you write: a module with ``kist_remote_options`` and ``kist_open_remote`` hooks for your URL scheme, and an entry
point ``<scheme> = "<module>"`` in the group ``kist.remotes``. For anything that fsspec knows, ``kist.remotes.fsspec``
has the Remote already. Check it with ``kist.testing.RemoteContract``.
"""

from __future__ import annotations

import posixpath
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import unquote, urlsplit

from kist.abc.progress import NullProgress, Progress
from kist.errors import InvalidOption, RemoteError, RemoteObjectNotFound
from kist.util.slotted import field, slotted

if TYPE_CHECKING:
    import logging

T = TypeVar("T")


@slotted(frozen=True)
class RemoteURL:
    """A remote's address, parsed once.

    Args:
        scheme: lower case; ``file`` for a plain path.
        host: host, bucket or container; "" where there is none.
        path: what follows, percent-decoded, with a leading ``/`` where the URL has one.
        user: the user name, None if not given.
        port: the port, None if not given.
        query: what follows ``?``, as given.
    """

    scheme: str
    host: str = ""
    path: str = ""
    user: str | None = None
    port: int | None = None
    query: str = field(default="", repr=False)

    @classmethod
    def parse(cls, text: str) -> RemoteURL:
        """Read a URL; a text without ``scheme://`` is a path, scheme ``file``.

        Raises:
            InvalidOption: a password or a fragment in the URL, a port that is no number, an empty address.
        """
        if not text or "\0" in text:
            raise InvalidOption("the URL of a remote is empty or holds a NUL character")
        if "://" not in text:
            return cls("file", path=text)
        _refuse_what_would_be_lost(text)
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:  # whose text may quote a part of a password
            raise InvalidOption(
                "not a valid URL: its host or port cannot be one",
                hint="write SCHEME://HOST/PATH without a password; secrets are options of the remote",
            ) from None
        if parts.password is not None:
            raise InvalidOption(
                "a URL must not hold a password",
                hint="leave it out and set the secret with 'kist remote modify --local NAME OPTION VALUE'",
            )
        host = parts.netloc.rpartition("@")[2]
        if port is not None:
            host = host.rpartition(":")[0]
        user = unquote(parts.username) if parts.username is not None else None
        return cls(parts.scheme.lower(), host, unquote(parts.path), user, port, parts.query)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user is not None else ""
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{user}{self.host}{port}{self.path}"


def _refuse_what_would_be_lost(text: str) -> None:
    """Refuse what parsing leaves out silently: the data would lie at another place than the one that was written."""
    if "#" in text:
        raise InvalidOption(
            "the URL of a remote holds a '#', and what follows it names no place",
            hint="write %23 for a '#' that belongs to the path",
        )
    if text != text.strip() or any(letter < " " or letter == "\x7f" for letter in text):
        raise InvalidOption(
            "the URL of a remote holds a line break or another control character, or blanks at an end",
            hint="leave it out, or write it as %0A and the like",
        )


@slotted(frozen=True)
class ObjectInfo:
    """What a remote tells of one key.

    Args:
        key: the key.
        size: bytes.
        mtime: when it was last written, UTC seconds, None where unknown.
        digests: algorithm to hexadecimal digest, those that the server computed itself.
    """

    key: str
    size: int
    mtime: float | None = None
    digests: Mapping[str, str] = field(default_factory=dict)


@slotted(frozen=True)
class Capabilities:
    """Honest facts about a remote.

    Args:
        max_concurrency: threads that may call it at once, at least 1.
        atomic_put: whether a key is either absent or whole at any time.
        cheap_list: whether listing a prefix costs about a request a thousand keys.
        if_absent: whether ``put_file(if_absent=True)`` has exactly one winner.
        any_key: whether keys outside the portable grammar are allowed.
        server_digests: algorithms that ``stat`` reports from the server's own reading.
        max_object_size: largest object in bytes, None for no limit.
        cheap_get: whether bringing a file anew costs little, as from a folder; others are read as streams, which go on
            where they broke.
    """

    max_concurrency: int = 8
    atomic_put: bool = True
    cheap_list: bool = True
    if_absent: bool = False
    any_key: bool = False
    server_digests: frozenset[str] = frozenset()
    max_object_size: int | None = None
    cheap_get: bool = False


def _default_logger() -> logging.Logger:
    import logging

    return logging.getLogger("kist.remote")


@slotted(frozen=True)
class RemoteScope:
    """What the core lends to a remote.

    Args:
        name: the remote's name in the configuration.
        state: a private folder (0700) that the remote may use, made on demand; None where there is none.
        prompt: asks the user for a secret, or None off a terminal.
        logger: where to log; secrets are filtered but do not log them.
        trusted: whether the user's credentials may go to the address and endpoint of this remote. False where only
            configuration that came with a clone names them and the user has not agreed: then send credentials to the
            provider's own endpoints only, or raise a RemoteAuthError that names ``kist remote trust``.
    """

    name: str = "remote"
    state: Path | None = None
    prompt: Callable[[str], str] | None = None
    logger: logging.Logger = field(default_factory=_default_logger)
    trusted: bool = True


class RequiredMethods(ABC):
    """The seven methods that every remote has of its own; subclass :class:`Remote`, which has the others by default."""

    capabilities: Capabilities = Capabilities()

    @abstractmethod
    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Store the bytes of *source* under *key*: all or nothing, replacing what was there.

        When it returns the object is durable as far as the backend can ask for that.

        Raises:
            RemoteExists: the key exists, *if_absent* was asked and the capability is declared.
        """

    @abstractmethod
    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring the object to the file *target* (replaced if present); on failure *target* is absent.

        Raises:
            RemoteObjectNotFound: no such key.
        """

    @abstractmethod
    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read the object, or *length* bytes of it from *start*; fewer where it ends earlier.

        Raises:
            RemoteObjectNotFound: no such key (here, not at the first read).
        """

    @abstractmethod
    def stat(self, key: str) -> ObjectInfo:
        """Size and time of one key.

        Raises:
            RemoteObjectNotFound: no such key.
        """

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every key that starts with *prefix* (a string, not a folder), each once, lazily, without temporaries."""

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a key; a missing one is no error."""

    @abstractmethod
    def close(self) -> None:
        """Let go of connections and threads; may be called twice."""


class Remote(RequiredMethods):
    """A flat store of immutable objects: key to bytes. Seven methods are required; those here have a correct default.

    The store's own keys match ``[0-9a-z][0-9a-z._/-]{0,254}`` without ``//`` and ``..``, which all providers allow.
    Methods are called from up to ``capabilities.max_concurrency`` threads. Sizes are bytes, times UTC seconds. Raises
    only RemoteError subclasses, with ``from`` the cause; an exception out of ``progress`` or of the local disk
    (StorageError) passes. Never prints, prompts (``scope.prompt`` does that) or retries: the core's one policy wraps
    it. Opening makes no network call; the first method does.
    """

    def put_bytes(
        self, key: str, data: bytes, *, progress: Progress = NullProgress(), scratch: Path | None = None
    ) -> None:
        """Store bytes that are in memory, as ``put_file`` stores those of a file.

        Args:
            key: the key.
            data: all bytes of the object.
            progress: as in ``put_file``.
            scratch: a folder for a temporary file, where one is needed; None: where the system keeps them.
        """
        import os
        import tempfile

        from kist.util.atomic import storage_errors, write_all

        with storage_errors():
            descriptor, name = tempfile.mkstemp(prefix="kist-put-", dir=scratch)
        path = Path(name)
        try:
            with storage_errors(path):
                try:
                    write_all(descriptor, data)
                finally:
                    os.close(descriptor)
            self.put_file(key, path, progress=progress)
        finally:
            path.unlink(missing_ok=True)

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Whether each of *keys* is there."""
        found = {}
        for key in keys:
            try:
                self.stat(key)
            except RemoteObjectNotFound:
                found[key] = False
            else:
                found[key] = True
        return found

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Bring many objects; returns the keys that failed with their errors."""
        return _each(lambda item: self.get_file(item[0], item[1], progress=progress), items)

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Store many objects; returns the keys that failed with their errors."""
        return _each(lambda item: self.put_file(item[0], item[1], progress=progress), items)

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Remove many keys; returns the keys that failed with their errors."""
        return _each(lambda item: self.delete(item[0]), ((key, None) for key in keys))

    def copy(self, source: str, target: str) -> None:
        """Make *target* the same bytes as *source*, on the server where it can.

        Raises:
            RemoteObjectNotFound: no such key.
        """
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory(prefix="kist-copy-") as folder:
            path = Path(folder, posixpath.basename(source) or "object")
            with self.open(source) as reader, path.open("wb") as writer:
                shutil.copyfileobj(reader, writer, 1 << 20)
            self.put_file(target, path)

    def sync(self) -> None:
        """Return when all that was put is durable; nothing to do where ``put_file`` guarantees it."""
        return

    def identity(self) -> str:
        """Whose the requests are, for messages, as far as known without one more; "" if unknown, never a secret."""
        return ""

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Credential sources tried, which won and whose identity it is: (label, text) pairs, never a secret."""
        return []

    def sweep(self) -> int:
        """Remove left-overs of killed transfers of ours; returns how many."""
        return 0


def _each(call: Callable[[tuple[str, T]], None], items: Iterable[tuple[str, T]]) -> dict[str, RemoteError]:
    failed: dict[str, RemoteError] = {}
    for item in items:
        try:
            call(item)
        except RemoteError as exc:
            failed[item[0]] = exc
    return failed
