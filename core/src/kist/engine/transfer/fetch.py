"""Fetch: bring versions, or parts of them, from a remote into the cache; every object is checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Self, Unpack

from kist.engine.cache.cache import Cache
from kist.engine.storage.located import Located
from kist.engine.transfer.fetch_data import DataFetch
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.parts import (
    TransferArguments,
    TransferSettings,
    Walker,
    Want,
    content_sizes,
    in_blocks,
    named_paths,
)
from kist.engine.transfer.remote_index import RemoteIndexes
from kist.engine.transfer.remote_read import RemoteReader
from kist.engine.transfer.remote_store import Published, RemoteStore, never_pushed
from kist.errors import KistError, MetafileError, ObjectCorrupt, ObjectMissing
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.plan import TransferPlan
from kist.model.report import TransferReport
from kist.util.slotted import field, slotted

ReadNodes = Callable[[Sequence[bytes]], Sequence[bytes | KistError]]


def fetch_versions(
    cache: Cache, store: RemoteStore, wants: Sequence[Want], **options: Unpack[TransferArguments]
) -> TransferReport:
    """Bring versions into the cache. What is there already costs nothing, and no request if all is.

    Args:
        cache: where to.
        store: the remote.
        wants: what to bring.
        options: codec, jobs, progress, dry_run, before: see :class:`TransferSettings`.

    Returns:
        What moved; ``failures`` names versions that were never pushed and objects that are missing or damaged there,
        the rest came.

    Raises:
        RemoteError: the remote refused or failed altogether.
        RemoteFormatError: the remote is not ours, or newer.
    """
    fetch = Fetch(cache, store, TransferSettings(**options))
    fetch.settings.announce(fetch.plan(wants))
    return fetch.run()


@slotted()
class Lack:
    """What the cache lacks of the wants of one algorithm.

    Attributes:
        algorithm: its name.
        wants: those that are not complete here.
        reader: reads from the remote.
        located: where what is to be brought lies there.
        failed: objects that are missing or damaged there.
    """

    algorithm: str
    wants: list[Want]
    reader: RemoteReader
    located: Located
    failed: dict[bytes, KistError] = field(default_factory=dict)


class Fetch:
    """One fetch: :meth:`plan`, then :meth:`run`.

    Args:
        cache: where to.
        store: the remote.
        settings: how to transfer.
    """

    def __init__(self, cache: Cache, store: RemoteStore, settings: TransferSettings) -> None:
        self._cache = cache
        self._local = LocalSide(cache)
        self._store = store
        self.settings = settings
        self._workers = store.workers(settings.jobs)
        self._before = store.requests
        self._wants: list[Want] = []
        self._complete: list[Want] = []
        self._lacks: list[Lack] = []
        self._failures: dict[str, KistError] = {}
        self._nodes = 0
        self._node_bytes = 0

    def plan(self, wants: Sequence[Want]) -> TransferPlan:
        """Find out what is missing: brings markers, indexes and manifest nodes, no data.

        Raises:
            RemoteError: the remote refused or failed.
            RemoteFormatError: the remote is not ours, or newer.
        """
        self._wants = list(dict.fromkeys(wants))
        lacking = self._lacking()
        there = set(self._wants).difference(lacking)
        self._complete = [want for want in self._wants if want in there]
        if lacking:
            published = self._markers(lacking)
            for algorithm in sorted({want.root.algorithm for want in lacking}):
                group = [want for want in lacking if want.root.algorithm == algorithm and want.root in published]
                if group:
                    self._lacks.append(self._lack(algorithm, group, published))
        return TransferPlan("fetch", self._store.name, self._count(), self._size(), tuple(map(str, self._roots())))

    def run(self) -> TransferReport:
        """Bring what was planned; what is missing or damaged on the remote is among the report's failures.

        Raises:
            RemoteError: the remote refused or failed altogether.
        """
        moved = damaged = 0
        count, size = self._count(), self._size()
        if not self.settings.dry_run and count:
            self.settings.progress.start("fetch", total=size)
            try:
                for lack in self._lacks:
                    data = DataFetch(self._cache, self._store, lack.reader, self._workers, self.settings.progress)
                    located: Located | None = lack.located
                    while located is not None:
                        came = data.run(lack.algorithm, located)
                        located = lack.reader.elsewhere(data.failed)
                    moved += came
                    damaged += len(data.failed)
                    lack.failed |= data.failed
            finally:
                self.settings.progress.finish()
        for lack in self._lacks:
            self._note_failures(lack)
            self._complete += [want for want in lack.wants if not lack.failed or self._is_here(want)]
        dry = self.settings.dry_run
        return TransferReport(
            "fetch",
            self._store.name,
            objects=self._nodes + count - damaged,
            bytes=self._node_bytes + (size if dry else moved),
            bytes_saved=max(0, sum(want.size for want in self._wants if want.inside is None) - size),
            requests=self._store.requests - self._before,
            roots=tuple(str(want.root) for want in self._complete),
            failures=tuple(self._failures.items()),
            requests_expected=self._expected() if dry else None,
        )

    def _expected(self) -> int:
        """Requests that a real run makes in all."""
        from kist.engine.transfer.expect import fetch_requests

        small = self._cache.pack_threshold
        data = sum(fetch_requests(lack.located, lack.reader, small) for lack in self._lacks)
        return self._store.requests - self._before + data

    def _count(self) -> int:
        return sum(len(lack.located) for lack in self._lacks)

    def _size(self) -> int:
        return sum(lack.located.plain for lack in self._lacks)

    def _roots(self) -> list[Digest]:
        return [want.root for lack in self._lacks for want in lack.wants]

    # ── what is here, what is published ──────────────────────────────────────────────────────────────────────────────

    def _lacking(self) -> list[Want]:
        """The wants that the cache does not have all of; it is asked once for all single files."""
        files: dict[str, list[bytes]] = {}
        for want in self._wants:
            if not want.is_directory:
                files.setdefault(want.root.algorithm, []).append(want.root.raw)
        absent = {algorithm: set(self._cache.missing(algorithm, raws)) for algorithm, raws in files.items()}
        return [
            want
            for want in self._wants
            if (not self._is_here(want) if want.is_directory else want.root.raw in absent[want.root.algorithm])
        ]

    def _is_here(self, want: Want) -> bool:
        """Whether the cache has all of it, as far as names tell."""
        failed: dict[bytes, KistError] = {}
        algorithm = want.root.algorithm
        parts = self._leaves_of(want, self._local.nodes_of(algorithm), failed)
        contents = in_blocks(parts, self._cache.at_once(algorithm))
        return not any(self._cache.missing(algorithm, block) for block in contents) and not failed

    def _markers(self, wants: Sequence[Want]) -> dict[Digest, Published]:
        """What the markers of these wants say; a version without one is a failure of its own."""
        store = self._store
        roots = list(dict.fromkeys(want.root for want in self._wants))
        lacking = list(dict.fromkeys(want.root for want in wants))
        found: dict[Digest, Published] = {}
        if store.open():
            found = store.published(lacking if len(lacking) == 1 else roots)
            left = [root for root in lacking if root not in found] if len(lacking) > 1 else []
            for _, result in self._workers.run(store.read_marker, left):
                if isinstance(result, KistError):
                    raise result
                if result is not None:
                    found[result.roots[0]] = result
        for want in wants:
            if want.root not in found:
                self._failures[str(want.root)] = never_pushed(want.root, store.name, [want.path] if want.path else [])
        return found

    # ── what is missing ──────────────────────────────────────────────────────────────────────────────────────────────

    def _lack(self, algorithm: str, wants: list[Want], published: dict[Digest, Published]) -> Lack:
        names = [name for want in wants for name in published[want.root].indexes.get(algorithm, ())]
        indexes = RemoteIndexes(self._store, algorithm, names)
        indexes.open(self._workers)
        reader = RemoteReader(self._store, indexes, self._workers, algorithm, lambda: self._marked(algorithm, wants))
        lack = Lack(algorithm, wants, reader, Located(self._store.hashers(algorithm).digest_size))
        keep = not self.settings.dry_run
        with NodeSource(self, self._cache, reader, algorithm, keep=keep) as source:
            for block in self._contents_of(wants, source.read, lack.failed):
                absent = set(self._cache.missing(algorithm, block))
                # The order is kept: objects that lie together are asked for together.
                lack.failed |= reader.locate([raw for raw in block if raw in absent], lack.located)
        reader.forget_indexes()
        return lack

    def _marked(self, algorithm: str, wants: list[Want]) -> list[str]:
        """The indexes that these wants' own markers name: a set that was read for them may speak of what is gone."""
        roots = list(dict.fromkeys(want.root for want in wants))
        found = [result for _, result in self._workers.run(self._store.read_marker, roots)]
        return [name for one in found if isinstance(one, Published) for name in one.indexes.get(algorithm, ())]

    def _contents_of(
        self, wants: Iterable[Want], read: ReadNodes, failed: dict[bytes, KistError]
    ) -> Iterator[dict[bytes, int]]:
        """The contents that wants consist of, in blocks.

        Args:
            wants: of one algorithm.
            read: brings nodes.
            failed: takes nodes that could not be read, and why.
        """
        return in_blocks(part for want in wants for part in self._leaves_of(want, read, failed))

    def _leaves_of(self, want: Want, read: ReadNodes, failed: dict[bytes, KistError]) -> Iterator[dict[bytes, int]]:
        if not want.is_directory:
            yield {want.root.raw: want.size}
        elif want.inside is None:
            walker = Walker(self.settings.codec, want.root.algorithm, read)
            yield from map(content_sizes, walker.leaves([want.root.raw]))
            failed |= walker.failed
        else:
            try:
                yield from map(content_sizes, self._parts_of(want, read))
            except (ObjectMissing, ObjectCorrupt) as exc:
                failed[_raw_of(exc, want)] = exc
            except MetafileError as exc:
                failed[want.root.raw] = ObjectCorrupt(str(want.root), actual=exc.message)

    def _parts_of(self, want: Want, read: ReadNodes) -> Iterator[Columns]:
        """The entries of the wanted parts; only nodes on the way to them are opened."""

        def get(raws: Sequence[bytes]) -> list[bytes]:
            nodes = []
            for node in read(raws):
                if isinstance(node, KistError):
                    raise node
                nodes.append(node)
            return nodes

        view = self.settings.codec.open(want.root, get)
        for prefix in want.inside or ():
            entry = view.find(prefix) if prefix else None
            if entry is not None:
                yield Columns.from_entries(want.root.algorithm, len(want.root.raw), [entry])
            else:
                yield from view.leaves(prefix)

    # ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _note_failures(self, lack: Lack) -> None:
        if not lack.failed:
            return
        paths = self._paths_of(lack)
        for raw, error in lack.failed.items():
            if isinstance(error, ObjectMissing):
                error = ObjectMissing(error.digest, paths=paths.get(raw, ()), where=error.where, hint=error.hint)
            self._failures[str(Digest.from_raw(lack.algorithm, raw))] = error

    def _paths_of(self, lack: Lack) -> dict[bytes, list[str]]:
        """The workspace paths that need what failed, as far as the nodes here tell."""
        paths: dict[bytes, list[str]] = {}
        bad = set(lack.failed)
        for want in lack.wants:
            if want.root.raw in bad:
                paths.setdefault(want.root.raw, []).append(want.path)
            if want.is_directory:
                walker = Walker(self.settings.codec, lack.algorithm, self._local.nodes_of(lack.algorithm))
                for columns in walker.leaves([want.root.raw]):
                    for raw, path in named_paths(columns, bad):
                        text = path.decode("utf-8", "backslashreplace")
                        paths.setdefault(raw, []).append(f"{want.path}/{text}" if want.path else text)
        return paths

    def note_nodes(self, count: int, size: int) -> None:
        """Count nodes that came."""
        self._nodes += count
        self._node_bytes += size


class NodeSource:
    """Reads nodes from the cache, else from the remote, many in few requests; for a ``with`` statement.

    What comes from the remote goes into the cache, or for a plan only into memory.

    Args:
        fetch: is told what came.
        cache: where nodes are kept.
        reader: reads from the remote.
        algorithm: the hash algorithm.
        keep: whether nodes go into the cache.
    """

    def __init__(self, fetch: Fetch, cache: Cache, reader: RemoteReader, algorithm: str, *, keep: bool) -> None:
        self._fetch = fetch
        self._reader = reader
        self._cache = cache
        self._algorithm = algorithm
        self._local = LocalSide(cache).nodes_of(algorithm)
        self._session = cache.session(algorithm) if keep else None
        self._mine: set[bytes] = set()
        self._memory: dict[bytes, bytes] = {}

    def __enter__(self) -> Self:
        if self._session is not None:
            self._session.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._session is not None:
            try:
                self._session.commit()
            finally:
                self._session.__exit__(*exc_info)

    def read(self, raws: Sequence[bytes]) -> list[bytes | KistError]:
        """Nodes, or what is wrong with them, in the order asked for."""
        found: dict[bytes, bytes | KistError] = {}
        mine = [raw for raw in raws if raw in self._mine]
        if mine and self._session is not None:
            found |= zip(mine, self._session.read_nodes(mine), strict=True)
        found |= {raw: self._memory[raw] for raw in raws if raw in self._memory}
        left = [raw for raw in raws if raw not in found]
        found |= zip(left, self._local(left), strict=True)
        absent = [raw for raw in left if isinstance(found[raw], KistError)]
        if absent:
            brought = self._reader.read_nodes(absent)
            self._put_aside({raw: error for raw in brought if isinstance(error := found[raw], ObjectCorrupt)})
            found |= brought
            self._keep(brought)
        return [found[raw] for raw in raws]

    def _put_aside(self, damaged: Mapping[bytes, KistError]) -> None:
        """Let damaged nodes count as absent, else the good ones would be taken for present and not be kept."""
        if self._session is not None:
            for raw in damaged:
                self._cache.quarantine(Digest.from_raw(self._algorithm, raw))

    def _keep(self, brought: Mapping[bytes, bytes | KistError]) -> None:
        for raw, data in brought.items():
            if isinstance(data, KistError):
                continue
            if self._session is not None:
                self._session.put_node(data)
                self._mine.add(raw)
            else:
                self._memory[raw] = data
            self._fetch.note_nodes(1, len(data))


def _raw_of(error: ObjectMissing | ObjectCorrupt, want: Want) -> bytes:
    """The object that an error speaks of, the root where that cannot be told."""
    try:
        return Digest.parse(error.digest).raw
    except MetafileError:
        return want.root.raw
