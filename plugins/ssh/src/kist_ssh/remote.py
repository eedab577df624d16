"""SSHRemote: objects as files below a folder on an SSH server, over SFTP."""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, RemoteScope, RemoteURL
from kist.errors import RemoteAuthError, RemoteError, RemoteObjectNotFound
from kist.kit import replace
from kist.remotes.files import read_data, write_target
from kist.remotes.wrapping import buffered
from kist_ssh import access, protocol, sftp
from kist_ssh.batches import FilesAtOnce, pipelined
from kist_ssh.command import Address, Command, may_ask
from kist_ssh.connection import Connection
from kist_ssh.exchange import Exchange
from kist_ssh.failures import of_status, shown
from kist_ssh.listing import Listing, objects
from kist_ssh.options import SSHOptions
from kist_ssh.places import Places, is_temporary
from kist_ssh.pool import Pool
from kist_ssh.protocol import Attributes, Status
from kist_ssh.reading import ObjectReader
from kist_ssh.writing import Writer

_ABANDONED = 24 * 3600.0
"""Seconds after which a temporary belongs to nobody any more: no lock says so across a network."""


class SSHRemote(FilesAtOnce):
    """Keeps each object as a file of the key's path below a folder on a server.

    Args:
        address: where.
        options: how to connect and write.
        scope: the remote's name, whether somebody can be asked, and whether the address is trusted.
    """

    def __init__(
        self, address: Address, options: SSHOptions = SSHOptions(), scope: RemoteScope = RemoteScope()
    ) -> None:
        self._address, self._options, self._scope = address, options, scope
        interactive = may_ask(terminal=scope.prompt is not None)
        self._command = Command(address, options, interactive=interactive, name=scope.name)
        self._places = Places(address.folder, str(address), options.shared)
        self._pool = Pool(self._connect, options.connections)
        self._writer = Writer(self._pool, self._places, sync=options.fsync)
        weakref.finalize(self, self._pool.close)
        self._extensions: frozenset[str] | None = None

    @classmethod
    def from_url(cls, url: RemoteURL, options: Options, scope: RemoteScope = RemoteScope()) -> SSHRemote:
        """Open ``ssh://[user@]host[:port]/path``.

        Args:
            url: the address; ``/~/path`` is relative to the login folder.
            options: an SSHOptions, or none of its values.
            scope: what the core lends.

        Returns:
            The remote; nothing is contacted yet.

        Raises:
            InvalidOption: the URL or an option makes no sense.
        """
        chosen = options if isinstance(options, SSHOptions) else SSHOptions()
        return cls(Address.parse(url, chosen), chosen, scope)

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """What OpenSSH's server allows, and after the first call what this one does."""
        offered = self._extensions
        told = Capabilities(max_concurrency=8, if_absent=True)
        if offered is None:
            return told
        return replace(told, atomic_put=protocol.POSIX_RENAME in offered, if_absent=protocol.HARDLINK in offered)

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Write beside the final name, wait for the disk, rename."""
        self._writer.put(key, source, if_absent=if_absent, progress=progress)

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        progress: Progress = NullProgress(),
        scratch: Path | None = None,  # noqa: ARG002 (no file is needed)
    ) -> None:
        """Write beside the final name, likewise."""
        self._writer.put_pieces(key, read_data(data, progress))

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Write beside the target, then rename."""
        with self._reader(key, 0, None) as reader:
            write_target(target, cast("Iterator[bytes]", reader.pieces()), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read the file, or a range of it, asking ahead of the reader."""
        return buffered(self._reader(key, start, length))

    def stat(self, key: str) -> ObjectInfo:
        """Size and time of the file."""
        path = self._places.path(key)
        with self._pool.exchange() as exchange, self._places.translated(key, path):
            attributes = sftp.look(exchange, path)
        if not attributes.is_file:
            raise RemoteObjectNotFound(key)
        mtime = None if attributes.mtime is None else float(attributes.mtime)
        return ObjectInfo(key=key, size=attributes.size or 0, mtime=mtime)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Read several folders at once; those that cannot hold the prefix are not read."""
        yield from objects(self._pool.begin(), self._places, prefix)

    def delete(self, key: str) -> None:
        """Remove the file; its folder stays."""
        for error in self.delete_many([key]).values():
            raise error

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Remove many files, with many requests under way."""
        failed: dict[str, RemoteError] = {}
        paths = self._paths(keys, failed)
        refused: dict[str, Status] = {}
        wanted = tuple(paths)
        done: set[str] = set()
        try:
            with self._pool.exchange() as exchange:
                for place, answer in pipelined(exchange, protocol.REMOVE, paths.values()):
                    done.add(wanted[place])
                    if isinstance(answer, Status) and answer.code != protocol.NO_SUCH_FILE:
                        refused[wanted[place]] = answer
                for key, refusal in refused.items():
                    self._explain(exchange, key, paths[key], refusal, failed)
        except RemoteError as exc:
            failed |= {key: exc for key in wanted if key not in done or key in refused}
        return failed

    def exists_many(self, keys: Sequence[str]) -> dict[str, bool]:
        """Look for many files, with many requests under way."""
        paths = {key: self._places.path(key) for key in keys}
        found = dict.fromkeys(keys, False)
        if not paths:
            return found
        wanted = tuple(paths)
        with self._pool.exchange() as exchange:
            for place, answer in pipelined(exchange, protocol.LSTAT, paths.values()):
                key = wanted[place]
                if isinstance(answer, Status) and answer.code != protocol.NO_SUCH_FILE:
                    raise of_status(answer, key, f"{self._places.at(paths[key])} cannot be read")
                found[key] = isinstance(answer, Attributes) and answer.is_file
        return found

    def copy(self, source: str, target: str) -> None:
        """Copy on the server, where it can."""
        with self._pool.exchange() as exchange:
            able = exchange.connection.offers(protocol.COPY_DATA)
        if able:
            self._writer.copy(source, target)
        else:
            super().copy(source, target)

    def sweep(self) -> int:
        """Remove temporaries that nobody has written to for a day."""
        old = time.time() - _ABANDONED
        with self._pool.exchange() as exchange:
            paths = [
                self._places.below(info.key)
                for info in Listing(exchange, self._places).walk()
                if is_temporary(info.key) and info.mtime is not None and info.mtime < old
            ]
        with self._pool.exchange() as exchange:
            return sum(answer is None for _, answer in pipelined(exchange, protocol.REMOVE, paths))

    def identity(self) -> str:
        """User and server as the address has them; without a user, as ssh's configuration does."""
        return str(self._command.address)

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """What ssh's configuration comes to, which keys were tried, who we are there, what the server offers."""
        self._check_trust()
        pairs = access.describe(self._command)
        try:
            with self._pool.exchange() as exchange:
                offered = sorted(exchange.connection.extensions)
                pairs.append(("server offers", shown(", ".join(one.partition("@")[0] for one in offered)) or "nothing"))
                folder = shown(sftp.real_path(exchange, self._places.root))
                pairs.append(("folder", folder))
        except (RemoteError, Status) as exc:
            pairs.append(("sftp", str(exc)))
        return pairs

    def close(self) -> None:
        """End the ssh processes."""
        self._pool.close()

    def __repr__(self) -> str:
        return f"SSHRemote({self._places.at(self._places.root)!r})"

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _connect(self) -> Connection:
        self._check_trust()
        timeout = self._options.connect_timeout
        limit = None if self._command.interactive or timeout <= 0 else float(timeout)
        connection = Connection(self._command, limit, self._scope.logger)
        self._extensions = frozenset(connection.extensions)
        return connection

    def _check_trust(self) -> None:
        """Nobody's keys or passwords go to a server that only a cloned configuration names."""
        if not self._scope.trusted:
            name = self._scope.name
            raise RemoteAuthError(
                f"the remote {name} ({self._address}) is named only by configuration that came with the repository, so "
                "your keys are not offered to it",
                hint=f"if you know that server, run 'kist remote trust {name}'",
                remote=name,
            )

    def _reader(self, key: str, start: int, length: int | None) -> ObjectReader:
        path = self._places.path(key)
        return ObjectReader(self._pool.begin(), path, key, start, length)

    def _paths(self, keys: Iterable[str], failed: dict[str, RemoteError]) -> dict[str, str]:
        paths = {}
        for key in keys:
            try:
                paths[key] = self._places.path(key)
            except RemoteError as exc:
                failed[key] = exc
        return paths

    def _explain(
        self, exchange: Exchange, key: str, path: str, refusal: Status, failed: dict[str, RemoteError]
    ) -> None:
        """Why a file cannot be removed; a folder is no object, so it counts as absent."""
        try:
            if sftp.look(exchange, path).is_folder:
                return
        except Status as exc:
            if exc.code == protocol.NO_SUCH_FILE:
                return
        failed[key] = self._places.not_written(exchange, key, path, refusal, "removed")
