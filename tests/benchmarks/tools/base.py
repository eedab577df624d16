"""What every tool is to the suite: an adapter that says which commands do an operation."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.measure import Command, run
from benchmarks.remotes import FOLDER, Site
from benchmarks.workloads import Workload

GIT_CONFIGURATION = """[user]
\tname = Benchmark
\temail = benchmark@example.invalid
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
[maintenance]
\tauto = false
[advice]
\tdetachedHead = false
[protocol "file"]
\tallow = always
"""


class Tool:
    """One tool in a folder of its own. A subclass has a method of the name of each operation that it can do.

    Such a method returns the commands that are timed, and ``before_<operation>`` and ``after_<operation>`` do what is
    not. An operation without a method has no counterpart in the tool.

    Args:
        place: an empty folder for everything.
        workload: the data.
        site: the server that is pushed to, None for a folder.
    """

    name = ""
    flags = ""
    """What a reader must know about how it was run."""

    pushes_workspace = False
    """Whether its push takes the files themselves, without an ``add`` before."""

    remotes: tuple[str, ...] = (FOLDER,)
    """The kinds of remotes that it can push to."""

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        self.place, self.workload = place, workload
        self._site = site
        self.work, self.clone, self.store = place / "work", place / "clone", place / "store"
        home = place / "home"
        home.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(exist_ok=True)
        configuration = home / "gitconfig"
        configuration.write_text(GIT_CONFIGURATION)
        self.environment = {
            "HOME": str(home),
            "GIT_CONFIG_GLOBAL": str(configuration),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LC_ALL": "C.UTF-8",
            **(site.environment if site else {}),
        }
        for name, text in (site.files if site else {}).items():
            (home / name).parent.mkdir(mode=0o700, exist_ok=True)
            (home / name).write_text(text)

    @property
    def site(self) -> Site:
        """The server, for a tool that has one."""
        assert self._site is not None, f"{self.name} needs a server"
        return self._site

    def version_text(self) -> str:
        """Name and version, asked of the tool itself.

        Raises:
            Failed: it is not there.
        """
        raise NotImplementedError

    def can(self, operation: str) -> bool:
        """Whether the tool has a counterpart of an operation."""
        return hasattr(self, operation)

    def prepare(self, operation: str) -> None:
        """Do what comes before an operation and is not timed."""
        getattr(self, f"before_{operation}", _nothing)()

    def commands(self, operation: str) -> list[Command]:
        """The commands that are timed."""
        return getattr(self, operation)()

    def finish(self, operation: str) -> None:
        """Do what comes after an operation and is not timed."""
        getattr(self, f"after_{operation}", _nothing)()

    def result(self, operation: str) -> Path | None:
        """The folder that must equal the source after an operation, where it gives one."""
        if operation.startswith("checkout_"):
            return self.work / "data"
        return self.clone / "data" if operation == "pull" else None

    def stored(self) -> int:
        """Bytes of all that the tool keeps beside the data."""
        return size_of(self.place) - size_of(self.work / "data")

    def requests(self) -> int | None:
        """Requests that the server got so far, None where there is none or it does not log them."""
        return self._site.count() if self._site and self._site.count else None

    def start_over(self) -> None:
        """Empty the repository's folder for another ``init``."""
        shutil.rmtree(self.work)
        self.work.mkdir()

    def in_work(self, *words: str, **environment: str) -> list[Command]:
        """One command in the repository."""
        return [Command(list(words), self.work, environment)]

    def do(self, *words: str, folder: Path | None = None) -> str:
        """Run a command that is not timed, and return what it prints."""
        return run(list(words), folder or self.work, self.environment)


def size_of(folder: Path) -> int:
    """Bytes on the disk below a folder, 0 where it is not there."""
    if not folder.exists():
        return 0
    return int(run(["du", "-s", "-B1", str(folder)], folder, {}).split()[0])


def _nothing() -> None:
    pass
