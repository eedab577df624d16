"""DVC, in a virtual environment of its own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.measure import Command
from benchmarks.remotes import FOLDER, KINDS, Site
from benchmarks.tools.base import Tool
from benchmarks.tools.environments import HOME, install
from benchmarks.workloads import Workload

REQUIREMENT = "dvc[azure,s3,ssh]==3.67.*"


class Dvc(Tool):
    """DVC with its defaults, but no analytics and no looking for updates."""

    name = "dvc"
    flags = "core.analytics=false, core.check_update=false; cache.type=copy where not said otherwise"
    remotes = (FOLDER, *KINDS)
    program = str(HOME / "dvc-remotes" / "bin" / "dvc")

    def __init__(self, place: Path, workload: Workload, site: Site | None = None) -> None:
        super().__init__(place, workload, site)
        self.environment |= {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(place / "site"),
            "DVC_GLOBAL_CONFIG_DIR": str(place / "home"),
            "DVC_SYSTEM_CONFIG_DIR": str(place / "home"),
        }
        self._revision = "two"

    def version_text(self) -> str:
        """What it says; it is installed first where it is missing."""
        install("dvc-remotes", "dvc", REQUIREMENT)
        return "dvc " + self.do(self.program, "--version").strip()

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
        return self.in_work(self.program, "init", "-q")

    def after_init(self) -> None:
        """No network but what is asked for."""
        self.do(self.program, "config", "core.analytics", "false")
        self.do(self.program, "config", "core.check_update", "false")
        self._links("copy")

    def add(self) -> list[Command]:
        """Record the data."""
        return self.in_work(self.program, "add", *self.workload.targets)

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

    def before_checkout_other(self) -> None:
        """The metafiles of the other version; DVC works from those of the workspace."""
        self._revision = "one" if self._revision == "two" else "two"
        self.do("git", "checkout", "-q", self._revision)

    def checkout_other(self) -> list[Command]:
        """From one version to the other."""
        return self.in_work(self.program, "checkout")

    def before_checkout_copy(self) -> None:
        """Copies."""
        self._links("copy")

    def checkout_copy(self) -> list[Command]:
        """All files."""
        return self.in_work(self.program, "checkout")

    def before_checkout_hardlink(self) -> None:
        """Hard links."""
        self._links("hardlink")

    checkout_hardlink = checkout_copy

    def before_checkout_symlink(self) -> None:
        """Symbolic links."""
        self._links("symlink")

    checkout_symlink = checkout_copy

    def before_checkout_reflink(self) -> None:
        """Shared blocks."""
        self._links("reflink")

    checkout_reflink = checkout_copy

    def one_path(self) -> list[Command]:
        """One missing file."""
        return self.in_work(self.program, "checkout", self.workload.one_path)

    def before_push(self) -> None:
        """A folder or a server becomes the remote, once."""
        if not self.store.exists():
            self.store.mkdir()
            self.do(self.program, "remote", "add", "-d", "store", self._site.url if self._site else str(self.store))
            self._commit("remote")

    def push(self) -> list[Command]:
        """What the remote lacks."""
        return self.in_work(self.program, "push")

    push_nothing = push

    def before_pull(self) -> None:
        """A clone of the metafiles."""
        self.do("git", "clone", "-q", str(self.work), str(self.clone), folder=self.place)
        self.do(self.program, "config", "--local", "cache.type", "copy", folder=self.clone)

    def pull(self) -> list[Command]:
        """All data into the clone."""
        return [Command([self.program, "pull"], self.clone)]

    def gc(self) -> list[Command]:
        """Nothing is superfluous: all commits count."""
        return self.in_work(self.program, "gc", "-w", "-A", "-f")

    def _links(self, kind: str) -> None:
        self.do(self.program, "config", "--local", "cache.type", kind)

    def _commit(self, tag: str) -> None:
        self.do("git", "add", "-A")
        self.do("git", "commit", "-q", "--allow-empty", "-m", tag)
        self.do("git", "tag", "-f", tag)
