"""The cache's folder: names, modes and marker; the only place with the names inside a cache."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

from kist.abc.hasher import Hasher
from kist.engine.process.locks import GroupLock, Lock, Waiting
from kist.errors import MetafileError, RepoFormatError
from kist.model.digest import Digest
from kist.util.atomic import storage_error, storage_errors, write_file

MARKER = "kist-cache"
FORMAT = 1
_MARKER_TEXT = json.dumps({"format": f"{MARKER}/{FORMAT}"}, separators=(",", ":"))

_ALGORITHM = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_FOLDERS = ("objects", "packs", "index", "verified", "quarantine", "trash", "refs", "tmp")
_PACK_NAME = re.compile(r"[0-9a-f]{64}")


class CacheFolder:
    """Where things lie in one cache.

    Args:
        root: the cache's folder; nothing is made before ``ensure``.
        hashers: gives the hasher of an algorithm.
        shared: whether several users write here: folders are setgid and group-writable then, lock files 0666.
        waiting: how to wait for its locks.
    """

    def __init__(
        self, root: Path, hashers: Callable[[str], Hasher], *, shared: bool = False, waiting: Waiting = Waiting()
    ) -> None:
        self.root = Path(os.path.abspath(root))
        self.shared = shared
        self.waiting = waiting
        self.objects, self.packs, self.index, self.verified, self.quarantine, self.trash, self.refs, self.tmp = (
            self.root / name for name in _FOLDERS
        )
        self._hashers = hashers
        self._known: dict[str, Hasher] = {}
        self._made: set[Path] = set()
        self._checked = False

    def hasher(self, algorithm: str) -> Hasher:
        """The hasher of an algorithm, whose name is safe in a path from here on.

        Raises:
            MetafileError: that cannot be the name of an algorithm.
        """
        found = self._known.get(algorithm)
        if found is None:
            if not _ALGORITHM.fullmatch(algorithm):
                raise MetafileError(f"not the name of a hash algorithm: {algorithm!r:.100}")
            found = self._known[algorithm] = self._hashers(algorithm)
        return found

    def raw(self, digest: Digest) -> bytes:
        """The raw bytes of a digest, whose length fits its algorithm.

        Raises:
            MetafileError: it is not fixed-length lower-case hex.
        """
        size = self.hasher(digest.algorithm).digest_size
        if not re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", digest.hex):
            raise MetafileError(f"not a digest of {digest.algorithm}: {str(digest)!r:.160}")
        return digest.raw

    def loose_name(self, algorithm: str, raw: bytes) -> bytes:
        """The path of a loose object, relative to ``objects``.

        Raises:
            MetafileError: the digest's length does not fit the algorithm.
        """
        if len(raw) != self.hasher(algorithm).digest_size:
            raise MetafileError(f"not a raw digest of {algorithm}: {raw.hex():.128}")
        text = raw.hex()
        return f"{algorithm}/{text[:2]}/{text[2:]}".encode("ascii")

    def loose_path(self, algorithm: str, raw: bytes) -> Path:
        """The path of a loose object."""
        return self.objects / os.fsdecode(self.loose_name(algorithm, raw))

    def pack_ids(self) -> list[str]:
        """The packs that are here, sorted."""
        return [name for name in self._list(self.packs) if _PACK_NAME.fullmatch(name)]

    def index_ids(self) -> list[str]:
        """The index files that are here, sorted."""
        return [name for name in self._list(self.index) if _PACK_NAME.fullmatch(name)]

    def algorithms(self) -> list[str]:
        """Algorithms of which there are loose objects."""
        return [name for name in self._list(self.objects) if _ALGORITHM.fullmatch(name)]

    def shards(self, algorithm: str) -> list[str]:
        """The two-letter folders of an algorithm's loose objects, sorted."""
        self.hasher(algorithm)
        return [name for name in self._list(self.objects / algorithm) if re.fullmatch("[0-9a-f]{2}", name)]

    def check(self) -> bool:
        """Whether there is a cache here that this version can read.

        Raises:
            RepoFormatError: a newer version made it, or the marker is not one.
        """
        if self._checked:
            return True
        try:
            text = (self.root / MARKER).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as exc:
            raise storage_error(exc, self.root / MARKER) from exc
        try:
            kind, _, version = json.loads(text[:200])["format"].partition("/")
            number = int(version)
            if kind != MARKER:
                raise ValueError(kind)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RepoFormatError(
                f"{self.root / MARKER} is damaged",
                hint=f"if {self.root} is a cache of yours, write {_MARKER_TEXT} into the file",
                path=str(self.root / MARKER),
            ) from None
        if not 1 <= number <= FORMAT:
            raise RepoFormatError(
                f"the cache {self.root} is of format {kind}/{number}, which this version cannot use",
                hint="install a newer kist: pip install -U kist",
                path=str(self.root),
            )
        self._checked = True
        return True

    def ensure(self) -> None:
        """Make the cache if it is not there; costs nothing when repeated.

        Raises:
            RepoFormatError: something else lies there, or a newer cache.
            StorageError: the disk is full, read-only or failing.
        """
        if self._made:
            return
        with storage_errors(self.root):
            if not self.check():
                self._start()
            for name in _FOLDERS:
                self.make(self.root / name)

    def make(self, folder: Path) -> bool:
        """Make a folder inside the cache with the cache's mode.

        Returns:
            whether it is new.
        """
        if folder in self._made:
            return False
        with storage_errors(folder):
            try:
                folder.mkdir(mode=0o700)
                new = True
                self.set_mode(folder)
            except FileExistsError:
                new = False
        self._made.add(folder)
        return new

    def set_mode(self, folder: Path) -> None:
        """Give a new folder, made with mode 0700, the cache's mode."""
        if self.shared:
            folder.chmod(0o2775)  # past the umask, which may forbid the group to write

    def lock(self, name: str, *, what: str, shared: bool = False, timeout: float | None = None) -> Lock:
        """A kernel lock on a file of the cache; without a *timeout* it waits as the command does."""
        kind, waiting = GroupLock if self.shared else Lock, self.waiting
        return kind(
            self.root / name,
            what=what,
            shared=shared,
            timeout=waiting.timeout if timeout is None else timeout,
            notify=waiting.notify,
            verb=waiting.verb,
        )

    def _start(self) -> None:
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self.make(self.root)
        others = set(os.listdir(self.root)) - {MARKER, "gc.lock", "merge.lock", *_FOLDERS}
        if any(not name.startswith(f".{MARKER}") for name in others):
            raise RepoFormatError(
                f"{self.root} is no cache of kist, and not empty",
                hint="name an empty or a new folder as cache.dir",
                path=str(self.root),
            )
        write_file(self.root / MARKER, f"{_MARKER_TEXT}\n".encode(), mode=0o644 if self.shared else 0o600)

    def _list(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as exc:
            raise storage_error(exc, folder) from exc


def open_regular(path: Path) -> int:
    """A descriptor of a file, the caller's to close; -1 if no regular file is there.

    Raises:
        StorageError: it cannot be opened.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return -1
    except OSError as exc:
        raise storage_error(exc, path) from exc
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return -1
    return descriptor
