"""verify: is the data there and undamaged, here or on a remote; repair it from any place that has it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator, Sequence

from kist.engine.storage.digest_set import DigestSet
from kist.engine.transfer.local_side import LocalSide
from kist.engine.transfer.parts import Version, Walker, content_sizes, in_blocks, named_paths
from kist.errors import ObjectError, ObjectMissing, UsageError
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE
from kist.repo import targets
from kist.repo.context import RepoContext
from kist.repo.remotes import open_remote
from kist.repo.targets import Target
from kist.util.slotted import field, slotted

STRUCTURES = ("pack", "index")
"""In place of an algorithm: the object is a file of the cache that holds or finds others."""


@slotted(frozen=True)
class VerifyOptions:
    """How to verify.

    Args:
        remote: read back from this remote instead of the cache.
        sample: percent of the objects to hash.
        repair: bring back what is damaged or missing, from any place that has it.
        jobs: how many requests or, where an executor is configured, files at once; None for the configured number.
    """

    remote: str | None = None
    sample: float = 100.0
    repair: bool = False
    jobs: int | None = None


@slotted(frozen=True)
class BadObject:
    """One object that is damaged or missing: its name, and the paths that need it, relative to the repository."""

    digest: str
    paths: tuple[str, ...] = ()


@slotted(frozen=True)
class VerifyReport:
    """What `verify` found.

    Args:
        checked: how many objects were looked at.
        damaged: objects whose bytes are not what their name says; after a repair, those that still are.
        missing: objects that are not there; after a repair, those that still are not.
        repaired: objects that were damaged or missing and are good now.
        requests: calls to the remote.
    """

    checked: int = 0
    damaged: tuple[BadObject, ...] = ()
    missing: tuple[BadObject, ...] = ()
    repaired: tuple[BadObject, ...] = ()
    requests: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing is wrong (any more)."""
        return not self.damaged and not self.missing


def verify(context: RepoContext, texts: Sequence[str] = (), options: VerifyOptions = VerifyOptions()) -> VerifyReport:
    """Hash what the cache or a remote holds, and look whether everything that targets need is there.

    Args:
        context: the repository.
        texts: targets; without any, all outputs and the whole cache.
        options: how.

    Returns:
        What is wrong, with the paths that need it.

    Raises:
        UsageError: a sample that is no percentage.
        PathNotTracked: a target that is not tracked.
        RemoteError: the remote refused or failed altogether.
    """
    if not 0 < options.sample <= 100:
        raise UsageError("--sample must be more than 0 and at most 100 percent")
    chosen = targets.resolve(context, texts)
    if options.remote is not None:
        return _verify_remote(context, chosen, options)
    found = _Findings(context)
    try:
        found.closure(chosen, read=bool(texts), sample=options.sample)
        if not texts:
            found.everything(options.sample, options.jobs)
    finally:
        context.progress.finish()
    before = found.report(chosen)
    if not options.repair or before.good:
        return before
    from kist.operations.verify_repair import repair

    return repair(context, chosen, before, options)


# ── the cache ────────────────────────────────────────────────────────────────────────────────────────────────────────


@slotted()
class _Findings:
    """What is wrong in the cache.

    Attributes:
        checked: objects looked at.
        damaged: names of damaged objects.
        missing: names of missing objects.
    """

    context: RepoContext
    checked: int = 0
    damaged: dict[str, None] = field(default_factory=dict)
    missing: dict[str, None] = field(default_factory=dict)

    def closure(self, chosen: Sequence[Target], *, read: bool, sample: float) -> None:
        """Look whether what targets need is there; with *read*, hash it too."""
        cache = self.context.cache
        seen: dict[str, DigestSet] = {}
        if read:
            whole = not any(target.inside for target in chosen)
            total = int(sum(target.tracked.output.size for target in chosen) * sample / 100)
            self.context.progress.start("verify", total=total if whole else None)
        for target in chosen:
            algorithm = target.tracked.output.digest.algorithm
            known = seen.setdefault(algorithm, DigestSet())
            for block in in_blocks(self._contents(target), cache.at_once(algorithm)):
                raws = sorted(block)
                fresh = {raws[at] for at in known.lacks(raws)}
                known.update(fresh)
                contents = [raw for raw in block if raw in fresh]
                absent = [] if read and sample >= 100 else cache.missing(algorithm, contents)  # else reading tells
                self.missing |= dict.fromkeys(f"{algorithm}:{raw.hex()}" for raw in absent)
                if read:
                    self._read(algorithm, contents, set(absent), sample)

    def _contents(self, target: Target) -> Iterator[dict[bytes, int]]:
        """The contents that a target needs, leaf by leaf."""
        output = target.tracked.output
        if not output.is_directory:
            yield {output.digest.raw: output.size}
            return
        walker = walk(self.context, output.digest)
        for columns in walker.leaves([output.digest.raw]):
            if not target.inside:
                yield content_sizes(columns)
            else:
                rows = zip(columns.raws(), columns.paths, columns.sizes, columns.kinds, strict=True)
                below = target.inside + b"/"
                yield {
                    raw: size
                    for raw, path, size, kind in rows
                    if kind in (FILE, EXECUTABLE) and (path == target.inside or path.startswith(below))
                }
        self.checked += len(walker.sizes)
        for raw, error in walker.failed.items():
            name = f"{output.digest.algorithm}:{raw.hex()}"
            (self.missing if isinstance(error, ObjectMissing) else self.damaged)[name] = None

    def _read(self, algorithm: str, contents: Sequence[bytes], absent: set[bytes], sample: float) -> None:
        cache, progress = self.context.cache, self.context.progress
        chosen = [raw for raw in contents if raw not in absent and (sample >= 100 or random.random() * 100 < sample)]  # noqa: S311
        loose = [raw for raw, here in zip(chosen, cache.has_loose_many(algorithm, chosen), strict=True) if here]
        for raw in loose:
            name = Digest.from_raw(algorithm, raw)
            try:
                with cache.open(name) as stream:
                    while data := stream.read(1 << 20):
                        progress.advance(len(data))
            except ObjectError:
                self.damaged[str(name)] = None
        apart = set(loose)
        packed = [raw for raw in chosen if raw not in apart]
        cache.expect(algorithm, packed)
        for raw, found in LocalSide(cache).contents(algorithm, packed):
            if isinstance(found, bytes):
                progress.advance(len(found))
            else:
                missing = isinstance(found, ObjectMissing)
                (self.missing if missing else self.damaged)[f"{algorithm}:{raw.hex()}"] = None
        self.checked += len(chosen)

    def everything(self, sample: float, jobs: int | None) -> None:
        """Hash the whole cache, also what only older versions need."""
        context = self.context
        if not context.cache.root.is_dir():
            return
        context.progress.start("verify", total=int(context.cache.stored_bytes() * sample / 100))
        self.checked = 0
        executor = context.executors.for_files(jobs or context.config.get("core.jobs"))
        for digest, good in context.cache.verify(context.progress, sample, executor):
            self.checked += digest.algorithm not in STRUCTURES
            if not good:
                self.damaged[str(digest)] = None

    def report(self, chosen: Sequence[Target]) -> VerifyReport:
        """Everything with the paths that need it."""
        for name in self.damaged:
            self.missing.pop(name, None)
        paths = paths_needing(self.context, chosen, {*self.damaged, *self.missing})
        return VerifyReport(self.checked, _bad(self.damaged, paths), _bad(self.missing, paths))


def _bad(names: Iterable[str], paths: dict[str, list[str]]) -> tuple[BadObject, ...]:
    return tuple(BadObject(name, tuple(paths.get(name, ()))) for name in names)


def walk(context: RepoContext, root: Digest) -> Walker:
    """A walker over the nodes that the cache has of one algorithm; what it cannot read is told, not raised."""
    return Walker(context.codec, root.algorithm, LocalSide(context.cache).nodes_of(root.algorithm))


def paths_needing(context: RepoContext, chosen: Iterable[Target], names: set[str]) -> dict[str, list[str]]:
    """The paths that need objects, relative to the repository.

    Args:
        context: the repository.
        chosen: where to look.
        names: the objects.

    Returns:
        Name -> paths; a manifest node counts for the output as a whole.
    """
    found: dict[str, list[str]] = {}
    if not names:
        return found
    for target in chosen:
        output, path = target.tracked.output, target.tracked.path
        algorithm = output.digest.algorithm
        if not output.is_directory:
            if str(output.digest) in names:
                found.setdefault(str(output.digest), []).append(path)
            continue
        raws = {bytes.fromhex(name.partition(":")[2]) for name in names if name.startswith(f"{algorithm}:")}
        walker = walk(context, output.digest)
        for columns in walker.leaves([output.digest.raw]):
            for raw, inner in named_paths(columns, raws):
                found.setdefault(f"{algorithm}:{raw.hex()}", []).append(f"{path}/{os.fsdecode(inner)}")
        for raw in raws & {*walker.sizes, *walker.failed}:
            found.setdefault(f"{algorithm}:{raw.hex()}", []).append(path)
    return found


# ── a remote ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _verify_remote(context: RepoContext, chosen: Sequence[Target], options: VerifyOptions) -> VerifyReport:
    from kist.engine.transfer.knowledge import remember_checks
    from kist.engine.transfer.parts import TransferSettings
    from kist.engine.transfer.remote_check import RemoteFindings, repair_remote, verify_remote

    opened = open_remote(context, options.remote)
    settings = TransferSettings(context.codec, options.jobs or context.jobs, context.progress)
    versions = list(_versions(chosen))
    hints = opened.store.hints
    try:
        before = verify_remote(opened.store, versions, settings, sample=options.sample)
        after = before
        if options.repair and before.bad:
            after = repair_remote(context.cache, opened.store, versions, settings, repository_id=context.id)
        if not after.bad:
            remember_checks(hints, [version.root for version in versions], options.sample)
    finally:
        opened.close()

    def bad(findings: RemoteFindings, which: str) -> tuple[BadObject, ...]:
        return tuple(BadObject(str(digest), paths) for digest, paths in getattr(findings, which).items())

    found = (*bad(before, "damaged"), *bad(before, "missing"))
    still = {str(digest) for digest in after.bad}
    repaired = [one for one in found if one.digest not in still]
    return VerifyReport(before.checked, bad(after, "damaged"), bad(after, "missing"), tuple(repaired), opened.requests)


def _versions(chosen: Iterable[Target]) -> Iterator[Version]:
    seen: set[tuple[Digest, str]] = set()
    for target in chosen:
        output, path = target.tracked.output, target.tracked.path
        if (output.digest, path) not in seen:
            seen.add((output.digest, path))
            yield Version(output.digest, output.is_directory, output.size, output.files, path)
