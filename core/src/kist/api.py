"""Repo: the Python face of kist. Every command of the command line is one of its methods."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from kist.abc.progress import NullProgress, Progress
from kist.errors import KistError
from kist.repo.context import RepoContext

if TYPE_CHECKING:
    from kist.model.report import AddReport, CheckoutReport, Finding, TransferReport
    from kist.operations.config import Setting
    from kist.operations.diff import DiffReport
    from kist.operations.gc import GcOptions, GcReport
    from kist.operations.list_ import Listed
    from kist.operations.log import Version
    from kist.operations.move import MoveReport
    from kist.operations.published import Publication
    from kist.operations.remote import RemoteInfo
    from kist.operations.remove import RemoveReport
    from kist.operations.resolve import ResolveReport, Side
    from kist.operations.status import StatusReport
    from kist.operations.transfers import TransferOptions
    from kist.operations.trash import RestoreReport, Trashed
    from kist.operations.verify import VerifyOptions, VerifyReport

StrPath: TypeAlias = str | os.PathLike[str]
Targets: TypeAlias = StrPath | Sequence[StrPath]


class Repo:
    """A kist repository.

    Methods print nothing and never change the current folder. Targets are paths as a person types them: relative to
    the current folder, or absolute; one, or a sequence of them.

    Args:
        path: a folder in the repository.
        settings: configuration that goes before all other, by dotted key.
        progress: receives progress.
        verb: what to tell others who wait for a lock of ours.

    Raises:
        NotARepo: there is no repository at or above *path*.
    """

    def __init__(
        self,
        path: StrPath = ".",
        *,
        settings: Mapping[str, Any] | None = None,
        progress: Progress = NullProgress(),
        verb: str = "python",
    ) -> None:
        self.context = RepoContext.find(Path(path), settings=settings or {}, progress=progress, verb=verb)

    @classmethod
    def init(cls, path: StrPath = ".", *, algorithm: str | None = None) -> Repo:
        """Make a repository in the folder *path* and open it.

        Args:
            path: the folder, which must exist.
            algorithm: the hash algorithm of new outputs, None for the best that is installed.

        Raises:
            RepoError: there is one already.
        """
        from kist.operations.init import init

        init(Path(path), algorithm=algorithm)
        return cls(path)

    def close(self) -> None:
        """Close the files that are open. A ``with`` block does it at its end; using the repository opens them again."""
        self.context.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def root(self) -> Path:
        """The repository's folder."""
        return self.context.root

    @property
    def problems(self) -> list[KistError]:
        """Errors that did not end a method, such as one broken metafile among good ones; yours to clear."""
        return self.context.problems

    def add(self, targets: Targets, *, description: str | None = None, dry_run: bool = False) -> AddReport:
        """Put files and directories under version control: see ``kist.operations.add``."""
        from kist.operations.add import AddOptions, add

        return add(self.context, _texts(targets), AddOptions(description, dry_run))

    def commit(self, targets: Targets = (), *, dry_run: bool = False) -> AddReport:
        """Add every tracked output that changed."""
        from kist.operations.add import AddOptions
        from kist.operations.commit import commit

        return commit(self.context, _texts(targets), AddOptions(dry_run=dry_run))

    def status(self, targets: Targets = ()) -> StatusReport:
        """Compare the workspace with the metafiles."""
        from kist.operations.status import status

        return status(self.context, _texts(targets))

    def published(self, targets: Targets = (), *, remote: str | None = None) -> Iterator[Publication]:
        """What remotes have of the recorded versions, as they say now."""
        from kist.operations.published import published

        return published(self.context, _texts(targets), remote=remote)

    def diff(self, old: str | None = None, new: str | None = None, targets: Targets = ()) -> DiffReport:
        """Compare two Git revisions; None: HEAD for *old*, the workspace for *new*."""
        from kist.operations.diff import diff

        return diff(self.context, old, new, _texts(targets))

    def log(self, targets: Targets = (), *, most: int | None = None) -> Iterator[Version]:
        """The versions that Git's history knows, the newest first."""
        from kist.operations.log import log

        return log(self.context, _texts(targets), most=most)

    def checkout(
        self, targets: Targets = (), *, revision: str | None = None, force: bool = False, dry_run: bool = False
    ) -> CheckoutReport:
        """Bring the workspace to the recorded version, or to that of a Git revision."""
        from kist.operations.checkout import CheckoutOptions, checkout

        return checkout(self.context, _texts(targets), CheckoutOptions(force, dry_run, revision))

    def resolve(self, targets: Targets = (), *, take: Side | None = None, dry_run: bool = False) -> ResolveReport:
        """Merge what two branches recorded, where Git left a conflict in a metafile."""
        from kist.operations.resolve import resolve

        return resolve(self.context, _texts(targets), take=take, dry_run=dry_run)

    def move(self, source: StrPath, target: StrPath, *, dry_run: bool = False) -> MoveReport:
        """Move or rename tracked data."""
        from kist.operations.move import move

        return move(self.context, os.fspath(source), os.fspath(target), dry_run=dry_run)

    def remove(
        self, targets: Targets, *, keep: bool = False, force: bool = False, dry_run: bool = False
    ) -> RemoveReport:
        """Stop tracking targets and, unless *keep*, take them out of the workspace."""
        from kist.operations.remove import remove

        return remove(self.context, _texts(targets), keep=keep, force=force, dry_run=dry_run)

    def list(
        self, target: StrPath | None = None, *, revision: str | None = None, recursive: bool = False
    ) -> Iterator[Listed]:
        """What is tracked at or below a path."""
        from kist.operations.list_ import list_entries

        text = None if target is None else os.fspath(target)
        return list_entries(self.context, text, revision=revision, recursive=recursive)

    def cat(self, target: StrPath, *, revision: str | None = None) -> Iterator[bytes]:
        """The content of one tracked file, in blocks."""
        from kist.operations.cat import cat

        return cat(self.context, os.fspath(target), revision=revision)

    def push(self, targets: Targets = (), options: TransferOptions | None = None) -> Iterable[TransferReport]:
        """Send versions to their remotes; one report a remote."""
        from kist.operations.push import push
        from kist.operations.transfers import TransferOptions

        return push(self.context, _texts(targets), options or TransferOptions())

    def fetch(self, targets: Targets = (), options: TransferOptions | None = None) -> Iterable[TransferReport]:
        """Bring versions into the cache; one report a remote."""
        from kist.operations.fetch import fetch
        from kist.operations.transfers import TransferOptions

        return fetch(self.context, _texts(targets), options or TransferOptions())

    def pull(
        self, targets: Targets = (), options: TransferOptions | None = None, *, force: bool = False
    ) -> tuple[Iterable[TransferReport], CheckoutReport]:
        """Fetch, then checkout."""
        from kist.operations.pull import pull
        from kist.operations.transfers import TransferOptions

        return pull(self.context, _texts(targets), options or TransferOptions(), force=force)

    def gc(self, options: GcOptions | None = None) -> GcReport:
        """Collect what nothing needs."""
        from kist.operations.gc import GcOptions, gc

        return gc(self.context, options or GcOptions())

    def verify(self, targets: Targets = (), options: VerifyOptions | None = None) -> VerifyReport:
        """Check that data is there and undamaged."""
        from kist.operations.verify import VerifyOptions, verify

        return verify(self.context, _texts(targets), options or VerifyOptions())

    def trash(self) -> Iterable[Trashed]:
        """What lies in the trash."""
        from kist.operations.trash import list_trash

        return list_trash(self.context)

    def restore(self, name: str, to: StrPath | None = None, *, dry_run: bool = False) -> RestoreReport:
        """Bring something back from the trash."""
        from kist.operations.trash import restore

        return restore(self.context, name, None if to is None else os.fspath(to), dry_run=dry_run)

    def empty_trash(self, *, older_than: float | None = None, dry_run: bool = False) -> tuple[int, int]:
        """Delete what lies in the trash for longer than *older_than* seconds; returns entries and bytes."""
        from kist.operations.trash import empty

        return empty(self.context, older_than, dry_run=dry_run)

    def remotes(self) -> Iterable[RemoteInfo]:
        """The configured remotes."""
        from kist.operations.remote import list_remotes

        return list_remotes(self.context)

    def settings(self) -> Iterable[Setting]:
        """Every setting that counts here, with where it comes from."""
        from kist.operations.config import settings

        return settings(self.context)

    def doctor(self, *, remote: str | None = None, fix: bool = False) -> Iterable[Finding]:
        """What is wrong with this machine or repository; *fix* mends what can be mended."""
        from kist.operations.doctor import doctor

        return doctor(self.context, remote=remote, fix=fix)


def _texts(targets: Targets) -> list[str]:
    """Targets as texts; a single one is not taken for a sequence of letters."""
    if isinstance(targets, (str, os.PathLike)):
        return [os.fspath(targets)]
    return [os.fspath(one) for one in targets]


def plugin_commands() -> dict[str, str]:
    """The verbs that plugins bring: word to the distributions that bring it, found without importing any plugin."""
    from kist.operations.plugins import make_plugins
    from kist.plugins.catalog import installed_commands

    return installed_commands(make_plugins())


def plugin_help() -> dict[str, str]:
    """The same with what each verb does, or why its plugin does not work; imports their hook modules."""
    from kist.operations.plugins import make_plugins

    plugins = make_plugins()
    found = plugins.commands().commands
    return {word: f"{(found[word][1] or word).splitlines()[0]} {by}" for word, by in plugin_commands().items()}


def plugin_command(word: str, known: Sequence[str], asked: str = "kist") -> tuple[str, str]:
    """The module of a verb that a plugin brings, and the distribution that brings it.

    Args:
        word: the verb.
        known: the core's verbs, for a suggestion.
        asked: what was typed before the word.

    Raises:
        UsageError: nobody brings it, with the nearest verb.
        PluginError: the plugin that brings it does not work.
    """
    from kist.operations.plugins import plugin_command as find

    return find(word, known, asked)
