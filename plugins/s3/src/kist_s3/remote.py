"""S3Remote: objects in a bucket, or below a prefix of it."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from kist.abc import Capabilities, NullProgress, ObjectInfo, Options, Progress, Remote, RemoteScope, RemoteURL
from kist.errors import RemoteError, RemoteObjectNotFound
from kist.kit import storage_errors
from kist.remotes.files import check_key, read_data, read_source, write_target
from kist.remotes.wrapping import buffered
from kist_s3.address import place_of
from kist_s3.client import Client
from kist_s3.conditions import Conditions
from kist_s3.direct import SMALLEST, DirectReads
from kist_s3.failures import Answer, Failures
from kist_s3.options import S3Options
from kist_s3.region import ask_region
from kist_s3.streams import StreamReader

SINGLE = 16 << 20
"""Bytes up to which an object is sent in one request, and of the parts of larger ones."""

_PARTS = 9000
"""Parts of one upload; the protocol allows 10,000."""

_PAGE = 1000
"""Keys of one page of a listing, and of one bulk deletion."""

_LARGEST = 5 << 40
"""Bytes of the largest object."""


class S3Remote(Remote):
    """Keeps each object under the prefix and its key.

    Args:
        place: bucket and prefix.
        options: how to get there.
        scope: what the core lends.
    """

    def __init__(
        self, place: tuple[str, str], options: S3Options = S3Options(), scope: RemoteScope = RemoteScope()
    ) -> None:
        self._client = Client(place, options, scope)
        self._where = "/".join(part for part in ("s3:/", *place) if part)
        self._failures = Failures(
            scope.name,
            self._where,
            who=lambda: self.identity() or "not signed yet",
            secrets=self._secrets,
            find_region=lambda: ask_region(self._client),
        )
        self._direct = DirectReads(self._client, self._failures)
        self._conditions = Conditions(self._client, self._failures)
        self._attributes = {"Storage-Class": options.storage_class} if options.storage_class else None
        self._answered = False

    @classmethod
    def from_url(cls, url: RemoteURL, options: Options, scope: RemoteScope) -> S3Remote:
        """Open ``s3://bucket`` or ``s3://bucket/prefix``; no request is made.

        Args:
            url: the address.
            options: an S3Options, or none of its values.
            scope: what the core lends.

        Returns:
            The remote.

        Raises:
            InvalidOption: a URL or options that can never work.
        """
        return cls(place_of(url), options if isinstance(options, S3Options) else S3Options(), scope)

    @property
    def capabilities(self) -> Capabilities:  # type: ignore[override]
        """What is known of the server, which may be more after the first conditional put."""
        return Capabilities(max_concurrency=32, if_absent=self._conditions.honoured, max_object_size=_LARGEST)

    def put_file(self, key: str, source: Path, *, if_absent: bool = False, progress: Progress = NullProgress()) -> None:
        """Send in one request, or in parts that become visible in one step."""
        check_key(key)
        with storage_errors(source):
            size = source.stat().st_size
        if if_absent or size <= SINGLE:
            data = b"".join(read_source(source, progress, size))  # one piece, which is not copied
            if if_absent and self._conditions.honoured:
                self._conditions.put(key, data, self._attributes)
            else:
                self._put(key, data)
        else:
            self._put_parts(key, size, _Pieces(read_source(source, progress)))
        self._answered = True

    def put_bytes(
        self,
        key: str,
        data: bytes,
        *,
        progress: Progress = NullProgress(),
        scratch: Path | None = None,  # noqa: ARG002 (no file is needed)
    ) -> None:
        """Send in one request, or in parts, without a copy of the bytes."""
        check_key(key)
        if len(data) <= SINGLE:
            progress.advance(len(data))  # before it is sent: what that raises leaves nothing behind
            self._put(key, data)
        else:
            self._put_parts(key, len(data), _Pieces(read_data(data, progress)))
        self._answered = True

    def get_file(self, key: str, target: Path, *, progress: Progress = NullProgress()) -> None:
        """Bring the object in one request, written as it arrives."""
        with self.open(key) as reader:
            write_target(target, iter(lambda: reader.read(1 << 20), b""), progress)

    def open(self, key: str, *, start: int = 0, length: int | None = None) -> BinaryIO:
        """Read by one request; bytes are handed on as they arrive."""
        import obstore

        check_key(key)
        if length == 0:
            self.stat(key)
            return BytesIO()
        if length is not None and length >= SMALLEST and (stream := self._direct.open(key, start, length)) is not None:
            self._answered = True
            return stream
        options: Any = None
        if length is not None:
            options = {"range": (start, start + length)}
        elif start:
            options = {"range": {"offset": start}}
        try:
            with self._failures(key):
                found = obstore.get(self._client.reading, key, options=options)
        except RemoteError as error:
            if error.__cause__ is not None and Answer.of(error.__cause__).status == 416:
                return BytesIO()
            raise
        self._answered = True
        return buffered(StreamReader(iter(found.stream(min_chunk_size=1 << 18)), lambda: self._failures(key)))

    def stat(self, key: str) -> ObjectInfo:
        """Size and time by HEAD; its refusals have no body, so that the reason is asked for by GET."""
        import obstore

        check_key(key)
        try:
            with self._failures(key):
                found = obstore.head(self._client.reading, key)
        except RemoteError as error:
            self._explain(key, error)
            raise
        self._answered = True
        return ObjectInfo(key, found["size"], found["last_modified"].timestamp())

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Page by page, from the folder of the prefix, since obstore lists whole folders only."""
        import obstore

        if any(part in ("", ".", "..") for part in prefix.split("/")[:-1]):
            return  # no key begins like that
        folder = prefix.rpartition("/")[0]
        with self._failures(prefix):
            pages = obstore.list(
                self._client.reading, folder or None, offset=_just_before(prefix, folder), chunk_size=_PAGE
            )
        while True:
            with self._failures(prefix):
                page = next(pages, None)
            self._answered = True
            if page is None:
                return
            for one in page:
                key = one["path"]
                if key.startswith(prefix) and key:
                    yield ObjectInfo(key, one["size"], one["last_modified"].timestamp())
                elif key > prefix:
                    return

    def delete(self, key: str) -> None:
        """Remove one key; S3 does not tell whether it was there."""
        import obstore

        check_key(key)
        with suppress(RemoteObjectNotFound), self._failures(key):
            obstore.delete(self._client.writing(SINGLE), key)
            self._answered = True

    def delete_many(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        """Remove up to a thousand keys a request, and one by one where that failed for some."""
        failed: dict[str, RemoteError] = {}
        for at in range(0, len(keys), _PAGE):
            failed.update(self._delete_page(keys[at : at + _PAGE]))
        return failed

    def copy(self, source: str, target: str) -> None:
        """Copy on the server; through this machine where it is too large for one request of that kind."""
        import obstore

        check_key(source)
        check_key(target)
        try:
            with self._failures(source):
                obstore.copy(self._client.writing(SINGLE), source, target)
        except RemoteError as error:
            cause = error.__cause__
            if cause is None or Answer.of(cause).code not in ("InvalidRequest", "EntityTooLarge", "NotImplemented"):
                raise
            super().copy(source, target)

    def sweep(self) -> int:
        """Give up uploads in parts that nobody goes on with."""
        from kist_s3.uploads import abort_abandoned

        with self._failures(""):
            return abort_abandoned(self._client)

    def identity(self) -> str:
        """The key and where it came from, as far as it was looked for."""
        identity = self._client.known()
        return str(identity) if identity else ""

    def describe_access(self) -> Sequence[tuple[str, str]]:
        """Where, and as whom; asks the usual places for credentials."""
        address = self._client.address()
        identity = self._client.identity()
        pairs = [
            ("place", f"{address} at {address.endpoint}, region {address.region}"),
            ("credentials asked", ", ".join(identity.tried) or "none: anonymous access"),
            ("identity", f"{identity}{', temporary' if identity.temporary else ''}"),
            ("conditional writes", self._conditions.told),
        ]
        if not self._client.options.verify:
            pairs.append(("TLS", "certificates are not checked"))
        return pairs

    def close(self) -> None:
        """Let go of connections."""
        self._direct.close()
        self._client.close()

    def __repr__(self) -> str:
        return f"S3Remote({self._where!r})"

    def _put(self, key: str, data: bytes) -> None:
        import obstore

        with self._failures(key):
            store = self._client.writing(SINGLE) if len(data) > 1 << 20 else self._client.reading
            obstore.put(store, key, data, attributes=self._attributes, use_multipart=False)

    def _put_parts(self, key: str, size: int, pieces: _Pieces) -> None:
        """At most two parts are on their way and one in the making; a failure gives the whole upload up."""
        import obstore

        part = max(SINGLE, -(-size // _PARTS))
        try:
            with self._failures(key):
                store = self._client.writing(part)
                obstore.put(store, key, pieces, attributes=self._attributes, chunk_size=part, max_concurrency=2)
        except Exception:
            if pieces.error is not None:
                raise pieces.error from None  # the caller's own, or the local disk's
            raise

    def _explain(self, key: str, error: RemoteError) -> None:
        """Raise what a GET tells of the refusal of a HEAD, if that is more."""
        answer = Answer.of(error.__cause__) if error.__cause__ is not None else Answer()
        absent = isinstance(error, RemoteObjectNotFound) and not self._answered
        if not absent and answer.status not in (400, 401, 403):
            return
        with self.open(key, length=1):
            return

    def _delete_page(self, keys: Sequence[str]) -> dict[str, RemoteError]:
        import obstore

        try:
            for key in keys:
                check_key(key)
            with self._failures(f"{len(keys)} keys"):
                obstore.delete(self._client.reading, builtins.list(keys))
        except RemoteError as error:
            code = Answer.of(error.__cause__).code if error.__cause__ is not None else ""
            if error.retryable or code == "NoSuchBucket":
                return dict.fromkeys(keys, error)
            return super().delete_many(keys)
        return {}

    def _secrets(self) -> tuple[str, ...]:
        identity = self._client.known()
        return identity.secrets() if identity else ()


class _Pieces:
    """Pieces of an object for obstore, which remembers what stopped them."""

    def __init__(self, pieces: Iterable[bytes | memoryview]) -> None:
        self._pieces = iter(pieces)
        self.error: BaseException | None = None

    def __iter__(self) -> _Pieces:
        return self

    def __next__(self) -> bytes | memoryview:
        try:
            return next(self._pieces)
        except StopIteration:
            raise
        except BaseException as exc:
            self.error = exc
            raise


def _just_before(prefix: str, folder: str) -> str | None:
    """A text that sorts before every key with the prefix and after almost all others of the folder."""
    name = prefix[len(folder) :].lstrip("/")
    if not name:
        return None
    return f"{prefix[:-1]}{chr(ord(prefix[-1]) - 1)}~" if ord(prefix[-1]) > ord("!") else None
