"""Hooks: how the operations on one repository talk to the plugins that follow its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kist.repo.context import RepoContext


class Hooks:
    """The life-cycle hooks of one repository; each receives it as ``repo``.

    Args:
        context: the repository.
    """

    def __init__(self, context: RepoContext) -> None:
        self._context = context

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell plugins what was done; one that fails is a warning, since what was done stays done."""
        _, errors = self._context.plugins.collect(hook, repo=self._context, **arguments)
        for error in errors:
            self._context.progress.message(f"warning: {error}" + (f" ({error.hint})" if error.hint else ""))

    def veto(self, hook: str, **arguments: Any) -> None:
        """Ask plugins whether they object.

        Raises:
            KistError: the first objection.
        """
        _, errors = self._context.plugins.collect(hook, repo=self._context, **arguments)
        if errors:
            raise errors[0]
