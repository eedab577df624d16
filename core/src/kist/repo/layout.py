"""Where a repository keeps what: names inside ``.kist`` and the private folder, and the format version.

No subprocess here: Git's folders are found by reading ``.git``. The rare questions that only Git can answer are asked
through :mod:`kist.repo.revisions`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from kist.errors import NotARepo, RepoFormatError, RepoNotOwned
from kist.util.atomic import storage_errors, write_file
from kist.util.paths import display, fold, is_reserved
from kist.util.slotted import replace, slotted

MARKER = ".kist"
CONFIG = "config.yaml"
COMPANION = "kist.yaml"
"""The tracked configuration in the marker folder of another dialect, whose other files are another tool's."""
PRIVATE = "private"
FORMAT = 1
"""The newest repository format that this version reads, ``repository.format`` in the tracked configuration."""

ID_FILE = "id"
_FOREIGN = "dialect"
"""Begins the names of the private folders of another dialect's repositories, before the marker; no id has a dot."""

_ID = re.compile(r"[0-9a-z][0-9a-z-]{7,63}", re.ASCII)
_POINTER_LIMIT = 64 << 10


@slotted(frozen=True)
class GitPlace:
    """Git's folders around a repository.

    Args:
        top: the folder of Git's workspace.
        folder: Git's folder of this worktree or submodule.
        common: Git's folder that all worktrees share.
    """

    top: Path
    folder: Path
    common: Path


@slotted(frozen=True)
class Place:
    """Where one repository keeps what.

    Args:
        root: the repository's folder.
        id: the repository's id; "" in one of another dialect where nothing was written yet.
        git: Git's folders, None without Git.
        shared: the private folder that all worktrees share.
        own: the private folder of this worktree and repository.
        settings: the private folder of this repository, for all worktrees.
        waiting: a private folder from before Git came, to be moved by the next writing command; None if there is none.
        marker: the marker folder that makes it a repository.
    """

    root: Path
    id: str
    git: GitPlace | None
    shared: Path
    own: Path
    settings: Path
    waiting: Path | None = None
    marker: str = MARKER

    @property
    def config(self) -> Path:
        """The tracked configuration."""
        return self.root / self.marker / (CONFIG if self.marker == MARKER else COMPANION)

    @property
    def local_config(self) -> Path:
        """The configuration of this clone, mode 0600."""
        return self.settings / CONFIG

    @property
    def cache(self) -> Path:
        """The cache, where ``cache.dir`` names no other."""
        return self.shared / "cache"

    @property
    def trash(self) -> Path:
        """Displaced and collected files."""
        return self.shared / "trash"

    @property
    def locks(self) -> Path:
        """Lock files."""
        return self.shared / "locks"

    @property
    def scratch(self) -> Path:
        """Scratch folders of running processes."""
        return self.shared / "tmp"

    @property
    def fingerprints(self) -> Path:
        """The database of fingerprints."""
        return self.own / "fingerprints.sqlite"

    @property
    def journal(self) -> Path:
        """Journals of commands that change the workspace."""
        return self.own / "journal"


def new_id() -> str:
    """An id for a new repository: 32 random hexadecimal digits."""
    return os.urandom(16).hex()


def check_id(text: object) -> str:
    """A repository id out of a tracked configuration, where anything may stand.

    Args:
        text: the value.

    Returns:
        The id, safe as the name of a folder.

    Raises:
        RepoFormatError: it is no id.
    """
    if not isinstance(text, str) or not _ID.fullmatch(text):
        raise RepoFormatError(
            f"the repository has no valid id in {MARKER}/{CONFIG}: {display(str(text))[:80]!r}",
            hint="take the file from Git again, or run 'kist init' to give it a new id",
        )
    return text


def find_root(
    start: Path, others: Callable[[], Iterable[str]] = tuple, foreign: Callable[[], Mapping[str, str]] = dict
) -> tuple[Path, str]:
    """The repository that a folder belongs to.

    Args:
        start: an absolute folder.
        others: names the marker folders of other dialects; asked where *start* itself is not the root of a native one.
        foreign: names the marker folders of other tools, with what to do, for the hint where there is none of ours.

    Returns:
        The nearest folder upwards with a marker, and the marker; the native one goes before others in one folder. The
        search stops at Git's top level.

    Raises:
        NotARepo: there is none.
    """
    searched = []
    for folder in (start, *start.parents):
        searched.append(folder)
        native = is_folder(folder / MARKER)
        if native and os.path.lexists(folder / MARKER / CONFIG):
            return folder, MARKER
        for marker in (*others(), *((MARKER,) if native else ())):
            if is_folder(folder / marker):
                return folder, marker
        if os.path.lexists(folder / ".git"):
            break
    error = NotARepo(f"{display(str(start))} belongs to no kist repository", path=str(start))
    for marker, what_to_do in foreign().items():
        if any(is_folder(folder / marker) for folder in searched):
            error.hint = f"it has a {marker} folder: {what_to_do}"
    raise error


def find_git(start: Path) -> GitPlace | None:
    """Git's folders around a folder, without asking Git.

    Args:
        start: an absolute folder.

    Returns:
        None outside of Git; a ``.git`` without ``HEAD`` counts for nothing, as for Git.
    """
    for folder in (start, *start.parents):
        marker = folder / ".git"
        try:
            mode = os.lstat(marker).st_mode
        except OSError:
            continue
        found = marker if not stat.S_ISREG(mode) else _pointer(marker, "gitdir:")
        if found is not None and os.path.lexists(found / "HEAD"):
            return GitPlace(folder, found, _pointer(found / "commondir", "") or found)
    return None


def _pointer(file: Path, prefix: str) -> Path | None:
    """The folder that a file of Git's names, seen from the file's folder."""
    try:
        with open(file, "rb") as stream:
            text = os.fsdecode(stream.read(_POINTER_LIMIT))
    except OSError:
        return None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text.startswith(prefix) or "\0" in text:
        return None
    return Path(os.path.normpath(file.parent / text[len(prefix) :].strip()))


def is_folder(path: Path) -> bool:
    """Whether *path* is a folder itself, not a link to one."""
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def check_owner(
    paths: Iterable[Path], root: Path, trusted: Iterable[str] = (), env: Mapping[str, str] = os.environ
) -> None:
    """Refuse a repository of another user, whose configuration and links we should not follow.

    Args:
        paths: folders that must belong to the user (root of the machine, and under sudo the user who called it, count
            as Git has it).
        root: the repository's folder, for the list of trusted ones.
        trusted: folders that the user trusts, ``*`` for all.
        env: the environment.

    Raises:
        RepoNotOwned: naming the folder and how to trust it.
    """
    users = _own_users(env)
    for path in paths:
        with storage_errors(path):
            owner = os.lstat(path).st_uid
        if owner in users:
            continue
        if _is_trusted(root, trusted):
            return
        raise RepoNotOwned(
            f"the repository {display(str(root))} belongs to another user (number {owner})",
            hint=f"if you trust it: kist config --global safe.directory {display(str(root))}",
            path=str(root),
        )


def _own_users(env: Mapping[str, str] = os.environ) -> set[int]:
    """The users that count as oneself: under sudo also the one who called it."""
    users = {os.geteuid()}
    if 0 in users and env.get("SUDO_UID", "").isdecimal():
        users.add(int(env["SUDO_UID"]))
    return users


def _is_trusted(root: Path, trusted: Iterable[str]) -> bool:
    from kist.repo.git_program import safe_directories

    for source in (trusted, safe_directories()):
        for entry in source:
            if entry == "*" or os.path.realpath(entry) == os.path.realpath(root):
                return True
            if entry.endswith("/*") and str(os.path.realpath(root)).startswith(entry[:-1]):
                return True
    return False


def find_place(root: Path, repository_id: str, marker: str = MARKER) -> Place:
    """Where the repository keeps what; nothing is made or moved.

    Args:
        root: the repository's folder.
        repository_id: its id, checked by :func:`check_id`; of another dialect, whose tool knows no ids, what
            :func:`name_clone` gave this clone counts instead.
        marker: its marker folder.

    Returns:
        Inside Git, folders in Git's own; otherwise ``.kist/private``. Where Git came later, the old private folder is
        in use until a writing command calls :func:`kist.repo.adopting.adopt`.

    Raises:
        RepoNotOwned: the private folder belongs to another user, or came with the files of a clone.
    """
    private = root / MARKER / PRIVATE
    git = find_git(root)
    if git is None:
        _check_private(private)
        return in_private(root, repository_id, None, private, marker)
    place = in_git(root, repository_id, git, marker)
    if not os.path.lexists(private) or not _may_adopt(git, private):
        return place
    if os.path.lexists(place.settings):
        return replace(place, waiting=private)
    return replace(in_private(root, repository_id, git, private, marker), waiting=private)


def in_private(root: Path, repository_id: str, git: GitPlace | None, private: Path, marker: str) -> Place:
    """The place of a repository whose private folder lies in its own folder."""
    folder = private / (repository_id or _FOREIGN + marker)
    return Place(root, repository_id or _kept_id(folder), git, private, folder, folder, marker=marker)


def in_git(root: Path, repository_id: str, git: GitPlace, marker: str) -> Place:
    """The place of a repository whose private folders lie in Git's."""
    shared = git.common / "kist"
    own = _own_name(git, root, repository_id or _FOREIGN + marker)
    settings = shared / (repository_id or own)
    return Place(
        root, repository_id or _kept_id(settings), git, shared, git.folder / "kist" / own, settings, marker=marker
    )


def _kept_id(settings: Path) -> str:
    """The id that this clone of a repository of another dialect got by its first writing command, "" before that."""
    try:
        text = (settings / ID_FILE).read_text("ascii", "replace").strip()
    except OSError:
        return ""
    return text if _ID.fullmatch(text) else ""


def _own_name(git: GitPlace, root: Path, name: str) -> str:
    """The name of a repository's own folder: below Git's top level with its path, so that a copy has another one."""
    if root == git.top:
        return name
    from zlib import crc32

    return f"{name}-{crc32(os.fsencode(os.path.relpath(root, git.top))):08x}"


def _check_private(private: Path) -> None:
    try:
        facts = os.lstat(private)
    except OSError:
        return
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in _own_users():
        raise RepoNotOwned(
            f"the private folder {display(str(private))} is not a folder of yours",
            hint="remove it if you do not know where it comes from",
            path=str(private),
        )


def _may_adopt(git: GitPlace, private: Path) -> bool:
    """Whether a private folder inside Git is our own from before Git came, not one that a clone brought along."""
    from kist.repo.revisions import Git

    if not is_folder(private) or os.lstat(private).st_uid not in _own_users():
        return False
    if any(os.path.lexists(folder / ".git") for folder in (private, private.parent)):
        return False  # a submodule, whose files the repository around it does not list
    wanted = os.fsencode(private.relative_to(git.top)).split(b"/")
    return not any(_may_hold(path, wanted) for path in Git(git.top).tracked([b"."]))


def _may_hold(tracked: bytes, wanted: list[bytes]) -> bool:
    """Whether something that Git tracks lies in a folder, or is a submodule around it, in any spelling of the names."""
    names = tracked.split(b"/")[: len(wanted)]
    marker = wanted.index(os.fsencode(MARKER))
    return all(fold(name) == fold(wanted[at]) or (at == marker and is_reserved(name)) for at, name in enumerate(names))


def make(place: Place) -> None:
    """Make the private folders, mode 0700.

    Args:
        place: where.

    Raises:
        StorageError: they cannot be made.
    """
    with storage_errors(place.shared):
        for folder in (place.shared, place.settings, place.own, place.locks, place.scratch):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ignore = place.shared / ".gitignore"
    if place.shared == place.root / MARKER / PRIVATE and not ignore.exists():
        write_file(ignore, b"*\n", sync=False)


def name_clone(place: Place) -> Place:
    """Give a clone of another dialect's repository its id; call it under the repository's lock.

    Args:
        place: where, made by :func:`make`.

    Returns:
        The place with the id that counts from now on.

    Raises:
        StorageError: it cannot be kept.
    """
    if place.id:
        return place
    named = _kept_id(place.settings)  # another process may have been first
    if not named:
        named = new_id()
        write_file(place.settings / ID_FILE, f"{named}\n".encode(), mode=0o600)
    return replace(place, id=named)
