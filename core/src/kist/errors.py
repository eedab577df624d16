"""Every error that kist raises on purpose.

    KistError                        1
    ├─ UsageError                    2   ├─ PathNotTracked  └─ PathIgnored
    ├─ ConfigError                   3   ├─ UnknownOption   └─ InvalidOption
    ├─ PluginError                   4   ├─ PluginNotFound  ├─ PluginConflict  ├─ PluginBroken  └─ ContractViolation
    ├─ RepoError                     5   ├─ NotARepo        ├─ RepoNotOwned    └─ RepoFormatError
    ├─ WorkspaceError                6   ├─ UnsavedChanges  └─ PathConflict
    ├─ MetafileError                 7   ├─ MetafileSyntaxError  └─ MetafileVersionError
    ├─ ObjectError                   8   ├─ ObjectMissing   └─ ObjectCorrupt
    ├─ LinkError                     9   └─ LinkUnsupported
    ├─ RemoteError                  10   ├─ RemoteObjectNotFound  ├─ RemoteAuthError      ├─ RemotePermissionError
    │                                    ├─ RemoteUnavailable     ├─ RemoteQuotaExceeded  ├─ RemoteExists
    │                                    ├─ RemotePrecondition    ├─ RemoteMissing        └─ RemoteFormatError
    ├─ TransferError                11
    ├─ RepoLocked                   12
    └─ StorageError                 13

The number is the exit code of the command line. An error carries its facts as attributes; the command line prints
``error: <message>`` and ``hint: <hint>`` and knows nothing else about the classes. Layer 0: imports nothing of kist.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class KistError(Exception):
    """Base of all errors that kist raises on purpose.

    Args:
        message: one sentence that says what failed and why; never a secret.
        hint: what the user can do about it, or None for the class's own.
        path: the file or folder concerned, as text, if there is one.
        remote: the name of the remote concerned, if there is one.
    """

    exit_code = 1
    hint: str | None = None
    retryable = False

    def __init__(
        self, message: str, *, hint: str | None = None, path: str | None = None, remote: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        if hint is not None:
            self.hint = hint
        self.path = path
        self.remote = remote

    def __str__(self) -> str:
        return self.message


class UsageError(KistError):
    """The command line or a call asks for something that does not exist or does not fit."""

    exit_code = 2


class PathNotTracked(UsageError):
    """A target is not under kist's control."""


class PathIgnored(UsageError):
    """A target is hidden by an ignore rule."""


class ConfigError(KistError):
    """The configuration is wrong or lacks something."""

    exit_code = 3


class UnknownOption(ConfigError):
    """A configuration key or remote option that nobody knows."""


class InvalidOption(ConfigError):
    """A known configuration key or remote option with a value that does not fit."""


class PluginError(KistError):
    """A plugin is missing or does not work."""

    exit_code = 4


class PluginNotFound(PluginError):
    """No installed distribution brings what is needed."""


class PluginConflict(PluginError):
    """Two distributions bring the same key of one group."""


class PluginBroken(PluginError):
    """A plugin raised while it was imported or called.

    Args:
        distribution: the distribution that brings the plugin.
        cause: what it raised.
        where: the hook or the part of it that was called, None where it was being imported.
        hint: what to do, None for what helps with most.
    """

    def __init__(
        self, distribution: str, cause: BaseException, *, where: str | None = None, hint: str | None = None
    ) -> None:
        place = f"{where}: " if where else ""
        reason = "; ".join(line.strip() for line in str(cause).splitlines())
        super().__init__(
            f"the plugin {distribution} does not work: {place}{type(cause).__name__}: {reason}",
            hint=hint or f"reinstall or remove {distribution}; the same command with --debug shows where it fails",
        )
        self.distribution = distribution
        self.cause = cause


class ContractViolation(PluginError):
    """A plugin returned something that its contract rules out."""


class RepoError(KistError):
    """Something is wrong with the repository as a whole."""

    exit_code = 5


class NotARepo(RepoError):
    """The current folder belongs to no kist repository."""

    hint = "run 'kist init' to make one here"


class RepoNotOwned(RepoError):
    """The repository belongs to another user of this machine."""


class RepoFormatError(RepoError):
    """The repository or cache is of a format that this version cannot read."""


class WorkspaceError(KistError):
    """The command would lose or hide the user's work."""

    exit_code = 6


class UnsavedChanges(WorkspaceError):
    """Workspace files whose content is saved nowhere stand in the way.

    Args:
        paths: the files, relative to the repository.
    """

    hint = "run 'kist commit' to keep the changes, or repeat with --force to move them to the trash"

    def __init__(self, message: str, *, paths: Sequence[str] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint, path=paths[0] if paths else None)
        self.paths = tuple(paths)


class PathConflict(WorkspaceError):
    """Two things claim the same path, or a path cannot exist on this file system."""


class MetafileError(KistError):
    """A metafile or manifest is not valid."""

    exit_code = 7


class MetafileSyntaxError(MetafileError):
    """A metafile cannot be parsed.

    Args:
        message: what is wrong.
        file: the metafile's path, as text.
        line: 1-based line, 0 where unknown.
        column: 1-based column, 0 where unknown.
        text: the offending line, if known.
    """

    def __init__(self, message: str, *, file: str, line: int = 0, column: int = 0, text: str = "") -> None:
        place = f"{file}:{line}:{column}" if line else file
        quoted = f"\n  {text}\n  {' ' * (column - 1)}^" if text and column else ""
        super().__init__(f"{place}: {message}{quoted}", path=file, hint="mend the file, or take it from Git again")
        self.file = file
        self.line = line
        self.column = column


class MetafileVersionError(MetafileError):
    """A metafile or stored file was written by a newer version."""

    hint = "install a newer kist: pip install -U kist"


class ObjectError(KistError):
    """Data is missing or damaged."""

    exit_code = 8


class ObjectMissing(ObjectError):
    """An object is in none of the places that were asked.

    Args:
        digest: the object's name, ``algorithm:hex``.
        paths: the workspace paths that need it, if known.
        where: the places that were asked, as text.
    """

    hint = "run 'kist fetch' to bring it from a remote, or 'kist push' where it was added"

    def __init__(self, digest: str, *, paths: Sequence[str] = (), where: str = "", hint: str | None = None) -> None:
        needed = f" ({', '.join(paths[:3])}{', …' if len(paths) > 3 else ''})" if paths else ""
        super().__init__(f"object {digest}{needed} is missing{' in ' + where if where else ''}", hint=hint)
        self.digest = digest
        self.paths: tuple[str, ...] = tuple(paths)
        self.where = where


class ObjectCorrupt(ObjectError):
    """The bytes found under a digest are not the ones that it names.

    Args:
        digest: the expected name, ``algorithm:hex``.
        actual: the name of what was found, or a short description.
        where: where the bad bytes lie, as text.

    Attributes:
        paths: the workspace paths that need it, where the operation knows them.
    """

    hint = "run 'kist verify --repair' to replace it from any place that has it"

    def __init__(self, digest: str, *, actual: str = "", where: str = "", hint: str | None = None) -> None:
        found = f", found {actual}" if actual else ""
        super().__init__(f"object {digest} is damaged{' in ' + where if where else ''}{found}", hint=hint)
        self.digest = digest
        self.actual = actual
        self.where = where
        self.paths: tuple[str, ...] = ()


class LinkError(KistError):
    """A workspace file could not be made from the cache."""

    exit_code = 9


class LinkUnsupported(LinkError):
    """This link type cannot be used between these two places.

    Args:
        message: why not.
        done: how many files of the same call were made before.
    """

    def __init__(self, message: str, *, done: int = 0, hint: str | None = None, path: str | None = None) -> None:
        super().__init__(message, hint=hint, path=path)
        self.done = done


class RemoteError(KistError):
    """A remote refused or failed."""

    exit_code = 10


class RemoteObjectNotFound(RemoteError):
    """The remote has no such key.

    Args:
        key: the key that was asked for.
    """

    def __init__(self, key: str, *, remote: str | None = None) -> None:
        super().__init__(f"the remote has no {key}", remote=remote)
        self.key = key


class RemoteAuthError(RemoteError):
    """The remote does not accept the credentials, or there are none."""


class RemotePermissionError(RemoteError):
    """The credentials are good but do not allow this."""


class RemoteUnavailable(RemoteError):
    """The remote cannot be reached or answers that it is overloaded.

    Args:
        message: what failed.
        retry_after: seconds that the remote asked to wait, or None.
    """

    retryable = True

    def __init__(
        self, message: str, *, retry_after: float | None = None, hint: str | None = None, remote: str | None = None
    ) -> None:
        super().__init__(message, hint=hint, remote=remote)
        self.retry_after = retry_after


class RemoteQuotaExceeded(RemoteError):
    """The remote is full or a quota is used up."""


class RemoteExists(RemoteError):
    """The key exists already and ``if_absent`` was asked."""


class RemotePrecondition(RemoteError):
    """What was read has changed on the remote meanwhile."""


class RemoteMissing(RemoteError):
    """The place of a remote is not there: no such folder, bucket or container."""

    hint = "is the address right, and the disk or share mounted?"


class RemoteFormatError(RemoteError):
    """The place of a remote holds something else, or a format that this version cannot read."""


class TransferError(KistError):
    """Part of a transfer failed; all that could go went.

    Args:
        message: how much failed, of how much.
        failures: pairs of the object's name (or key) and what happened to it.

    Attributes:
        reports: the reports of what went, one a remote.
        placed: for a pull, the report of the checkout that followed.
    """

    exit_code = 11
    hint = "run the same command again: what arrived is not sent twice"

    def __init__(self, message: str, failures: Sequence[tuple[str, KistError]], *, remote: str | None = None) -> None:
        super().__init__(message, remote=remote)
        self.failures = tuple(failures)
        self.reports: tuple[Any, ...] = ()
        self.placed: Any = None
        if failures and all(isinstance(error, ObjectError) for _, error in failures):
            self.exit_code = ObjectError.exit_code
            self.hint = failures[0][1].hint or self.hint


class RepoLocked(KistError):
    """Another process holds the lock and did not let go in time.

    Args:
        what: the thing that is locked.
        who: who holds it (process, host, verb), as text.
        since: since when, as text.
    """

    exit_code = 12
    hint = "wait for it to end, or give more time with --lock-timeout"

    def __init__(self, what: str, *, who: str = "another process", since: str = "") -> None:
        super().__init__(f"{what} is locked by {who}{' since ' + since if since else ''}")
        self.what = what
        self.who = who
        self.since = since


class StorageError(KistError):
    """The disk is full, read-only or failing.

    Args:
        message: what failed.
        path: where.
        errno: the system's error number, 0 where unknown.
    """

    exit_code = 13

    def __init__(self, message: str, *, path: str | None = None, errno: int = 0, hint: str | None = None) -> None:
        super().__init__(message, hint=hint, path=path)
        self.errno = errno
