"""LinkedFiles: tells workspace files that are links to cache objects, and which objects were edited through one."""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

from kist.abc.kernel import STAT_FIELDS
from kist.errors import KistError, ObjectCorrupt, ObjectError, ObjectMissing
from kist.model.digest import Digest
from kist.model.entry import EXECUTABLE, FILE
from kist.util.slotted import slotted

if TYPE_CHECKING:
    from kist.engine.cache.known_inodes import KnownInodes
    from kist.engine.cache.verified import VerifiedRecord
    from kist.engine.workspace.folder_state import FolderState
    from kist.repo.context import RepoContext

_BLOCK = 1 << 20


@slotted(frozen=True)
class EditedLink:
    """A workspace file that was edited in place, and with it the object of the cache that it is a link to.

    Args:
        path: the file, relative to the repository.
        digest: the object, whose content no longer fits this name.
        symbolic: whether the file is a symbolic link.
    """

    path: bytes
    digest: Digest
    symbolic: bool


class LinkedFiles:
    """Recognises hard and symbolic links to the cache, of one algorithm.

    Objects found edited are added to ``context.edited_links``.

    Args:
        context: the repository.
        algorithm: the objects' algorithm.
    """

    def __init__(self, context: RepoContext, algorithm: str) -> None:
        self._context = context
        self._algorithm = algorithm
        self._objects = os.fsencode(os.path.realpath(context.cache_folder / "objects")) + b"/"
        self._kept: VerifiedRecord | None = None
        self._inodes: KnownInodes | None = None
        self._states: dict[bytes, bool] = {}

    def is_hard_link(self, raw: bytes, stats: tuple[int, ...]) -> bool:
        """Whether a file with these stats (size, mtime, ctime, inode) is a hard link to the object *raw*."""
        try:
            found = os.lstat(self._place(raw))
        except OSError:
            return False
        same = (found.st_size, found.st_mtime_ns, found.st_ino) == (stats[0], stats[1], stats[3])
        return same and self._record.check_many(self._algorithm, [raw])[0]

    def resolve(self, target: bytes, path: bytes) -> tuple[bytes, int] | None:
        """Raw digest and size of the object that a symbolic link leads to, None if it leads elsewhere.

        Args:
            target: what the link says.
            path: where it stands, relative to the repository.

        Raises:
            ObjectCorrupt: the object no longer is what its name says.
            ObjectMissing: it is not there.
        """
        if not target.startswith(self._objects):
            return None
        algorithm, _, rest = os.fsdecode(target[len(self._objects) :]).partition("/")
        try:
            digest = Digest.parse(f"{algorithm}:{rest.replace('/', '')}")
            if algorithm != self._algorithm or self._place(digest.raw) != target:
                return None
        except KistError:
            return None
        try:
            found = os.lstat(target)
        except OSError as exc:
            shown = os.fsdecode(path)
            hint = f"'kist checkout {shown}' or 'kist pull {shown}' brings it back"
            raise ObjectMissing(str(digest), paths=[shown], where="the cache", hint=hint) from exc
        if not self._is_good(digest):
            self._context.edited_links.append(EditedLink(path, digest, symbolic=True))
            raise ObjectCorrupt(str(digest), where=os.fsdecode(target))
        return digest.raw, found.st_size

    def look(self, state: FolderState) -> None:
        """Look for files that share their inode with an object, but not its digest: an edit damaged that object.

        Args:
            state: a folder, with the digests of all its files.
        """
        from kist.engine.cache.known_inodes import HEAD

        if self._inodes is None:
            self._inodes = self._record.inodes(self._algorithm)
        if not self._inodes:
            return
        for at, inode in enumerate(array("Q", state.stats[STAT_FIELDS - 1 :: STAT_FIELDS].tobytes())):
            head = self._inodes.head(inode)
            if head is None or at in state.dropped or state.kinds[at] not in (FILE, EXECUTABLE):
                continue
            if head == int.from_bytes(state.raw(at)[:HEAD]):
                continue
            raw = self._inodes.raw(inode)
            if raw is not None and self._is_same(state, at, raw):
                path = state.path + b"/" + state.names[at] if state.path else state.names[at]
                digest = Digest.from_raw(self._algorithm, raw)
                self._context.edited_links.append(EditedLink(path, digest, symbolic=False))

    @property
    def _record(self) -> VerifiedRecord:
        if self._kept is None:
            self._kept = self._context.cache.verified.kept()
        return self._kept

    def _place(self, raw: bytes) -> bytes:
        return os.path.join(self._objects, self._context.cache.loose_name(self._algorithm, raw))

    def _is_same(self, state: FolderState, at: int, raw: bytes) -> bool:
        try:
            one = os.stat(state.names[at], dir_fd=state.descriptor, follow_symlinks=False)
            return os.path.samestat(one, os.lstat(self._place(raw)))
        except OSError:
            return False

    def _is_good(self, digest: Digest) -> bool:
        """Whether an object is as it was when it was last hashed; if that is not known, it is hashed now."""
        if self._record.check_many(self._algorithm, [digest.raw])[0]:
            return True
        known = self._states.get(digest.raw)  # of those alone that had to be hashed: of all would take much memory
        if known is None:
            known = self._states[digest.raw] = self._hash(digest)
        return known

    def _hash(self, digest: Digest) -> bool:
        cache = self._context.cache
        try:
            with cache.open(digest) as reader:
                while reader.read(_BLOCK):
                    pass
        except ObjectError:
            return False
        cache.mark_verified(self._algorithm, [digest.raw])
        return True
