"""resolve: merge what two branches recorded, where Git left a conflict in a metafile or in kist's ignore rules."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from kist.abc.metafile import ManifestView
from kist.engine.gc.roots import GcRoot
from kist.errors import KistError, ObjectMissing, UsageError
from kist.model.change import Change
from kist.model.tracked import Metafile, TrackedOutput
from kist.operations.fetch import fetch_directories, fetch_manifests
from kist.operations.needs import record_needs
from kist.operations.parts import edited_view
from kist.operations.recovery import changing
from kist.repo import gitignore, metafiles, targets
from kist.repo.beside_git import ignore_in_git
from kist.repo.context import RepoContext
from kist.util.atomic import write_file
from kist.util.slotted import field, replace, slotted

T = TypeVar("T")
Side = Literal["ours", "theirs"]
_BASE, _OURS, _THEIRS = 1, 2, 3
_IGNORE_FILE = ".gitignore"


@slotted(frozen=True)
class Resolved:
    """One metafile that was merged.

    Args:
        path: the output's path, relative to the repository.
        metafile: the metafile's.
        output: what it records now.
        taken: entries that were taken over from the other side.
    """

    path: str
    metafile: str
    output: TrackedOutput
    taken: int


@slotted(frozen=True)
class Clash:
    """Something that both sides changed, each in its own way.

    Args:
        path: a file, an output, or a key of a metafile (``data.kist: meta``), relative to the repository.
        ours: what our side did: added, modified or deleted.
        theirs: what the other side did.
    """

    path: str
    ours: str
    theirs: str


@slotted(frozen=True)
class ResolveReport:
    """What `resolve` did, or would do.

    Args:
        outputs: the metafiles that were merged.
        clashes: what somebody must decide; metafiles with one stay as they are.
        written: all files that were written and that Git waits for.
        settled: metafiles without a conflict in them that Git still waits for.
    """

    outputs: tuple[Resolved, ...] = ()
    clashes: tuple[Clash, ...] = ()
    written: tuple[str, ...] = ()
    settled: tuple[str, ...] = ()


def resolve(
    context: RepoContext, texts: Sequence[str] = (), *, take: Side | None = None, dry_run: bool = False
) -> ResolveReport:
    """Merge both sides of each metafile that has a conflict; what only one side changed comes from that side.

    Args:
        context: the repository.
        texts: outputs, metafiles or folders; all that have a conflict if empty.
        take: whose version counts where both changed the same; None: such metafiles stay as they are.
        dry_run: only tell.

    Returns:
        What was merged, and what somebody must decide.

    Raises:
        UsageError: there is no Git, or a target has no conflict.
        ObjectMissing: the manifest of a version is neither on this machine nor, but for a dry run, on a remote.
        MetafileError: a side is no valid metafile, or a conflict was taken for resolved with Git's marks still there.
    """
    if context.git is None:
        raise UsageError("there is no Git repository here, so there are no branches to merge", hint="git init")
    if dry_run:
        return _Merger(context, take, dry_run=True).run(texts)
    with changing(context), context.write_lock():
        return _Merger(context, take, dry_run=False).run(texts)


@slotted()
class _Merger:
    """One run of `resolve`.

    Args:
        context: the repository.
        take: whose version counts where both changed the same.
        dry_run: only tell.
    """

    context: RepoContext
    take: Side | None
    dry_run: bool
    clashes: list[Clash] = field(default_factory=list)
    taken: int = 0

    def run(self, texts: Sequence[str]) -> ResolveReport:
        git = self.context.git
        assert git is not None
        unmerged = git.unmerged([*self.context.metafile_names.patterns, _IGNORE_FILE])
        chosen = self._chosen(texts, [path for path in unmerged if posixpath.basename(path) != _IGNORE_FILE])
        contents = git.read(name for stages in unmerged.values() for name in stages.values())
        versions = {
            path: {stage: contents[name] for stage, name in stages.items()} for path, stages in unmerged.items()
        }
        outputs: list[Resolved] = []
        written: list[str] = []
        settled: list[str] = []
        for metafile in chosen:
            if not self._is_open(metafile, versions[metafile]):
                settled.append(metafile)
                continue
            found = self._resolve(metafile, versions[metafile])
            if found:
                outputs += found
                written.append(metafile)
        written += self._ignore_rules(versions, outputs, everything=not texts)
        return ResolveReport(tuple(outputs), tuple(self.clashes), tuple(written), tuple(settled))

    # ── which metafiles ──────────────────────────────────────────────────────────────────────────────────────────────

    def _chosen(self, texts: Sequence[str], unmerged: Sequence[str]) -> list[str]:
        if not texts:
            if not unmerged:
                self.context.tracked()  # notes metafiles with conflicts that Git no longer knows of
            return sorted(unmerged)
        found: set[str] = set()
        for text in texts:
            path = targets.repository_path(self.context, text)
            names = {path, *self.context.metafile_names.of(path)}
            fitting = {one for one in unmerged if one in names or not path or one.startswith(path + "/")}
            if not fitting:
                for name in sorted(names):
                    if metafiles.format_of(self.context.formats, posixpath.basename(name)):
                        metafiles.load_if_present(self.context, name)  # such a conflict is an error of its own
                raise UsageError(
                    f"{text} has no conflict", path=text, hint="'git status' lists the files that have one"
                )
            found |= fitting
        return sorted(found)

    def _is_open(self, metafile: str, versions: Mapping[int, bytes]) -> bool:
        """Whether a conflict is still there; who mended the file by hand wants it as it is."""
        if _OURS not in versions or _THEIRS not in versions:
            return True  # one side deleted it: Git leaves the other's version
        if not os.path.lexists(self.context.root / metafile):
            return True
        return metafiles.has_conflict(metafiles.read(self.context, metafile))

    # ── one metafile ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _resolve(self, metafile: str, versions: Mapping[int, bytes]) -> list[Resolved]:
        self.taken = 0
        ours, theirs = versions.get(_OURS), versions.get(_THEIRS)
        if ours is None or theirs is None:
            kept = {"ours": ours, "theirs": theirs, None: None}[self.take]
            if kept is None:
                base = versions.get(_BASE)
                self.clashes.append(Clash(metafile, _word(base, ours), _word(base, theirs)))
                return []
            return self._save(metafile, self._document(metafile, kept), kept)
        noted = len(self.clashes)
        try:
            document = self._merged(metafile, versions.get(_BASE), ours, theirs)
        except ObjectMissing:
            del self.clashes[noted:]
            self.taken = 0
            document = self._merged_with_remote(metafile, versions)
        return self._save(metafile, document, ours) if document is not None else []

    def _merged_with_remote(self, metafile: str, versions: Mapping[int, bytes]) -> Metafile | None:
        """The same once more, when what is not here has come from a remote, as far as it can be had."""
        reason: KistError | None = None
        try:
            if not self.dry_run:  # which keeps nothing
                self._bring(metafile, versions)
        except KistError as exc:
            reason = exc
        try:
            document = self._merged(metafile, versions.get(_BASE), versions[_OURS], versions[_THEIRS])
        except ObjectMissing as exc:
            raise self._not_here(metafile, exc, reason) from (reason or exc)
        if reason is not None:
            self.context.problems.append(reason)
        return document

    def _bring(self, metafile: str, versions: Mapping[int, bytes]) -> None:
        """Bring the sides that are not here with their data, which no remote has under the name of what is merged."""
        folder, context = posixpath.dirname(metafile), self.context
        found = [
            (stage, posixpath.join(folder, one.path), one)
            for stage, data in versions.items()
            for one in self._document(metafile, data).outputs
            if one.is_directory
        ]
        sides = [(path, one) for stage, path, one in found if stage != _BASE]
        fetch_directories(context, [one for one in sides if context.view_if_present(one[1].digest) is None])
        fetch_manifests(context, [(path, one) for _, path, one in found])

    def _document(self, metafile: str, data: bytes) -> Metafile:
        return metafiles.parse(self.context.formats, metafile, data)[0].document

    def _merged(self, metafile: str, base: bytes | None, ours: bytes, theirs: bytes) -> Metafile | None:
        """What the metafile shall say, None where somebody must decide first."""
        old = self._document(metafile, base) if base is not None else Metafile(())
        mine, other = self._document(metafile, ours), self._document(metafile, theirs)
        noted = len(self.clashes)
        names = list(dict.fromkeys(one.path for one in (*mine.outputs, *other.outputs)))
        outputs = [
            self._output(metafile, name, *(_named(document, name) for document in (old, mine, other))) for name in names
        ]
        keys = list(dict.fromkeys([*mine.extra, *other.extra]))
        extra = {
            key: self._pick(f"{metafile}: {key}", *(one.extra.get(key) for one in (old, mine, other))) for key in keys
        }
        if len(self.clashes) > noted:
            return None
        return Metafile(
            tuple(one for one in outputs if one is not None),
            {key: value for key, value in extra.items() if value is not None},
        )

    def _output(
        self,
        metafile: str,
        name: str,
        base: TrackedOutput | None,
        ours: TrackedOutput | None,
        theirs: TrackedOutput | None,
    ) -> TrackedOutput | None:
        path = posixpath.join(posixpath.dirname(metafile), name)
        if ours is None or theirs is None or not (ours.is_directory and theirs.is_directory):
            return self._pick(path, base, ours, theirs)
        if ours.digest.algorithm != theirs.digest.algorithm:
            return self._pick(path, base, ours, theirs)
        merged = self._directory(path, base, ours, theirs)
        return replace(
            merged,
            remote=self._pick(f"{metafile}: remote", base.remote if base else None, ours.remote, theirs.remote),
            links=self._pick(f"{metafile}: links", base.links if base else (), ours.links, theirs.links) or (),
        )

    def _directory(
        self, path: str, base: TrackedOutput | None, ours: TrackedOutput, theirs: TrackedOutput
    ) -> TrackedOutput:
        """Our side's directory with what the other side changed in it."""
        from kist.engine.manifest.merge import merge

        mine, other = self.context.view(ours.digest), self.context.view(theirs.digest)
        comparable = base is not None and base.is_directory and base.digest.algorithm == ours.digest.algorithm
        old = self.context.view(base.digest) if base is not None and comparable else self._empty(ours.digest.algorithm)
        found = merge(old, mine, other)
        changes = {change.path: change for change in found.changes}
        for one in found.conflicts:
            if self.take is None:
                place = f"{path}/{os.fsdecode(one.path)}"
                self.clashes.append(Clash(place, _word(one.base, one.ours), _word(one.base, one.theirs)))
            elif self.take == "theirs" and one.ours != one.theirs:
                changes[one.path] = Change(one.path, _word(one.ours, one.theirs), one.ours, one.theirs)
        self.taken += len(changes)
        ordered = [changes[place] for place in sorted(changes)]
        view = edited_view(self.context, mine, ordered, dry_run=self.dry_run) if ordered else mine
        return replace(ours, digest=view.root, files=view.files, size=view.size)

    def _empty(self, algorithm: str) -> ManifestView:
        """What both sides began with where each made the directory."""
        hasher = self.context.hasher(algorithm)
        return self.context.codec.write([], hasher.raw, hasher)

    def _pick(self, what: str, base: T, ours: T, theirs: T) -> T:
        """A value by the rule of three: what only one side changed is that side's."""
        if theirs in (base, ours):
            return ours
        if ours == base:
            self.taken += 1
            return theirs
        if self.take is None:
            self.clashes.append(Clash(what, _word(base, ours), _word(base, theirs)))
            return ours
        self.taken += self.take == "theirs"
        return theirs if self.take == "theirs" else ours

    def _not_here(self, metafile: str, error: ObjectMissing, reason: KistError | None = None) -> ObjectMissing:
        assert self.context.git is not None
        side = self.context.git.merging()
        one = f"'kist fetch --rev {side}' brings what the other side recorded, " if side else ""
        hint = f"{one}'kist fetch --all-commits' all versions that branches and tags have"
        where = "the cache" if reason is None else f"the cache, and does not come from a remote ({reason})"
        return ObjectMissing(error.digest, paths=(metafile,), where=where, hint=hint)

    def _save(self, metafile: str, document: Metafile, previous: bytes) -> list[Resolved]:
        context = self.context
        folder = posixpath.dirname(metafile)
        if not self.dry_run:
            record_needs(context, [GcRoot(one.digest, one.is_directory) for one in document.outputs])
            data = metafiles.dumps(context, metafile, document, previous)
            self._write(context.root / metafile, data)
        return [Resolved(posixpath.join(folder, one.path), metafile, one, self.taken) for one in document.outputs]

    def _write(self, path: Path, data: bytes) -> None:
        write_file(path, data, sync=self.context.sync, token=self.context.scratch.token_for(path.parent))

    # ── ignore rules ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _ignore_rules(
        self, versions: Mapping[str, Mapping[int, bytes]], outputs: Iterable[Resolved], *, everything: bool
    ) -> list[str]:
        """Merge ignore files that differ in kist's own block, and keep those of the outputs in step."""
        folders = {posixpath.dirname(one.metafile) for one in outputs}
        written = []
        for path, sides in versions.items():
            here = posixpath.dirname(path)
            if posixpath.basename(path) == _IGNORE_FILE and (everything or here in folders):
                written += self._ignore_file(path, sides)
        if not self.dry_run:
            waiting = {posixpath.dirname(path) for path in versions if posixpath.basename(path) == _IGNORE_FILE}
            left = waiting - {posixpath.dirname(path) for path in written}
            ignore_in_git(self.context, [one.path for one in outputs if posixpath.dirname(one.metafile) not in left])
        return written

    def _ignore_file(self, path: str, sides: Mapping[int, bytes]) -> list[str]:
        place = self.context.root / path
        if _OURS not in sides or _THEIRS not in sides or not metafiles.has_conflict(metafiles.read(self.context, path)):
            return []
        merged = gitignore.merge(sides.get(_BASE, b""), sides[_OURS], sides[_THEIRS])
        if merged is None:
            return []
        if not self.dry_run:
            self._write(place, merged)
        return [path]


def _named(document: Metafile, name: str) -> TrackedOutput | None:
    return next((one for one in document.outputs if one.path == name), None)


def _word(before: object, now: object) -> Any:
    """What one side did to something."""
    if now is None:
        return "deleted"
    return "added" if before is None else "modified"
