"""The adapters, by name: kist first, then its peers."""

from benchmarks.tools.backup import Borg, Restic
from benchmarks.tools.base import Tool
from benchmarks.tools.copying import Cp, Rclone
from benchmarks.tools.dvc import Dvc
from benchmarks.tools.git import Git, GitLfs
from benchmarks.tools.kist import Kist, KistDurable, KistPure
from benchmarks.tools.native import Rsync, S5cmd, Scp, TarSsh

TOOLS: dict[str, type[Tool]] = {
    one.name: one
    for one in (Kist, KistDurable, KistPure, Dvc, Git, GitLfs, Restic, Borg, Rclone, Cp, S5cmd, TarSsh, Rsync, Scp)
}
