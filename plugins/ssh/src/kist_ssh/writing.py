"""Write objects on a server so that a name appears only after its content is complete and durable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kist.abc import Progress
from kist.errors import RemoteError, RemoteExists
from kist.remotes.files import read_source
from kist_ssh import protocol, sftp
from kist_ssh.exchange import Exchange
from kist_ssh.places import Places, WriteRefused
from kist_ssh.pool import Pool
from kist_ssh.protocol import Status
from kist_ssh.reading import WINDOW


class Writer:
    """Writes the objects of one remote.

    Args:
        pool: its connections.
        places: its paths.
        sync: whether to wait for the server's disk, where the server offers that.
    """

    def __init__(self, pool: Pool, places: Places, *, sync: bool) -> None:
        self._pool, self._places, self._sync = pool, places, sync

    def put(self, key: str, source: Path, *, if_absent: bool, progress: Progress) -> None:
        """Store a local file.

        Args:
            key: the key.
            source: the file.
            if_absent: whether to refuse to replace.
            progress: told of the bytes.

        Raises:
            RemoteExists: the key exists and *if_absent* was asked.
            StorageError: the source cannot be read.
            RemoteError: the server refused or failed.
        """
        pieces = read_source(source, progress)
        first = next(pieces, b"")  # before the server is asked for anything: the file may not be there
        self.put_pieces(key, _chain(first, pieces), if_absent=if_absent)

    def put_pieces(self, key: str, pieces: Iterable[bytes | memoryview], *, if_absent: bool = False) -> None:
        """Store bytes as they come.

        Args:
            key: the key.
            pieces: the bytes.
            if_absent: whether to refuse to replace.

        Raises:
            RemoteExists: the key exists and *if_absent* was asked.
            RemoteError: the server refused or failed.
        """
        path = self._places.path(key)
        with self._pool.exchange() as exchange, self._new_file(exchange, key, path) as new:
            new.send(pieces)
            self._publish(new, path, key, if_absent=if_absent)

    def copy(self, source: str, target: str) -> None:
        """Make another object of the same bytes, which never leave the server.

        Args:
            source: a key.
            target: a key.

        Raises:
            RemoteObjectNotFound: there is no *source*.
            RemoteError: the server refused or failed.
        """
        old, new = self._places.path(source), self._places.path(target)
        with self._pool.exchange() as exchange:
            with self._places.translated(source, old):
                handle = sftp.open_old(exchange, old)
            with self._new_file(exchange, target, new) as file:
                sftp.copy(exchange, handle, file.handle)
                self._publish(file, new, target, if_absent=False)
            sftp.close_soon(exchange, handle)

    @contextmanager
    def _new_file(self, exchange: Exchange, key: str, path: str) -> Iterator[_NewFile]:
        """A temporary beside the final name, removed again if the block fails."""
        temporary = self._places.temporary(path)
        try:
            file = _NewFile(exchange, temporary, self._create(exchange, temporary))
        except Status as exc:
            raise self._places.not_written(exchange, key, path, exc) from exc
        try:
            yield file
        except Status as exc:
            with exchange.connection.exchange() as asking:
                error = self._places.not_written(asking, key, path, exc)  # before the full disk has room again
            self._discard(file)
            raise error from exc
        except BaseException:
            self._discard(file)
            raise

    def _create(self, exchange: Exchange, temporary: str) -> bytes:
        try:
            return sftp.open_new(exchange, temporary, self._places.file_mode)
        except Status as exc:
            if exc.code != protocol.NO_SUCH_FILE:
                raise
        self._places.make_folders(exchange, temporary)
        return sftp.open_new(exchange, temporary, self._places.file_mode)

    def _publish(self, file: _NewFile, path: str, key: str, *, if_absent: bool) -> None:
        """Give a complete file its name, and wait until that is durable too."""
        exchange = file.exchange
        if self._places.file_mode is not None:
            file.ask(protocol.FSETSTAT, protocol.mode_only(self._places.file_mode))
        sync = self._sync and exchange.connection.offers(protocol.FSYNC)
        if sync:
            file.ask_sync()
        else:
            file.ask_close()
        file.settle()
        if if_absent:
            self._publish_new(exchange, file.path, path, key)
        else:
            sftp.replace(exchange, file.path, path)
        if sync:
            # The name is in the folder, which no request can sync; syncing the renamed file takes it along.
            file.ask_sync()
            file.ask_close()
            file.settle()

    def _publish_new(self, exchange: Exchange, temporary: str, path: str, key: str) -> None:
        """Of many who want the name one gets it: a link cannot replace what is there."""
        try:
            if exchange.connection.offers(protocol.HARDLINK):
                sftp.link(exchange, temporary, path)
                sftp.remove(exchange, temporary)
            else:
                sftp.rename(exchange, temporary, path)
        except Status as exc:
            with suppress(Status):
                sftp.look(exchange, path)
                raise RemoteExists(f"the remote has {key} already") from None
            if exc.code not in (protocol.FAILURE, protocol.UNSUPPORTED):
                raise
            sftp.rename(exchange, temporary, path)  # no hard links on that file system

    @staticmethod
    def _discard(file: _NewFile) -> None:
        """Remove what a failed put has written, as far as the connection still allows."""
        with suppress(RemoteError, Status), file.exchange.connection.exchange() as asking:
            if not file.closed:  # the server gives the number of a closed handle to the next file
                asking.send(protocol.CLOSE, protocol.text(file.handle))
                asking.receive()
            sftp.remove(asking, file.path)


class _NewFile:
    """A file that is being written, with many requests under way.

    Args:
        exchange: where to ask.
        path: its temporary path.
        handle: the open file.
    """

    def __init__(self, exchange: Exchange, path: str, handle: bytes) -> None:
        self.exchange, self.path, self.handle = exchange, path, handle
        self.closed = False
        self._under_way = 0

    def send(self, pieces: Iterable[bytes | memoryview]) -> None:
        """Send bytes; the last of them may still be under way.

        Args:
            pieces: the bytes.

        Raises:
            WriteRefused: the server refused some.
            RemoteError: the connection is lost.
        """
        block, handle = self.exchange.connection.block, protocol.text(self.handle)
        offset = 0
        for piece in pieces:
            view = memoryview(piece)
            for at in range(0, len(view), block):
                part = view[at : at + block]
                head = handle + protocol.long_number(offset + at) + protocol.number(len(part))
                self.exchange.send(protocol.WRITE, head, part)
                self._under_way += 1
                self.settle(WINDOW // block - 1)
            offset += len(view)

    def ask(self, kind: int, more: bytes = b"") -> None:
        """Ask for something about the file; servers do it after what they were asked before."""
        self.exchange.send(kind, protocol.text(self.handle) + more)
        self._under_way += 1

    def ask_sync(self) -> None:
        """Ask that the disk has it."""
        self.exchange.send(protocol.EXTENDED, protocol.text(protocol.FSYNC) + protocol.text(self.handle))
        self._under_way += 1

    def ask_close(self) -> None:
        """Ask to close it."""
        self.closed = True
        self.ask(protocol.CLOSE)

    def settle(self, most: int = 0) -> None:
        """Wait until no more than so many requests are under way.

        Args:
            most: how many.

        Raises:
            WriteRefused: the server refused one.
            RemoteError: the connection is lost.
        """
        while self._under_way > most:
            self._under_way -= 1
            try:
                self.exchange.receive().expect(protocol.STATUS)
            except Status as exc:
                if exc.code == protocol.FAILURE:
                    raise WriteRefused(exc.code, exc.text) from exc
                raise


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest
