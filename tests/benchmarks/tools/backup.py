"""Backup tools: their repository is cache and remote at once, so that add and push are the same command."""

from __future__ import annotations

import json
import os
from pathlib import Path

from benchmarks.measure import Command
from benchmarks.remotes import Site
from benchmarks.tools.base import Tool
from benchmarks.workloads import Workload


class Restic(Tool):
    """restic with a repository in a folder; push is a first backup into another one, pull restores from that."""

    name = "restic"
    flags = "defaults, its cache kept"
    pushes_workspace = True

    def version_text(self) -> str:
        """What ``restic version`` says."""
        return self.do("restic", "version").strip()

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.cache = place / "cache"
        self.environment |= {"RESTIC_PASSWORD": "benchmark", "RESTIC_CACHE_DIR": str(place / "restic-cache")}

    def version(self) -> list[Command]:
        """The version."""
        return self.in_work("restic", "version")

    def help(self) -> list[Command]:
        """The general help."""
        return self.in_work("restic", "--help")

    def start_over(self) -> None:
        """Without the repository."""
        super().start_over()
        self.do("rm", "-rf", str(self.cache))

    def init(self) -> list[Command]:
        """A repository."""
        return self.in_work("restic", "-q", "-r", str(self.cache), "init")

    def add(self) -> list[Command]:
        """Record the data."""
        return self.in_work("restic", "-q", "-r", str(self.cache), "backup", "data")

    add_edited = add

    def diff(self) -> list[Command]:
        """The last two backups, file by file."""
        found = json.loads(self.do("restic", "-r", str(self.cache), "snapshots", "--json"))
        return self.in_work("restic", "-q", "-r", str(self.cache), "diff", *[one["id"] for one in found[:2]])

    def checkout_copy(self) -> list[Command]:
        """All files."""
        return self.in_work("restic", "-q", "-r", str(self.cache), "restore", "latest", "--target", ".")

    def one_path(self) -> list[Command]:
        """One missing file."""
        wanted = "/" + self.workload.one_path
        return self.in_work(
            "restic", "-q", "-r", str(self.cache), "restore", "latest", "--target", ".", "--include", wanted
        )

    def before_push(self) -> None:
        """Another repository is the remote."""
        if not self.store.exists():
            self.do("restic", "-q", "-r", str(self.store), "init")

    def push(self) -> list[Command]:
        """A backup."""
        return self.in_work("restic", "-q", "-r", str(self.store), "backup", "data")

    push_nothing = push

    def pull(self) -> list[Command]:
        """Restore into an empty folder."""
        words = ["restic", "-q", "-r", str(self.store), "restore", "latest", "--target", str(self.clone)]
        return [Command(words, self.place)]

    def gc(self) -> list[Command]:
        """Nothing is superfluous."""
        return self.in_work("restic", "-q", "-r", str(self.cache), "prune")

    def verify(self) -> list[Command]:
        """Read and hash everything."""
        return self.in_work("restic", "-q", "-r", str(self.cache), "check", "--read-data")


class Borg(Tool):
    """Borg without encryption; push is a first archive in another repository, pull extracts from that."""

    name = "borg"
    flags = "--encryption=none, default compression (lz4)"
    pushes_workspace = True

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.cache = place / "cache"
        self._archives = 0
        self.environment |= {
            "BORG_BASE_DIR": str(place / "home"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        }

    def version_text(self) -> str:
        """What ``--version`` says."""
        return self.do("borg", "--version").strip()

    def version(self) -> list[Command]:
        """The version."""
        return self.in_work("borg", "--version")

    def help(self) -> list[Command]:
        """The general help."""
        return self.in_work("borg", "--help")

    def start_over(self) -> None:
        """Without the repository."""
        super().start_over()
        self.do("rm", "-rf", str(self.cache))

    def init(self) -> list[Command]:
        """A repository."""
        return self.in_work("borg", "init", "--encryption=none", str(self.cache))

    def add(self) -> list[Command]:
        """Record the data."""
        return self.in_work("borg", "create", f"{self.cache}::one", "data")

    def add_edited(self) -> list[Command]:
        """Record it again."""
        return self.in_work("borg", "create", f"{self.cache}::two", "data")

    def diff(self) -> list[Command]:
        """Both archives, file by file."""
        return self.in_work("borg", "diff", f"{self.cache}::one", "two")

    def checkout_copy(self) -> list[Command]:
        """All files."""
        return self.in_work("borg", "extract", f"{self.cache}::{self._last()}")

    def one_path(self) -> list[Command]:
        """One missing file."""
        return self.in_work("borg", "extract", f"{self.cache}::{self._last()}", self.workload.one_path)

    def before_push(self) -> None:
        """Another repository is the remote."""
        if not self.store.exists():
            self.do("borg", "init", "--encryption=none", str(self.store))

    def push(self) -> list[Command]:
        """An archive."""
        self._archives += 1
        return self.in_work("borg", "create", f"{self.store}::push{self._archives}", "data")

    push_nothing = push

    def before_pull(self) -> None:
        """Borg extracts into the folder where it runs."""
        os.makedirs(self.clone)

    def pull(self) -> list[Command]:
        """Extract into an empty folder."""
        return [Command(["borg", "extract", f"{self.store}::push{self._archives}"], self.clone)]

    def gc(self) -> list[Command]:
        """Nothing is superfluous."""
        return self.in_work("borg", "compact", str(self.cache))

    def verify(self) -> list[Command]:
        """Read and hash everything."""
        return self.in_work("borg", "check", "--verify-data", str(self.cache))

    def _last(self) -> str:
        return self.do("borg", "list", "--short", str(self.cache)).split()[-1]
