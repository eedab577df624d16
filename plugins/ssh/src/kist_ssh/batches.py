"""Many keys at once: small requests one behind the other, whole files in a few threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from kist.abc import NullProgress, Progress, Remote
from kist.errors import RemoteError
from kist_ssh import protocol
from kist_ssh.exchange import Exchange
from kist_ssh.protocol import Attributes, Status

T = TypeVar("T")

_UNDER_WAY = 64


def pipelined(exchange: Exchange, kind: int, paths: Iterable[str]) -> Iterator[tuple[int, Attributes | Status | None]]:
    """Ask one thing about many paths, with many requests under way.

    Args:
        exchange: on which to ask.
        kind: LSTAT, REMOVE or the like: requests whose only field is a path.
        paths: the paths.

    Yields:
        The place of a path among *paths*, with the attributes where it was asked for them, or the refusal.

    Raises:
        RemoteError: the connection is lost.
    """
    places: dict[int, int] = {}
    for place, path in enumerate(paths):
        places[exchange.send(kind, protocol.text(path))] = place
        if len(places) >= _UNDER_WAY:
            yield _answer(exchange, places)
    while places:
        yield _answer(exchange, places)


def _answer(exchange: Exchange, places: dict[int, int]) -> tuple[int, Attributes | Status | None]:
    reply = exchange.receive()
    place = places.pop(reply.number)
    try:
        if reply.kind == protocol.ATTRS:
            return place, reply.fields.attributes()
        reply.expect(protocol.STATUS)
    except Status as exc:
        return place, exc
    return place, None


class FilesAtOnce(Remote):
    """A remote that moves many files in a few threads, as it moves each."""

    def put_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Store many at once."""

        def put(key: str, source: Path) -> None:
            self.put_file(key, source, progress=progress)

        return each_at_once(put, items, self.capabilities.max_concurrency)

    def get_many(
        self, items: Iterable[tuple[str, Path]], *, progress: Progress = NullProgress()
    ) -> dict[str, RemoteError]:
        """Bring many at once."""

        def get(key: str, target: Path) -> None:
            self.get_file(key, target, progress=progress)

        return each_at_once(get, items, self.capabilities.max_concurrency)


def each_at_once(call: Callable[[str, T], None], items: Iterable[tuple[str, T]], most: int) -> dict[str, RemoteError]:
    """Do the same for many items in a few threads.

    Args:
        call: does it for a key and what comes with it.
        items: the keys; taken one by one, as threads become free.
        most: threads.

    Returns:
        The keys that failed, with their errors.

    Raises:
        BaseException: whatever else *call* or *items* raise; no further item is begun then.
    """
    failed: dict[str, RemoteError] = {}
    broken: list[BaseException] = []
    source, lock = iter(items), threading.Lock()

    def work() -> None:
        while not broken:
            try:
                with lock:
                    key, item = next(source)
                call(key, item)
            except StopIteration:
                return
            except RemoteError as exc:
                failed[key] = exc
            except BaseException as exc:
                broken.append(exc)

    threads = [threading.Thread(target=work, name="kist-ssh-batch") for _ in range(most)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    return failed
