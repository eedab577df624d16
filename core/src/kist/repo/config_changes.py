"""Changes of a repository's configuration: under its lock, or on a dry run only told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from kist.repo.config_edit import EditedFile, set_values
from kist.repo.config_files import level_file
from kist.repo.context import RepoContext


class ConfigChanges:
    """Writes to configuration files of one repository and its user.

    Args:
        context: the repository.
        dry_run: check everything, write nothing.

    Attributes:
        written: the files that changed, or would, in this order.
    """

    def __init__(self, context: RepoContext, *, dry_run: bool) -> None:
        self._context = context
        self._dry_run = dry_run
        self.written: list[EditedFile] = []

    def set(self, level: str, values: Mapping[str, Any], *, secrets: Collection[str] = ()) -> None:
        """Set and (None) remove keys of the file of one level, all at once.

        Args:
            level: ``tracked``, ``local``, ``user`` or ``system``.
            values: by dotted key; None removes the key, or a whole remote (``remote.<name>``).
            secrets: keys of options that are declared secret.

        Raises:
            KistError: see :func:`kist.repo.config_edit.set_values`.
        """
        path = level_file(level, self._context.place)
        edited = set_values(path, level, values, secrets=secrets, dry_run=self._dry_run)
        if edited is not None:
            self.written.append(edited)


@contextmanager
def config_changes(context: RepoContext, *, dry_run: bool = False) -> Iterator[ConfigChanges]:
    """The block of a command that changes configuration, under the repository's lock.

    Args:
        context: the repository.
        dry_run: only tell what would change; nothing is locked then.
    """
    if dry_run:
        yield ConfigChanges(context, dry_run=True)
        return
    with context.writing(), context.write_lock():
        yield ConfigChanges(context, dry_run=False)
