"""AzureRemote: objects as block blobs in a container."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, Remote, RemoteScope, RemoteURL
from kist.errors import KistError, RemoteError, RemoteObjectNotFound
from kist.kit import storage_errors
from kist.remotes.files import check_key, read_pieces, read_source, write_target
from kist.remotes.wrapping import buffered
from kist_azure.access import Access, check_trust, choose_access, secrets_of
from kist_azure.address import Address, parse_address
from kist_azure.failures import Failures
from kist_azure.options import AzureOptions

if TYPE_CHECKING:
    from kist_azure.connection import Connection

T = TypeVar("T")
Ask = Callable[[Any], Coroutine[Any, Any, T]]

_BATCH = 256
"""Blobs that one batch request may delete."""


class AzureRemote(Remote):
    """Keeps each object as a block blob of the key's name below a prefix.

    Args:
        address: where.
        access: the credentials.
        options: timeouts and certificates.
        name: the remote's name, for messages.
    """

    capabilities = Capabilities(max_concurrency=16, if_absent=True, max_object_size=50_000 * (4000 << 20))

    def __init__(
        self, address: Address, access: Access, options: AzureOptions = AzureOptions(), name: str = "remote"
    ) -> None:
        self._address, self._access, self._options = address, access, options
        self._root = f"{address.prefix}/" if address.prefix else ""
        self._failures = Failures(name, address.container, access, secrets_of(options, access))
        self._opened: tuple[Connection, Any] | None = None
        self._lock = threading.Lock()

    @classmethod
    def from_url(cls, url: RemoteURL, options: Options, scope: RemoteScope = RemoteScope()) -> AzureRemote:
        """Open ``az://container/prefix`` or ``abfs://container@account.dfs.core.windows.net/prefix``.

        Args:
            url: the address.
            options: an AzureOptions, or none of its values.
            scope: what the core lends.

        Returns:
            The remote; nothing was asked of it.

        Raises:
            InvalidOption: the URL or an option makes no sense.
            RemoteAuthError: credentials would go to a place that is not trusted.
        """
        chosen = options if isinstance(options, AzureOptions) else AzureOptions()
        address = parse_address(url, chosen.endpoint)
        access = choose_access(address, chosen)
        check_trust(access, address, name=scope.name, trusted=scope.trusted)
        return cls(address, access, chosen, scope.name)

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Send in one request, or in blocks that a last one makes the object; the service checks the MD5 of each."""
        from kist_azure.transfer import block_size, grouped

        self._name_of(key)
        with storage_errors(source):
            size = source.stat().st_size
        blocks = grouped(read_source(source, progress), block_size(size))
        self._put(key, size, blocks, if_absent=if_absent)

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        progress: Progress = NullProgress(),
        scratch: Path | None = None,  # noqa: ARG002 (no file is needed)
    ) -> None:
        """Send in one request, or in blocks, likewise."""
        from kist_azure.transfer import block_size, cut

        self._put(key, len(data), cut(data, block_size(len(data)), progress))

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Read the object into a file beside the target, then rename."""
        with self.open(key) as reader:
            write_target(target, read_pieces(reader), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read by requests of at most 8 MiB; a range costs one, and asks for no size before."""
        from kist_azure.transfer import BlockReader, first_block

        name = self._name_of(key)
        found = self._ask(key, lambda client: first_block(client, name, start, length))
        return buffered(BlockReader(*found, lambda work: self._ask(key, lambda _: work)))

    def stat(self, key: str) -> ObjectInfo:
        """Size and time of the blob."""
        from kist_azure.transfer import is_folder

        name = self._name_of(key)
        found = self._ask(key, lambda client: client.get_blob_client(name).get_blob_properties())
        if is_folder(found):
            raise RemoteObjectNotFound(key)
        return ObjectInfo(key, int(found.size), found.last_modified.timestamp())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Ask for 5000 names at a time, without folders in between."""
        from kist_azure.transfer import is_folder, next_page, pages_of

        if "\0" in prefix:
            return
        pages = pages_of(self._client(), self._root + prefix)
        while (page := self._ask("", lambda _: next_page(pages))) is not None:
            for one in page:
                if not is_folder(one):
                    yield ObjectInfo(one.name[len(self._root) :], int(one.size), one.last_modified.timestamp())

    def delete(self, key: str) -> None:
        """Remove one blob."""
        name = self._name_of(key)
        with suppress(RemoteObjectNotFound):
            self._ask(key, lambda client: client.delete_blob(name))

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Remove 256 blobs a request."""
        from kist_azure.transfer import delete_batch

        failed: dict[str, RemoteError] = {}
        for at in range(0, len(keys), _BATCH):
            batch = {self._name_of(key): key for key in keys[at : at + _BATCH]}
            try:
                parts = self._ask("", partial(delete_batch, names=tuple(batch)))
            except RemoteError as exc:
                failed |= dict.fromkeys(batch.values(), exc)
                continue
            for key, part in zip(batch.values(), parts, strict=True):
                if not 200 <= part.status_code < 300:
                    error = self._failures.of(part, key)
                    failed |= {} if isinstance(error, RemoteObjectNotFound) else {key: error}
        return failed

    def copy(self, source: str, target: str) -> None:
        """Copy on the server."""
        from kist_azure.transfer import copy_blob

        names = self._name_of(source), self._name_of(target)
        self._ask(source, lambda client: copy_blob(client, *names))

    def identity(self) -> str:
        """Whose the credentials are that were chosen."""
        return self._access.identity

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """The endpoint, every source of credentials with what came of it, and whose the chosen ones are."""
        from kist_azure.identity import identity_of

        pairs = [("container", f"{self._address.container} at {self._access.endpoint}")]
        pairs += [(f"credentials, {source}", result) for source, result in self._access.tried]
        if self._access.kind not in ("principal", "chain"):
            return [*pairs, ("identity", self._access.identity)]
        try:
            with self._failures(""):
                pairs += identity_of(self._connect()[0], self._access)
        except KistError as exc:
            pairs.append(("identity", f"none: {exc}"))
        return pairs

    def close(self) -> None:
        """End the connections."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened[0].close()

    def __repr__(self) -> str:
        return f"AzureRemote({self._address.container!r}, {self._address.prefix!r}, {self._access.endpoint!r})"

    def _put(self, key: str, size: int, blocks: Iterator[bytes], *, if_absent: bool = False) -> None:
        from kist_azure.transfer import block_size, send_blocks

        name = self._name_of(key)
        if size <= block_size(size):
            data = b"".join(blocks)
            self._ask(
                key, lambda client: client.upload_blob(name, data, overwrite=not if_absent, validate_content=True)
            )
            return

        def ask(call: Ask[Any]) -> Any:
            return self._ask(key, lambda client: call(client.get_blob_client(name)))

        send_blocks(ask, blocks, if_absent=if_absent)

    def _name_of(self, key: str) -> str:
        return self._root + check_key(key)

    def _connect(self) -> tuple[Connection, Any]:
        """The connection, made at the first call, and the SDK's client of the container."""
        with self._lock:
            if self._opened is None:
                from kist_azure.connection import Connection

                connection = Connection(self._access, self._options)
                self._opened = connection, connection.container(self._address.container)
            return self._opened

    def _ask(self, key: str, call: Ask[T]) -> T:
        """Run one call of the SDK, and translate what it raises."""
        with self._failures(key):
            connection, client = self._connect()
            return connection.run(call(client))

    def _client(self) -> Any:
        with self._failures(""):
            return self._connect()[1]
