"""RepoContext: one repository with all that operations need of it, each part made when it is first asked for."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kist.abc.dialect import Dialect
from kist.abc.hasher import Hasher
from kist.abc.metafile import ManifestCodec, ManifestView, MetafileFormat
from kist.abc.progress import NullProgress, Progress
from kist.errors import KistError, ObjectMissing, PluginError
from kist.model.digest import Digest
from kist.model.tracked import Metafile
from kist.plugins.registry import Plugins, choose_kernel
from kist.repo import dialects, metafiles
from kist.repo.config import Config
from kist.repo.configured import Executors, choose_algorithm, plugins_of
from kist.repo.hooks import Hooks
from kist.repo.layout import MARKER, Place
from kist.repo.link_types import share_files
from kist.repo.metafile_names import MetafileNames
from kist.repo.metafiles import Tracked
from kist.repo.writing import Writing

if TYPE_CHECKING:
    from kist.abc.kernel import Kernel
    from kist.engine.cache.cache import Cache
    from kist.engine.checkout.linking import LinkChoice
    from kist.engine.process.journal import Journal
    from kist.engine.process.scratch import Scratch
    from kist.engine.storage.trash import Trash
    from kist.engine.workspace.fingerprints import Fingerprints
    from kist.engine.workspace.ignore import RepositoryIgnore
    from kist.engine.workspace.scan import Scanner
    from kist.repo.linked import EditedLink
    from kist.repo.revisions import Git
    from kist.repo.storing import Storing


class RepoContext:
    """One repository as operations see it.

    Args:
        place: where it keeps what.
        config: its configuration.
        typed_root: its folder as the user came to it, perhaps through symlinks.
        progress: receives progress.
        verb: what to tell others who wait for a lock of ours.

    Attributes:
        problems: errors that did not end an operation.
        edited_links: links to the cache that were found edited in place; nobody has seen to them yet.
        hooks: the plugins that follow what is done to it.
    """

    def __init__(
        self,
        place: Place,
        config: Config,
        *,
        typed_root: Path | None = None,
        progress: Progress = NullProgress(),
        verb: str = "python",
    ) -> None:
        self.place = place
        self.config = config
        self.typed_root = typed_root or place.root
        self.progress = progress
        self.verb = verb
        self.problems: list[KistError] = []
        self.edited_links: list[EditedLink] = []
        self.hooks = Hooks(self)
        self._writing = Writing(self)

    @classmethod
    def find(
        cls, start: Path, *, settings: Mapping[str, Any], progress: Progress = NullProgress(), verb: str = "python"
    ) -> RepoContext:
        """The repository that a folder lies in.

        Raises:
            NotARepo: there is none at or above it.
            RepoNotOwned: it belongs to another user.
        """
        typed = Path(os.path.abspath(start))
        outside = Config.load(overrides=settings)
        plugins = plugins_of(outside)
        place = dialects.open_place(Path(os.path.realpath(typed)), plugins, outside.get("safe.directory"))
        config = dialects.load_config(place, plugins, settings)
        return cls(place, config, typed_root=_typed_root(typed, place.root), progress=progress, verb=verb)

    # ── identity and settings ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def root(self) -> Path:
        """The repository's folder."""
        return self.place.root

    @property
    def id(self) -> str:
        """The repository's id, made at ``init``; in one of another dialect by the first writing command."""
        return self.place.id

    def config_value(self, key: str) -> object:
        """A configuration value by its dotted key, None where it is not set."""
        value: object = self.config.get(key)
        return value

    @property
    def jobs(self) -> int:
        """How many requests at once."""
        return int(self.config.get("core.jobs")) or 16

    @property
    def sync(self) -> bool:
        """Whether to wait for the disk."""
        return bool(self.config.get("core.fsync") != "off")

    @property
    def lock_timeout(self) -> float:
        """Seconds to wait for another process."""
        return float(self.config.get("core.lock_timeout"))

    @cached_property
    def plugins(self) -> Plugins:
        """The plugins, as the configuration blocks and prefers them."""
        return plugins_of(self.config)

    @cached_property
    def dialect(self) -> Dialect:
        """How this kind of repository is read."""
        return self.plugins.dialect(self.place.marker)

    @cached_property
    def markers(self) -> frozenset[str]:
        """Names whose presence makes a folder a repository of its own."""
        return frozenset({".git", MARKER, self.place.marker}) | dialects.markers_of(self.plugins)

    @cached_property
    def formats(self) -> Sequence[MetafileFormat]:
        """The metafile formats, the one for new outputs first."""
        return [self.plugins.metafile_format(name) for name in self.dialect.metafile_formats]

    @cached_property
    def codec(self) -> ManifestCodec:
        """How manifests are stored."""
        from kist.builtin.node_manifest import NodeManifestCodec

        return self.formats[0].codec or NodeManifestCodec()

    @property
    def algorithm_set(self) -> bool:
        """Whether the configuration names the hash algorithm."""
        return bool(self.config.get("core.hash"))

    @cached_property
    def algorithm(self) -> str:
        """The hash algorithm of new outputs."""
        return self.config.get("core.hash") or choose_algorithm(self.plugins, self.dialect)

    def hasher(self, algorithm: str) -> Hasher:
        """The hasher of an algorithm."""
        try:
            kernel = self.kernel
        except PluginError:  # who works on files is told
            return self.plugins.hasher(algorithm)
        return self.plugins.hasher(algorithm, kernel)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def cache(self) -> Cache:
        """The object store on this machine."""
        from kist.engine.cache.cache import PACK_THRESHOLD, Cache
        from kist.engine.process.locks import Waiting

        threshold = self.config.get("cache.pack_threshold")
        if threshold is None:
            threshold = 0 if share_files(self.plugins, self.config.get("cache.type")) else PACK_THRESHOLD
        return Cache(
            self.cache_folder,
            self.hasher,
            pack_threshold=threshold,
            sync=self.config.get("core.fsync"),
            shared=self.config.get("cache.shared") == "group",
            waiting=Waiting(self.lock_timeout, self.progress.message, self.verb),
        )

    @property
    def cache_folder(self) -> Path:
        """Where the cache is."""
        chosen = self.config.get("cache.dir")
        return self.place.cache if not chosen else Path(self.root, os.path.expanduser(chosen))

    @cached_property
    def trash(self) -> Trash:
        """Displaced and collected files."""
        from kist.engine.storage.trash import Trash

        return Trash(self.place.trash, sync=self.sync)

    @cached_property
    def fingerprints(self) -> Fingerprints:
        """What lets unchanged files be skipped."""
        from kist.engine.workspace.fingerprints import Fingerprints

        return Fingerprints(self.place.fingerprints, sync=self.sync)

    def close(self) -> None:
        """Close files that are open and end workers; who goes on opens them again."""
        for part in ("fingerprints", "cache", "executors", "git"):
            if (opened := self.__dict__.pop(part, None)) is not None:
                opened.close()

    def save_fingerprints(self) -> None:
        """Keep what was learnt, if anything, and if that can be done without waiting."""
        if "fingerprints" not in self.__dict__:
            return
        if os.access(self.place.own.parent if not self.place.own.exists() else self.place.own, os.W_OK):
            self.fingerprints.save()
        for notice in self.fingerprints.notices:
            self.progress.message(notice)
        self.fingerprints.notices.clear()

    @cached_property
    def executors(self) -> Executors:
        """What runs parallel work."""
        return Executors(self.plugins, self.config.get("core.executor"), self.progress)

    @cached_property
    def kernel(self) -> Kernel:
        """The inner loops over files."""
        return choose_kernel(self.plugins, self.config.get("core.kernel"))

    @cached_property
    def ignore(self) -> RepositoryIgnore:
        """What is no part of any output."""
        from kist.engine.workspace.ignore import ALWAYS_IGNORED, IgnoreRules, RepositoryIgnore

        always = self.dialect.always_ignored() | ALWAYS_IGNORED
        rules = IgnoreRules(always=always, file_name=os.fsencode(self.dialect.ignore_file), cache=self.cache_folder)
        return RepositoryIgnore(self.root, rules)

    @cached_property
    def journal(self) -> Journal:
        """The intents of commands that change the workspace."""
        from kist.engine.process.journal import Journal

        return Journal(self.place.journal, sync=self.sync)

    def scanner(self, algorithm: str) -> Scanner:
        """What reads the workspace."""
        from kist.engine.workspace.scan import Scanner
        from kist.repo.linked import LinkedFiles

        return Scanner(
            self.root,
            kernel=self.kernel,
            hasher=self.hasher(algorithm),
            fingerprints=self.fingerprints,
            ignore=self.ignore.rules,
            symlinks=self.config.get("core.symlinks"),
            links=LinkedFiles(self, algorithm),
            progress=self.progress,
        )

    def links(self, override: Sequence[str] = ()) -> LinkChoice:
        """The link types to use; what was found is told once."""
        from kist.engine.checkout.linking import choose_links

        self.cache.ensure()
        order = tuple(override) or self.config.get("cache.type")
        choice = choose_links(
            order, self.plugins.link_type, (self.cache.root, self.root), self.place.own / "links.json"
        )
        for note in choice.notes:
            self.progress.message(note)
        return choice

    def storing(self, *, dry_run: bool = False) -> Storing:
        """Begin to store objects; for a ``with`` statement."""
        from kist.repo.storing import Storing

        return Storing(self.cache, self.hasher, self.codec, dry_run=dry_run)

    def view(self, root: Digest) -> ManifestView:
        """A manifest of the cache.

        Raises:
            ObjectMissing: it is not on this machine.
        """
        return self.codec.open(root, lambda raws: self.cache.read_many(root.algorithm, raws))

    def view_if_present(self, root: Digest) -> ManifestView | None:
        """A manifest of the cache, None where it is not (or not whole) on this machine."""
        try:
            return self.view(root)
        except ObjectMissing:
            return None

    @property
    def prompt(self) -> Callable[[str], str] | None:
        """Asks the user for a secret; None off a terminal."""
        if not (sys.stdin and sys.stdin.isatty()):
            return None
        import getpass

        return getpass.getpass

    # ── metafiles ────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def metafile_names(self) -> MetafileNames:
        """How metafiles are named here."""
        return MetafileNames(self.formats)

    def tracked(self, folder: str = "", *, revision: str | None = None) -> list[Tracked]:
        """All tracked outputs at or below a folder, in order of path; broken metafiles go to ``problems``.

        Args:
            folder: relative to the repository.
            revision: a Git revision, None for the workspace.

        Raises:
            UsageError: an unknown revision.
        """
        if revision is None:
            found = metafiles.load_all(
                self,
                metafiles.find(self, folder, skip=_NEVER_ENTERED | {os.fsencode(self.place.marker)}),
                self.problems,
            )
        else:
            found = [one for one in self._at(revision) if not folder or one.path.startswith(folder + "/")]
        return sorted(found, key=lambda one: one.path)

    def metafiles(self, revision: str | None = None) -> Iterator[tuple[str, Metafile]]:
        """(path, metafile) pairs of the workspace or of a Git revision: what plugins see."""
        return ((one.metafile, one.document) for one in self.tracked(revision=revision))

    def _at(self, revision: str) -> Iterator[Tracked]:
        from kist.errors import UsageError

        if self.git is None:
            raise UsageError("there is no Git repository here, so there are no revisions", hint="git init")
        files = self.git.files(revision, self.metafile_names.patterns)
        contents = self.git.read(files.values())
        for path, name in sorted(files.items()):
            try:
                yield from metafiles.parse(self.formats, os.fsdecode(path), contents[name])
            except KistError as error:
                self.problems.append(error)

    @cached_property
    def git(self) -> Git | None:
        """Git's side of the repository, None without Git."""
        if self.place.git is None:
            return None
        from kist.repo.revisions import Git

        return Git(self.root, self.markers)

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def scratch(self) -> Scratch:
        """The scratch folder of this process; exists inside :meth:`writing`."""
        return self._writing.scratch

    def writing(self) -> AbstractContextManager[None]:
        """The block of a command that changes something: sweeps what killed commands left, first."""
        return self._writing.block()

    def using_cache(self) -> AbstractContextManager[None]:
        """Keeps gc out of the cache, from before anybody looks at what is there.

        It comes before :meth:`write_lock`, for gc takes the two in that order.
        """
        return self._writing.using_cache()

    def write_lock(self) -> AbstractContextManager[None]:
        """Held while metafiles and the workspace change; waits for others and tells for whom."""
        return self._writing.lock()


_NEVER_ENTERED = frozenset({b".git", b".kist", b".hg", b".svn", b"__pycache__", b"node_modules"})


def _typed_root(typed: Path, root: Path) -> Path:
    """The repository's folder as the user came to it: the parent of *typed* that is the same folder as *root*."""
    for folder in (typed, *typed.parents):
        if os.path.realpath(folder) == os.fspath(root):
            return folder
    return root
