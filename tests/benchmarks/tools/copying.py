"""Tools that copy: rclone between folders, and cp."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.measure import Command
from benchmarks.remotes import FOLDER, KINDS, Site
from benchmarks.tools.base import Tool
from benchmarks.workloads import Workload


class Rclone(Tool):
    """rclone from a folder to a folder or a server; it has no cache and no versions."""

    name = "rclone"
    flags = "defaults; over SSH without hash checks, for which it starts a program for each file"
    pushes_workspace = True
    remotes = (FOLDER, *KINDS)

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.environment |= {"RCLONE_CONFIG": os.devnull}
        self._target = f"store:{site.path}/data" if site else str(self.store / "data")

    def version_text(self) -> str:
        """The first line of what ``rclone version`` says."""
        return self.do("rclone", "version").partition("\n")[0]

    def version(self) -> list[Command]:
        """The version."""
        return self.in_work("rclone", "version")

    def help(self) -> list[Command]:
        """The general help."""
        return self.in_work("rclone", "help")

    def push(self) -> list[Command]:
        """What the other place lacks."""
        return self.in_work("rclone", "sync", "data", self._target)

    push_nothing = push

    def pull(self) -> list[Command]:
        """All files into an empty folder."""
        return [Command(["rclone", "copy", self._target, str(self.clone / "data")], self.place)]

    def verify(self) -> list[Command]:
        """Read and compare everything."""
        return self.in_work("rclone", "check", "--download", "data", self._target)


class Cp(Tool):
    """cp into a folder and back: what keeping a copy costs, without any versions."""

    name = "cp"
    flags = "cp -r, -rl, -rs, --reflink"

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.cache = place / "cache"

    def version_text(self) -> str:
        """The first line of what ``--version`` says."""
        return self.do("cp", "--version").partition("\n")[0]

    def before_checkout_hardlink(self) -> None:
        """The copy is to have the version that the workspace has."""
        new = self.place / "new"
        self.do("cp", "-rL", "data", str(new))
        if self.cache.exists():
            shutil.rmtree(self.cache)
        new.rename(self.cache)

    before_checkout_copy = before_checkout_symlink = before_checkout_reflink = before_checkout_hardlink

    def checkout_copy(self) -> list[Command]:
        """All files, copied."""
        return self.in_work("cp", "-r", "--reflink=never", str(self.cache), "data")

    def checkout_hardlink(self) -> list[Command]:
        """All files, as hard links."""
        return self.in_work("cp", "-rl", str(self.cache), "data")

    def checkout_symlink(self) -> list[Command]:
        """All files, as symbolic links."""
        return self.in_work("cp", "-rs", str(self.cache), "data")

    def checkout_reflink(self) -> list[Command]:
        """All files, sharing their blocks."""
        return self.in_work("cp", "-r", "--reflink=always", str(self.cache), "data")

    def push(self) -> list[Command]:
        """A copy of the data."""
        return self.in_work("cp", "-r", "data", str(self.store))

    def before_pull(self) -> None:
        """A place for it."""
        os.makedirs(self.clone)

    def pull(self) -> list[Command]:
        """A copy of the copy."""
        return [Command(["cp", "-r", str(self.store), str(self.clone / "data")], self.place)]
