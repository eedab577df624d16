"""init: make a repository."""

from __future__ import annotations

import os
from pathlib import Path

from kist.errors import RepoError, UsageError
from kist.repo import layout
from kist.repo.config import Config
from kist.repo.config_edit import set_values
from kist.repo.configured import choose_algorithm, plugins_of
from kist.repo.dialects import markers_of
from kist.repo.layout import CONFIG, MARKER
from kist.util.atomic import storage_errors
from kist.util.slotted import replace, slotted


@slotted(frozen=True)
class InitReport:
    """What `init` made, or would make.

    Args:
        root: the repository's folder.
        algorithm: the hash algorithm of new outputs.
        in_git: whether a Git repository is there, which keeps the versions of the metafiles.
        id: the repository's, None where nothing was made.
        bytes: size of the one file that was made, its configuration.
        hides: marker folders of other dialects that are here, which the native one goes before.
    """

    root: Path
    algorithm: str
    in_git: bool
    id: str | None = None
    bytes: int = 0
    hides: tuple[str, ...] = ()


def init(folder: Path, *, algorithm: str | None = None, dry_run: bool = False) -> InitReport:
    """Make a repository.

    Args:
        folder: where; it must exist.
        algorithm: the hash algorithm of new outputs, None for the best that is installed.
        dry_run: check everything, make nothing.

    Returns:
        What was made.

    Raises:
        RepoError: there is one already, or the folder is Git's own.
        UsageError: no such folder.
        PluginNotFound: nobody brings the algorithm.
    """
    root = Path(os.path.realpath(folder))
    if not root.is_dir():
        raise UsageError(f"{folder} is not a folder", path=str(folder), hint="make it first")
    path = root / MARKER / CONFIG
    if path.exists():
        raise RepoError(f"{root} is a kist repository already", path=str(root), hint="'kist status' looks at it")
    if ".git" in root.parts or _is_git_folder(root):
        raise RepoError(f"{root} is Git's own folder", path=str(root), hint="run 'kist init' where your files are")
    config = Config.load()
    plugins = plugins_of(config)
    chosen = algorithm or config.get("core.hash") or choose_algorithm(plugins, plugins.dialect(MARKER))
    plugins.hasher(chosen)
    hides = tuple(sorted(marker for marker in markers_of(plugins) if layout.is_folder(root / marker)))
    report = InitReport(root, chosen, layout.find_git(root) is not None, hides=hides)
    if not dry_run:
        with storage_errors(path):
            path.parent.mkdir(exist_ok=True)
    # At once, so that a killed init can be repeated.
    identity = layout.new_id()
    edited = set_values(path, "tracked", {"core.hash": chosen, "repository.id": identity}, dry_run=dry_run)
    return replace(report, id=None if dry_run else identity, bytes=edited.bytes if edited else 0)


def _is_git_folder(folder: Path) -> bool:
    """Whether a folder is what ``git init --bare`` makes."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()
