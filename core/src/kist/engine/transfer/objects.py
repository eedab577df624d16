"""Functions over a Remote that every remote shares: small texts, ranges, keys."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kist.abc.remote import Remote
from kist.engine.process.workers import Workers
from kist.errors import KistError, MetafileError, MetafileVersionError, ObjectCorrupt
from kist.model.digest import Digest
from kist.util.atomic import storage_errors
from kist.util.json_text import load_json

T = TypeVar("T")

TEXT_LIMIT = 64 << 20
"""Largest marker, set or list of condemned keys that is read, in bytes."""

_TOGETHER = 64
"""Small texts that one call stores at most."""

TRIES = 4
"""How often bytes are asked for that come damaged before the remote's own copy is taken to be so."""

_OBJECT_KEY = re.compile(r"objects/([a-z0-9][a-z0-9_-]{0,31})/([0-9a-f]{2})/([0-9a-f]{14,126})")
_ROOT_KEY = re.compile(r"roots/([a-z0-9][a-z0-9_-]{0,31})/([0-9a-f]{16,128})")
_OWN_KEY = re.compile(
    r"kist-remote|condemned|(?:packs|index|sets)/[0-9a-f]{64}"
    r"|(?:objects|roots)/[a-z0-9][a-z0-9_-]{0,31}/[0-9a-f/]{16,160}(?:\.segments)?"
    r"|refs/[0-9a-z][0-9a-z._-]{0,63}/[a-z0-9][a-z0-9_-]{0,31}/[0-9a-f]{16,128}"
)
_TEXT_HEAD = re.compile(rb"kist-([a-z]{1,32})/([0-9]{1,9})")

SEGMENTS_SUFFIX = ".segments"


def object_key(digest: Digest) -> str:
    """The key of an object that lies by itself: ``objects/<algorithm>/<2 hex>/<rest>``."""
    return f"objects/{digest.algorithm}/{digest.hex[:2]}/{digest.hex[2:]}"


def segments_key(digest: Digest) -> str:
    """The key of an object's segment list."""
    return object_key(digest) + SEGMENTS_SUFFIX


def parse_object_key(key: str) -> Digest | None:
    """The object that lies under *key* (itself or as a segment list), None if it is not an object's key."""
    match = _OBJECT_KEY.fullmatch(key.removesuffix(SEGMENTS_SUFFIX))
    return Digest(match[1], match[2] + match[3]) if match else None


def root_key(root: Digest) -> str:
    """The key of a version's root marker."""
    return f"roots/{root.algorithm}/{root.hex}"


def parse_root_key(key: str) -> Digest | None:
    """The version whose marker lies under *key*, None if it is not a marker's key."""
    match = _ROOT_KEY.fullmatch(key)
    return Digest(match[1], match[2]) if match else None


def ref_key(repository_id: str, root: Digest) -> str:
    """The key that says that *root* is a version of the repository *repository_id*."""
    return f"refs/{repository_id}/{root.algorithm}/{root.hex}"


def parse_ref_key(key: str) -> tuple[str, Digest] | None:
    """Repository id and version of a ref's key, None if it is not one."""
    if not _OWN_KEY.fullmatch(key) or not key.startswith("refs/"):
        return None
    _, repository_id, algorithm, hexadecimal = key.split("/")
    return repository_id, Digest(algorithm, hexadecimal)


def is_own_key(key: str) -> bool:
    """Whether *key* is one that a store of ours writes; gc touches no other."""
    return _OWN_KEY.fullmatch(key) is not None


def put_texts(
    remote: Remote, texts: Iterable[tuple[str, bytes]], workers: Workers, *, folder: Path | None = None
) -> None:
    """Store many small texts: in as many calls as keep all workers busy, and in batches where there are more.

    Args:
        remote: where.
        texts: keys and their whole contents.
        workers: run the calls.
        folder: where temporary files stand; None: where the system keeps them.

    Raises:
        RemoteError: the remote refused or failed; some may be there.
        StorageError: no temporary file could be written.
    """
    items = list(texts)
    size = min(_TOGETHER, max(1, len(items) // (4 * workers.most)))
    batches = [items[start : start + size] for start in range(0, len(items), size)]
    for _, result in workers.run(partial(_put_some, remote, folder), batches):
        if isinstance(result, KistError):
            raise result


def _put_some(remote: Remote, folder: Path | None, texts: list[tuple[str, bytes]]) -> None:
    if len(texts) == 1:
        remote.put_bytes(*texts[0], scratch=folder)
        return
    with storage_errors():
        place = Path(tempfile.mkdtemp(prefix="kist-put-", dir=folder))
    try:
        paths = {key: place / str(number) for number, (key, _) in enumerate(texts)}
        with storage_errors(place):
            for key, data in texts:
                paths[key].write_bytes(data)
        for error in remote.put_many(paths.items()).values():
            raise error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def get_bytes(remote: Remote, key: str, *, limit: int = TEXT_LIMIT) -> bytes:
    """Read a whole small object.

    Args:
        remote: where.
        key: the key.
        limit: bytes of the largest that is accepted.

    Raises:
        ObjectCorrupt: it is larger than *limit*.
        RemoteError: the remote refused or failed.
    """
    with remote.open(key) as reader:
        data = read_exactly(reader, limit + 1)
    if len(data) > limit:
        raise ObjectCorrupt(key, actual=f"more than {limit} bytes", where="the remote")
    return data


def get_range(remote: Remote, key: str, start: int, length: int) -> bytes:
    """Read exactly *length* bytes of an object from *start*.

    Raises:
        ObjectCorrupt: the object ends earlier.
        RemoteError: the remote refused or failed.
    """
    with remote.open(key, start=start, length=length) as reader:
        data = read_exactly(reader, length)
    if len(data) != length:
        raise ObjectCorrupt(key, actual=f"{len(data)} instead of {length} bytes from {start}", where="the remote")
    return data


def tries(remote: Remote, key: str) -> Iterator[int]:
    """Number the attempts at reading what may come damaged: a line damages what the remote has whole.

    Where two failed, small requests go before the next: a server, or one of several behind an address, that spoils each
    n-th answer would spoil the same one of every attempt if each attempt asked for as much.

    Args:
        remote: where from.
        key: what is read.

    Yields:
        0, 1, … as often as it is worth trying.
    """
    for number in range(TRIES):
        for _ in range(number - 1):
            with suppress(KistError):
                remote.stat(key)
        yield number


def insist(read: Callable[[], T], remote: Remote, key: str) -> T:
    """Read, and again if what came was damaged.

    Args:
        read: raises ObjectCorrupt where the bytes are not the expected ones.
        remote: where it reads.
        key: what it reads.

    Raises:
        ObjectCorrupt: each of the TRIES times.
    """
    attempts = tries(remote, key)
    while True:
        number = next(attempts)
        try:
            return read()
        except ObjectCorrupt:
            if number == TRIES - 1:
                raise


def get_text(remote: Remote, what: str, key: str, *, limit: int = TEXT_LIMIT) -> dict[str, Any]:
    """Read one of the store's small texts from a remote.

    Args:
        remote: where.
        what: as in :func:`dump_text`.
        key: its key.
        limit: bytes of the largest that is accepted.

    Raises:
        MetafileVersionError: it was written by a newer version.
        ObjectCorrupt: it is not such a text, or not whole.
        RemoteError: the remote refused or failed.
    """
    return insist(lambda: load_text(what, get_bytes(remote, key, limit=limit), where=key), remote, key)


def read_exactly(reader: Any, length: int) -> bytes:
    """Up to *length* bytes, in as many reads as that takes."""
    parts = []
    while length > 0 and (part := reader.read(min(length, 1 << 20))):
        parts.append(part)
        length -= len(part)
    return b"".join(parts)


def dump_text(what: str, value: Mapping[str, Any]) -> bytes:
    """Write one of the store's small texts: first line, canonical JSON, digest of both.

    Args:
        what: ``remote``, ``root``, ``set``, ``ref``, ``condemned`` or ``segments``.
        value: JSON data.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    body = f"kist-{what}/1\n{text}\n".encode()
    return body + f"sha256:{hashlib.sha256(body).hexdigest()}\n".encode()


def load_text(what: str, data: bytes, *, where: str) -> dict[str, Any]:
    """Read one of the store's small texts.

    Args:
        what: as in :func:`dump_text`.
        data: its bytes.
        where: its key, for messages.

    Raises:
        MetafileVersionError: it was written by a newer version.
        ObjectCorrupt: it is not such a text, or not whole.
    """
    head, _, rest = data.partition(b"\n")
    match = _TEXT_HEAD.fullmatch(head)
    if match is None or match[1] != what.encode():
        raise ObjectCorrupt(where, actual="something that is no such text", where="the remote")
    text, _, seal = rest.partition(b"\n")
    body = data[: len(head) + 1 + len(text) + 1]
    if seal != b"sha256:" + hashlib.sha256(body).hexdigest().encode() + b"\n":
        raise ObjectCorrupt(where, actual="a text whose digest does not fit", where="the remote")
    if match[2] != b"1":  # only now: a number that was damaged is no newer version
        raise MetafileVersionError(f"{where} was written by a newer version ({head.decode()})", path=where)
    try:
        value = load_json(text)
    except ValueError as exc:
        raise ObjectCorrupt(where, actual="a text that is not JSON", where="the remote") from exc
    if not isinstance(value, dict):
        raise ObjectCorrupt(where, actual="a text of another form", where="the remote")
    return value


def digest_list(value: object, where: str) -> tuple[Digest, ...]:
    """A JSON list of digests.

    Raises:
        ObjectCorrupt: it is something else.
    """
    if not isinstance(value, list):
        raise ObjectCorrupt(where, actual="a text of another form", where="the remote")
    try:
        return tuple(Digest.parse(one) for one in value)
    except MetafileError as exc:
        raise ObjectCorrupt(where, actual=exc.message, where="the remote") from exc


def text_list(value: object, pattern: str, where: str) -> tuple[str, ...]:
    """A JSON list of texts that each match *pattern* as a whole.

    Raises:
        ObjectCorrupt: it is something else.
    """
    if not isinstance(value, list) or not all(isinstance(one, str) and re.fullmatch(pattern, one) for one in value):
        raise ObjectCorrupt(where, actual="a text of another form", where="the remote")
    return tuple(value)


def whole_number(value: object, where: str) -> int:
    """A JSON number that counts something.

    Raises:
        ObjectCorrupt: it is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ObjectCorrupt(where, actual="a text of another form", where="the remote")
    return value
