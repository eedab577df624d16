"""RemoteStore: what stands on a remote besides data: format, markers, sets, refs, condemned keys."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kist.abc.executor import Executor, InLine
from kist.abc.hasher import Hasher
from kist.abc.remote import Remote
from kist.engine.process.load import Load
from kist.engine.process.workers import Workers
from kist.engine.transfer import objects
from kist.engine.transfer.counted import CountedRemote
from kist.engine.transfer.hints import Hints
from kist.engine.transfer.published import (
    GRACE,
    MAX_INDEXES,
    Condemned,
    Published,
    dump_published,
    load_published,
    set_key,
)
from kist.errors import (
    KistError,
    MetafileVersionError,
    ObjectCorrupt,
    RemoteError,
    RemoteFormatError,
    RemoteMissing,
    RemoteObjectNotFound,
    RemotePermissionError,
)
from kist.model.digest import Digest
from kist.util import clock

FORMAT_KEY = "kist-remote"
CONDEMNED_KEY = "condemned"
PACK_THRESHOLD = 1 << 20
"""Objects of at least this many bytes lie by themselves on a new remote, smaller ones in packs."""


_FORMAT_HINT = "format"

Hashers = Callable[[str], Hasher]


class RemoteStore:
    """A remote that holds versions in the native layout.

    Args:
        remote: the key-to-bytes store, already wrapped with the retry policy.
        hashers: makes the hasher of an algorithm.
        name: the remote's configured name, for messages.
        memory: a private folder for hints and copies of index files, None for none.
        load: the memory that transfers may take, and the remote's refusals; None for one of its own.
        executors: gives the executor for a number of calls at once; it must share our memory.

    Attributes:
        hints: what this machine remembers of it.
        pack_threshold: as ``kist-remote`` says, known after :meth:`open`.
        scratch: where temporary files stand, None: where the system keeps them.
        load: what workers for it watch.
        created: whether this object wrote ``kist-remote``, so that nothing else can be there yet.
    """

    def __init__(
        self,
        remote: Remote,
        *,
        hashers: Hashers,
        name: str = "remote",
        memory: Path | None = None,
        load: Load | None = None,
        executors: Callable[[int], Executor] = lambda _: InLine(),
    ) -> None:
        self.load = load or Load()
        self._executors = executors
        self.remote = CountedRemote(remote)
        self.hashers = hashers
        self.name = name
        self.hints = Hints(memory)
        self.pack_threshold = PACK_THRESHOLD
        self.scratch: Path | None = None
        self.created = False
        self._opened: bool | None = None

    @property
    def requests(self) -> int:
        """Requests made so far."""
        return self.remote.requests

    def workers(self, jobs: int) -> Workers:
        """Workers for calls to this remote: at most *jobs* at once, and as many as the remote bears."""
        return Workers(self._executors(jobs), min(jobs, self.remote.capabilities.max_concurrency), self.load)

    def open(self, *, create: bool = False, new: bool = False) -> bool:
        """Read ``kist-remote``; the first call costs one request, or two where there is none, later ones none.

        Args:
            create: write it if it is absent.
            new: whether the very place of the remote may be absent, if nothing is remembered of it here.

        Returns:
            Whether the remote is a store of ours (now).

        Raises:
            RemoteMissing: the place itself is not there, which is no proof that nothing was ever stored.
            RemoteFormatError: the format is newer or not readable, or something else is there.
            RemoteError: the remote refused or failed.
        """
        if self._opened is None:
            try:
                opened = self._read_format(forgive=create)
                if not opened:
                    _refuse_foreign(self.remote, self.name)
            except RemoteMissing as exc:
                if not (create or new):
                    raise
                if not self.hints.empty:
                    raise self._vanished(exc) from exc
                opened = False
            self._opened = opened
        if not self._opened and create:
            self.put_bytes(FORMAT_KEY, objects.dump_text("remote", {"pack_threshold": PACK_THRESHOLD}))
            self.created = self._opened = True
            self._remember_format()
        return self._opened

    def assume(self) -> bool:
        """Take the format for what it was when this machine last read it, so that no request is needed.

        Whoever finds a valid marker then has the proof; who does not calls :meth:`reopen`.

        Returns:
            Whether the format is remembered.
        """
        text = self.hints.recall(_FORMAT_HINT) or b""
        if self._opened is None and text.isdigit() and len(text) < 10:
            self._opened, self.pack_threshold = True, int(text)
            return True
        return False

    def reopen(self) -> None:
        """Forget what was assumed: the next :meth:`open` reads the format."""
        self._opened = None

    def _remember_format(self) -> None:
        text = str(self.pack_threshold).encode()
        if self.hints.recall(_FORMAT_HINT) != text:
            self.hints.remember(_FORMAT_HINT, text)

    def _vanished(self, error: RemoteMissing) -> RemoteMissing:
        """The error for a place that was there before."""
        return RemoteMissing(
            f"{error.message}, but there was one when {self.name} was last used from here",
            hint=f"is the disk or share mounted? If it is gone for good, 'kist doctor --fix --remote {self.name}' "
            "forgets it, and the next push begins anew",
            remote=self.name,
        )

    def _read_format(self, *, forgive: bool) -> bool:
        try:
            value = objects.get_text(self.remote, "remote", FORMAT_KEY, limit=4096)
            threshold = objects.whole_number(value.get("pack_threshold"), FORMAT_KEY)
        except RemoteObjectNotFound:
            return False
        except RemotePermissionError:
            if forgive:  # without the right to list, some stores answer "forbidden" for what is absent
                return False
            raise
        except MetafileVersionError as exc:
            raise RemoteFormatError(
                f"the remote {self.name} was made by a newer version of kist", hint=exc.hint, remote=self.name
            ) from exc
        except ObjectCorrupt as exc:
            raise RemoteFormatError(
                f"the remote {self.name} has a {FORMAT_KEY} that cannot be read",
                hint="is this the right place? If so, remove that one file and push again",
                remote=self.name,
            ) from exc
        self.pack_threshold = min(threshold, 16 << 20)
        self._remember_format()
        return True

    def put_bytes(self, key: str, data: bytes) -> None:
        """Store a small text or an index."""
        self.remote.put_bytes(key, data, scratch=self.scratch)

    # ── markers and sets ─────────────────────────────────────────────────────────────────────────────────────────────

    def read_marker(self, root: Digest) -> Published | None:
        """The marker of a version; None if it is absent, not valid, or forbidden (which some stores say for absent)."""
        return self._read_published("root", objects.root_key(root), (root,))

    def read_set(self, roots: Iterable[Digest]) -> Published | None:
        """The set of exactly these versions, None if there is none."""
        ordered = tuple(sorted(set(roots)))
        return self._read_published("set", set_key(ordered), ordered)

    def _read_published(self, what: str, key: str, roots: tuple[Digest, ...]) -> Published | None:
        if not self.open():
            return None
        try:
            value = objects.get_text(self.remote, what, key)
            return load_published(value, roots, key)
        except (RemoteObjectNotFound, RemotePermissionError, ObjectCorrupt):
            return None

    def read_any_set(self, key: str) -> Published | None:
        """The set under a key, whatever versions it speaks of; None if it is absent or not valid."""
        try:
            value = objects.get_text(self.remote, "set", key)
            roots = objects.digest_list(value.get("roots"), key)
            return load_published(value, roots, key) if set_key(roots) == key else None
        except (RemoteObjectNotFound, ObjectCorrupt):
            return None

    def write_marker(self, published: Published) -> None:
        """Write the marker of the one version of *published*: last of all, when everything else is durable."""
        (root,) = published.roots
        self.put_bytes(objects.root_key(root), dump_published("root", published))

    def write_set(self, published: Published) -> None:
        """Write a set, after the markers of all its versions."""
        ordered = Published(tuple(sorted(set(published.roots))), published.indexes, published.repositories)
        self.put_bytes(set_key(ordered.roots), dump_published("set", ordered))

    def published(self, roots: Sequence[Digest]) -> dict[Digest, Published]:
        """What is known of many versions for one request: a set for several, a marker for one.

        Args:
            roots: the versions.

        Returns:
            The complete ones; those that are not in it may still have a marker.
        """
        distinct = sorted(set(roots))
        if not distinct:
            return {}
        found = self.read_marker(distinct[0]) if len(distinct) == 1 else self.read_set(distinct)
        return {root: found.narrowed(root) for root in distinct} if found else {}

    # ── refs and condemned keys ──────────────────────────────────────────────────────────────────────────────────────

    def write_refs(self, repository_id: str, roots: Iterable[Digest], workers: Workers) -> None:
        """Say that *roots* are versions of this repository."""
        texts = {
            objects.ref_key(repository_id, root): {"repository": repository_id, "root": str(root)} for root in roots
        }
        dumped = [(key, objects.dump_text("ref", value)) for key, value in texts.items()]
        objects.put_texts(self.remote, dumped, workers, folder=self.scratch)

    def read_condemned(self, *, again: bool = False) -> Condemned:
        """The keys that gc means to delete; one request.

        Args:
            again: ask even where nothing can have been when this object made the remote.

        Raises:
            ObjectCorrupt: the list cannot be read, so nothing may be trusted to stay.
            RemoteError: the remote refused or failed.
        """
        now = clock.steady()
        if (self.created and not again) or not self.open():
            return Condemned({}, now)
        try:
            value = objects.get_text(self.remote, "condemned", CONDEMNED_KEY)
        except (RemoteObjectNotFound, RemotePermissionError):
            return Condemned({}, now)
        except ObjectCorrupt as exc:
            raise self._unreadable(exc.actual) from exc
        grace, collected = value.get("grace", GRACE), value.get("collected")
        if not isinstance(grace, int | float) or not isinstance(collected, int | float | None):
            raise self._unreadable("a text of another form")
        keys, deleting = self._times(value.get("keys")), self._times(value.get("deleting", {}))
        return Condemned(keys, now, deleting, float(grace), collected)

    def _times(self, value: object) -> dict[str, float]:
        if not isinstance(value, dict) or not all(isinstance(since, int | float) for since in value.values()):
            raise self._unreadable("a text of another form")
        return {key: float(since) for key, since in value.items()}

    def _unreadable(self, actual: str) -> ObjectCorrupt:
        hint = f"'kist gc --remote {self.name}' writes it anew: what it named is condemned from then on"
        return ObjectCorrupt(CONDEMNED_KEY, actual=actual, where=f"the remote {self.name}", hint=hint)

    def write_condemned(self, condemned: Condemned) -> None:
        """Replace the list of condemned keys; one that says nothing removes the file.

        Args:
            condemned: what it says from now on.
        """
        if condemned.keys or condemned.deleting or condemned.collected is not None:
            self._put_condemned(condemned)
        else:
            self.remote.delete(CONDEMNED_KEY)

    def stamp_condemned(self, condemned: Condemned) -> float:
        """Write the list of condemned keys as it stands and tell the remote's own time, which nobody else can set.

        Args:
            condemned: the list.

        Returns:
            UTC seconds; by our clock where the remote does not tell times.
        """
        self._put_condemned(condemned)
        now = self.remote.stat(CONDEMNED_KEY).mtime
        return time.time() if now is None else now

    def _put_condemned(self, condemned: Condemned) -> None:
        value: dict[str, object] = {"keys": dict(condemned.keys)}
        if condemned.deleting:
            value["deleting"] = dict(condemned.deleting)
        if condemned.grace != GRACE:
            value["grace"] = condemned.grace
        if condemned.collected is not None:
            value["collected"] = condemned.collected
        self.put_bytes(CONDEMNED_KEY, objects.dump_text("condemned", value))


def write_markers(store: RemoteStore, published: Iterable[Published], workers: Workers) -> None:
    """Write many markers, last of all, as :meth:`RemoteStore.write_marker` does; *workers* run the calls."""
    texts = [(objects.root_key(one.roots[0]), dump_published("root", one)) for one in published]
    objects.put_texts(store.remote, texts, workers, folder=store.scratch)


def _refuse_foreign(remote: Remote, name: str) -> None:
    """Do not mix with what somebody else keeps at a place without a store of ours.

    Args:
        remote: the place.
        name: the remote's name, for the message.

    Raises:
        RemoteFormatError: the first key of a listing is none of ours.
        RemoteError: the remote refused or failed.
    """
    try:
        found = next(iter(remote.list("")), None)
    except (RemotePermissionError, RemoteMissing):
        return
    if found is not None and not objects.is_own_key(found.key):
        who = remote.identity()
        raise RemoteFormatError(
            f"the remote {name} holds something else already ({found.key:.80}){f', seen as {who}' if who else ''}",
            hint="give it an empty folder or prefix of its own",
            remote=name,
        )


def named_by_content(key: str, data: bytes, where: str) -> bytes:
    """*data* of a key whose last part is the SHA-256 of its bytes, checked.

    Args:
        key: the key.
        data: what stands there.
        where: the remote's name.

    Raises:
        ObjectCorrupt: it is not that.
    """
    if hashlib.sha256(data).hexdigest() != key.rpartition("/")[2]:
        raise ObjectCorrupt(key, where=f"the remote {where}")
    return data


def never_pushed(root: Digest, store_name: str, paths: Sequence[str] = ()) -> KistError:
    """The error for a version without a marker."""
    from kist.errors import ObjectMissing

    return ObjectMissing(
        str(root),
        paths=paths,
        where=f"the remote {store_name}",
        hint="this version was never pushed there, or not completely: run 'kist push' where it was added",
    )


__all__ = [
    "CONDEMNED_KEY",
    "FORMAT_KEY",
    "GRACE",
    "MAX_INDEXES",
    "PACK_THRESHOLD",
    "Condemned",
    "Hashers",
    "Published",
    "RemoteError",
    "RemoteStore",
    "named_by_content",
    "never_pushed",
    "set_key",
    "write_markers",
]
