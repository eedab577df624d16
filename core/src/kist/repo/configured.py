"""What a configuration chooses: plugins, the hash algorithm, and what runs parallel work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kist.abc.dialect import Dialect
from kist.abc.progress import Progress
from kist.errors import PluginError, PluginNotFound
from kist.plugins.catalog import not_found
from kist.plugins.registry import Plugins
from kist.repo.config import Config
from kist.util.processors import processors

if TYPE_CHECKING:
    from kist.abc.executor import Executor

_HERE = "threads"


def plugins_of(config: Config) -> Plugins:
    """The plugins, as a configuration blocks and prefers them."""
    return Plugins(block=config.get("plugins.block"), prefer=config.get("plugins.prefer"))


def choose_algorithm(plugins: Plugins, dialect: Dialect) -> str:
    """The first of the dialect's algorithms that is builtin or installed.

    Raises:
        PluginNotFound: none is.
    """
    for algorithm in dialect.default_hashers:
        if plugins.is_builtin("hashers", algorithm) or plugins.usable("hashers", algorithm):
            return algorithm
    raise PluginNotFound(
        f"none of the hash algorithms {', '.join(dialect.default_hashers)} is installed",
        hint=not_found(plugins, "hashers", dialect.default_hashers[0]).hint,
    )


class Executors:
    """The executors of one repository: each is made when it is first asked for, and serves until it is closed.

    Args:
        plugins: make them.
        name: the one that is configured, None if none is.
        progress: is told of what goes wrong at the end.
    """

    def __init__(self, plugins: Plugins, name: str | None, progress: Progress) -> None:
        self._plugins = plugins
        self._progress = progress
        self._name = name
        self._made: dict[tuple[str, int], Executor] = {}

    def for_requests(self, jobs: int) -> Executor:
        """What calls remotes: threads of this process where nothing is configured, or what cannot use our connections.

        Args:
            jobs: most calls at once.

        Raises:
            PluginError: the executor that is configured does not work.
        """
        made = self._make(self._name or _HERE, jobs)
        return made if made.shares_memory else self._make(_HERE, jobs)

    def for_files(self, jobs: int | None) -> Executor:
        """What works on files of this machine: this thread, where nothing is configured.

        Args:
            jobs: most files at once, None for one a processor.

        Raises:
            PluginError: the executor that is configured does not work.
        """
        if not self._name:
            from kist.abc.executor import InLine

            return InLine()
        return self._make(self._name, jobs or processors())

    def close(self) -> None:
        """End all workers; what goes wrong is told only, as it undoes nothing of what they did."""
        while self._made:
            try:
                self._made.popitem()[1].close()
            except PluginError as exc:
                self._progress.message(str(exc))

    def _make(self, name: str, jobs: int) -> Executor:
        made = self._made.get((name, jobs))
        if made is None:
            made = self._made[name, jobs] = self._plugins.executor(name, jobs)
        return made
