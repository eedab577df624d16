"""What the parts of the remote contract share: fixtures, and small helpers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import pytest

from kist.abc import Capabilities, Progress, Remote
from kist.errors import KistError, RemoteObjectNotFound
from kist.testing.base import ContractBase

WAIT = 60.0
"""Seconds after which a thread of a test is taken to hang."""


class RawStore(Protocol):
    """A back door to the place where a remote keeps its objects, without the remote."""

    def keys(self) -> Iterable[str]:
        """Everything that lies there, temporaries included."""

    def write(self, key: str, data: bytes) -> None:
        """Put an object."""

    def read(self, key: str) -> bytes:
        """The bytes of an object."""


class Abort(Exception):
    """What a progress raises to stop the work; nobody translates it."""


class Recorder(Progress):
    """Remembers every advance; may raise at the first.

    Args:
        error: what to raise, None to go on.
        action: called at the first advance, before raising.
    """

    def __init__(self, error: BaseException | None = None, action: Callable[[], object] | None = None) -> None:
        self.amounts: list[int] = []
        self._error = error
        self._action = action

    def advance(self, amount: int) -> None:
        """Remember, act, raise."""
        self.amounts.append(amount)
        if len(self.amounts) == 1 and self._action is not None:
            self._action()
        if self._error is not None:
            raise self._error


@lru_cache(maxsize=64)
def content(size: int, seed: int = 0) -> bytes:
    """Bytes that look random and are the same in every run.

    Args:
        size: how many.
        seed: another seed gives other bytes.

    Returns:
        The bytes.
    """
    return random.Random(f"{seed}:{size}").randbytes(size)  # noqa: S311 (test data)


def write_file(folder: Path, data: bytes, name: str = "source") -> Path:
    """Make a local file.

    Args:
        folder: where.
        data: its content.
        name: its name.

    Returns:
        Its path.
    """
    path = folder / name
    path.write_bytes(data)
    return path


def put(remote: Remote, folder: Path, key: str, data: bytes = b"some bytes") -> None:
    """Store bytes under a key.

    Args:
        remote: where.
        folder: a folder for the file to send.
        key: the key.
        data: the bytes.
    """
    source = folder / f"put-{threading.get_ident()}"
    source.write_bytes(data)
    remote.put_file(key, source)
    source.unlink(missing_ok=True)


def read(remote: Remote, key: str, *, start: int = 0, length: int | None = None) -> bytes:
    """All bytes of an object, or of a range of it.

    Args:
        remote: where.
        key: the key.
        start: first byte.
        length: how many at most.

    Returns:
        The bytes.
    """
    with remote.open(key, start=start, length=length) as reader:
        return reader.read()


def keys(remote: Remote, prefix: str = "") -> list[str]:
    """The listed keys, sorted.

    Args:
        remote: where.
        prefix: as in ``Remote.list``.

    Returns:
        The keys.
    """
    return sorted(info.key for info in remote.list(prefix))


def there(remote: Remote, view: str, key: str, folder: Path) -> bool:
    """Whether one of the methods finds a key.

    Args:
        remote: where.
        view: one of ``VIEWS``.
        key: the key.
        folder: a folder for files.

    Returns:
        What the method says.
    """
    if view == "list":
        return key in keys(remote)
    if view == "exists_many":
        return remote.exists_many([key])[key]
    try:
        if view == "stat":
            remote.stat(key)
        elif view == "open":
            remote.open(key).close()
        else:
            remote.get_file(key, folder / "view")
    except RemoteObjectNotFound:
        return False
    return True


VIEWS = ("stat", "list", "exists_many", "open", "get_file")
"""Every method by which one can find out whether a key is there."""


def call(remote: Remote, method: str, folder: Path) -> None:
    """Call one of the methods that must reach the remote.

    Args:
        remote: where.
        method: one of ``CALLS``.
        folder: a folder for files.
    """
    key = "objects/ab/cd"
    calls: dict[str, Callable[[], object]] = {
        "put_file": lambda: put(remote, folder, "objects/ab/new"),
        "put_bytes": lambda: remote.put_bytes("objects/ab/new", b"some bytes", scratch=folder),
        "get_file": lambda: remote.get_file(key, folder / "target"),
        "open": lambda: read(remote, key),
        "stat": lambda: remote.stat(key),
        "list": lambda: list(remote.list()),
        "delete": lambda: remote.delete(key),
        "exists_many": lambda: remote.exists_many([key]),
    }
    calls[method]()


CALLS = ("put_file", "put_bytes", "get_file", "open", "stat", "list", "delete", "exists_many")
"""Every method that must reach the remote."""


def run_threads(works: Sequence[Callable[[], object]]) -> list[Any]:
    """Run functions at once, each in a thread.

    Args:
        works: the functions.

    Returns:
        What each returned, or the exception it raised.
    """
    results: list[Any] = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(number: int, work: Callable[[], object]) -> None:
        try:
            barrier.wait(WAIT)
            results[number] = work()
        except BaseException as exc:
            results[number] = exc

    threads = [threading.Thread(target=run, args=one, daemon=True) for one in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive(), "a call hangs"
    return results


def failures(results: Iterable[Any]) -> list[BaseException]:
    """The exceptions among results of ``run_threads``.

    Args:
        results: the results.

    Returns:
        The exceptions.
    """
    return [one for one in results if isinstance(one, BaseException)]


def needs(remote: Remote, capability: str) -> Capabilities:
    """Skip the test where a capability is not declared.

    Args:
        remote: the remote under test.
        capability: the attribute of Capabilities.

    Returns:
        The capabilities.
    """
    if not getattr(remote.capabilities, capability):
        pytest.skip(f"the remote does not declare {capability}")
    return remote.capabilities


def refused(call: Callable[[], object]) -> KistError | None:
    """Call, and return the typed error it raised, None if it raised none; anything else passes.

    Args:
        call: the function.

    Returns:
        The error.
    """
    try:
        call()
    except KistError as exc:
        return exc
    return None


class RemoteFixtures(ContractBase):
    """The fixtures of the remote contract. ``remote`` must be given; the others open more tests."""

    __test__ = False

    many = 1100
    """Keys of the tests that need several pages of a listing."""

    @pytest.fixture
    def remote(self) -> Remote:
        """A fresh, empty remote."""
        raise TypeError("a subclass of RemoteContract must have a fixture 'remote': a fresh, empty remote")

    @pytest.fixture
    def second(self) -> Remote:
        """Another instance on the location of ``remote``."""
        return pytest.skip("no fixture 'second': another instance on the location of 'remote'")

    @pytest.fixture
    def raw(self) -> RawStore:
        """A back door to the location of ``remote``."""
        return pytest.skip("no fixture 'raw': a back door with keys(), write(key, data) and read(key)")

    @pytest.fixture
    def broken_credentials(self) -> Remote:
        """A remote whose credentials the server does not accept."""
        return pytest.skip("no fixture 'broken_credentials': a remote with credentials that are not accepted")

    @pytest.fixture
    def unreachable(self) -> Remote:
        """A remote that cannot be reached."""
        return pytest.skip("no fixture 'unreachable': a remote that cannot be reached")

    @pytest.fixture
    def read_only(self) -> Remote:
        """A remote with one object ``objects/ab/cd`` whose credentials do not allow to write."""
        return pytest.skip("no fixture 'read_only': a remote with objects/ab/cd that may only be read")

    @pytest.fixture
    def secrets(self) -> tuple[str, ...]:
        """Texts that must not show anywhere: the secret options of ``remote`` and ``broken_credentials``."""
        return ()
