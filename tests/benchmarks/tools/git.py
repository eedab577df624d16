"""Git with the data in its own objects, and Git with LFS."""

from __future__ import annotations

from benchmarks.measure import Command
from benchmarks.tools.base import Tool


class Git(Tool):
    """Git with its defaults, without automatic collecting; the data is committed like source text."""

    name = "git"
    flags = "gc.auto=0"

    _revision = "two"
    _collected = False

    def version_text(self) -> str:
        """What ``--version`` says."""
        return self.do("git", "--version").strip()

    def version(self) -> list[Command]:
        """The version."""
        return self.in_work("git", "--version")

    def help(self) -> list[Command]:
        """The general help."""
        return self.in_work("git", "--help")

    def init(self) -> list[Command]:
        """A repository."""
        return self.in_work("git", "init", "-q")

    def add(self) -> list[Command]:
        """Record the data."""
        return self.in_work("git", "add", "data")

    def after_add(self) -> None:
        """The first version."""
        self._commit("one")

    def status(self) -> list[Command]:
        """What changed."""
        return self.in_work("git", "status", "--short")

    status_edited = status
    add_edited = add

    def after_add_edited(self) -> None:
        """The second version."""
        self._commit("two")

    def diff(self) -> list[Command]:
        """Both versions, file by file."""
        return self.in_work("git", "diff", "--name-status", "one", "two")

    def checkout_other(self) -> list[Command]:
        """From one version to the other."""
        self._revision = "one" if self._revision == "two" else "two"
        return self.in_work("git", "checkout", "-q", self._revision)

    def checkout_copy(self) -> list[Command]:
        """All files."""
        return self.in_work("git", "checkout", "-q", "--", "data")

    def one_path(self) -> list[Command]:
        """One missing file."""
        return self.in_work("git", "checkout", "-q", "--", self.workload.one_path)

    def before_push(self) -> None:
        """A bare repository beside it becomes the remote, once."""
        if not self.store.exists():
            self.do("git", "init", "-q", "--bare", str(self.store))
            self.do("git", "remote", "add", "store", f"file://{self.store}")

    def push(self) -> list[Command]:
        """What the remote lacks."""
        return self.in_work("git", "push", "-q", "store", "HEAD:refs/heads/main")

    push_nothing = push

    def pull(self) -> list[Command]:
        """A whole clone, history too."""
        return [Command(["git", "clone", "-q", f"file://{self.store}", str(self.clone)], self.place)]

    def before_gc(self) -> None:
        """What loose objects there are go into a pack first: then there is nothing to do."""
        if not self._collected:
            self.do("git", "gc", "-q")
            self._collected = True

    def gc(self) -> list[Command]:
        """Nothing is superfluous."""
        return self.in_work("git", "gc", "-q")

    def verify(self) -> list[Command]:
        """Hash everything."""
        return self.in_work("git", "fsck", "--full", "--no-progress")

    def _commit(self, tag: str) -> None:
        self.do("git", "add", "-A")
        self.do("git", "commit", "-q", "--allow-empty", "-m", tag)
        self.do("git", "tag", "-f", tag)


class GitLfs(Git):
    """Git LFS, the remote a bare repository in a folder through its own agent for files."""

    name = "git-lfs"
    flags = "gc.auto=0, data/** tracked, remote file://"

    def version_text(self) -> str:
        """What ``git lfs version`` says."""
        return self.do("git", "lfs", "version").strip()

    def version(self) -> list[Command]:
        """The version."""
        return self.in_work("git", "lfs", "version")

    def help(self) -> list[Command]:
        """The general help."""
        return self.in_work("git", "lfs", "help")

    def before_init(self) -> None:
        """Filters for this user, so that clones have them."""
        self.do("git", "lfs", "install", "--skip-repo")

    def init(self) -> list[Command]:
        """A repository with hooks and attributes."""
        return [
            *self.in_work("git", "init", "-q"),
            *self.in_work("git", "lfs", "install", "--local"),
            *self.in_work("git", "lfs", "track", "data/**"),
        ]

    def after_init(self) -> None:
        """The attributes count before the data comes."""
        self.do("git", "add", ".gitattributes")

    def before_gc(self) -> None:
        """Nothing was ever superfluous."""

    def gc(self) -> list[Command]:
        """Nothing is superfluous."""
        return self.in_work("git", "lfs", "prune", "--recent")

    def verify(self) -> list[Command]:
        """Hash everything."""
        return self.in_work("git", "lfs", "fsck")
