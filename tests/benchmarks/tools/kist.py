"""kist itself, as other tools are run (not waiting for the disk) and as it is by default."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from benchmarks.measure import Command
from benchmarks.remotes import FOLDER, KINDS, Site
from benchmarks.tools.base import Tool
from benchmarks.workloads import Workload


class Kist(Tool):
    """kist with ``core.fsync=off``: no peer waits for the disk either, restic and borg excepted."""

    name = "kist"
    flags = "KIST_FSYNC=off; add, push and pull with --json"
    remotes = (FOLDER, *KINDS)
    sync = "off"
    program = os.environ.get("KIST_PROGRAM") or shutil.which("kist", path=str(Path(sys.executable).parent)) or "kist"

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.environment |= {
            "KIST_FSYNC": self.sync,
            "KIST_SYSTEM_CONFIG": str(place / "none.yaml"),
            "KIST_USER_CONFIG": str(place / "none.yaml"),
        }
        self._revision = "two"

    def version_text(self) -> str:
        """What ``--version`` says."""
        return self.do(self.program, "--version").strip()

    def version(self) -> list[Command]:
        """The version."""
        return self.in_work(self.program, "--version")

    def help(self) -> list[Command]:
        """The general help."""
        return self.in_work(self.program, "--help")

    def before_init(self) -> None:
        """The repository stands in Git."""
        self.do("git", "init", "-q")

    def init(self) -> list[Command]:
        """A repository."""
        return self.in_work(self.program, "init")

    def add(self) -> list[Command]:
        """Record the data."""
        return self.in_work(self.program, "add", *self.workload.targets, "--json")

    def after_add(self) -> None:
        """The first version in Git."""
        self._commit("one")

    def status(self) -> list[Command]:
        """What changed."""
        return self.in_work(self.program, "status")

    status_edited = status
    add_edited = add

    def after_add_edited(self) -> None:
        """The second version in Git."""
        self._commit("two")

    def diff(self) -> list[Command]:
        """Both versions, file by file."""
        return self.in_work(self.program, "diff", "one", "two")

    def checkout_other(self) -> list[Command]:
        """From one version to the other."""
        self._revision = "one" if self._revision == "two" else "two"
        return self.in_work(self.program, "checkout", "--rev", self._revision)

    def checkout_copy(self) -> list[Command]:
        """All files, as copies."""
        return self.in_work(self.program, "checkout", KIST_CACHE_TYPE="copy")

    def checkout_hardlink(self) -> list[Command]:
        """All files, as hard links where the cache has files of their own."""
        return self.in_work(self.program, "checkout", KIST_CACHE_TYPE="hardlink,copy")

    def checkout_symlink(self) -> list[Command]:
        """All files, as symbolic links where the cache has files of their own."""
        return self.in_work(self.program, "checkout", KIST_CACHE_TYPE="symlink,copy")

    def checkout_reflink(self) -> list[Command]:
        """All files, sharing their blocks with the cache."""
        return self.in_work(self.program, "checkout", KIST_CACHE_TYPE="reflink,copy")

    def one_path(self) -> list[Command]:
        """One missing file."""
        return self.in_work(self.program, "checkout", self.workload.one_path)

    def before_push(self) -> None:
        """A folder or a server becomes the remote, once."""
        if not self.store.exists():
            self.store.mkdir()
            self.do(self.program, "remote", "add", "-d", "store", self._site.url if self._site else "../store")
            self._commit("remote")
            self._know_server(self.work)

    def push(self) -> list[Command]:
        """What the remote lacks."""
        return self.in_work(self.program, "push", "--json")

    push_nothing = push

    def before_pull(self) -> None:
        """A clone of the metafiles."""
        self.do("git", "clone", "-q", str(self.work), str(self.clone), folder=self.place)
        self._know_server(self.clone)

    def pull(self) -> list[Command]:
        """All data into the clone."""
        return [Command([self.program, "pull", "--json"], self.clone)]

    def gc(self) -> list[Command]:
        """Nothing is superfluous."""
        return self.in_work(self.program, "gc", "-f")

    def verify(self) -> list[Command]:
        """Hash everything."""
        return self.in_work(self.program, "verify")

    def _know_server(self, folder: Path) -> None:
        """Say how to get there, which is each clone's own affair, and that it may have the keys."""
        if self._site is None:
            return
        for option, value in self._site.options.items():
            self.do(self.program, "remote", "modify", "--local", "store", option, value, folder=folder)
        if self._site.ssh and self.sync == "off":  # no peer has the server wait for its disk
            self.do(self.program, "remote", "modify", "--local", "store", "fsync", "false", folder=folder)
        self.do(self.program, "remote", "trust", "store", folder=folder)

    def _commit(self, tag: str) -> None:
        self.do("git", "add", "-A")
        self.do("git", "commit", "-q", "--allow-empty", "-m", tag)
        self.do("git", "tag", "-f", tag)


class KistDurable(Kist):
    """kist as it is by default: what it has told, a power cut does not take."""

    name = "kist-durable"
    flags = "the default, KIST_FSYNC=batch"
    sync = "batch"


class KistPure(Kist):
    """kist without the compiled kernel, as ``pip install kist`` brings it."""

    name = "kist-pure"
    flags = "KIST_FSYNC=off, KIST_KERNEL=pure"

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.environment["KIST_KERNEL"] = "pure"
