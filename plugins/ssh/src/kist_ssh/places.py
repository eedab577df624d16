"""Where the objects of a remote lie on its server: names, folders, and why something cannot be written there."""

from __future__ import annotations

import os
import posixpath
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kist.errors import RemoteError, RemoteObjectNotFound, RemotePermissionError, RemoteQuotaExceeded
from kist.kit import TEMP_MARK, temp_name
from kist.remotes.files import check_key
from kist_ssh import protocol, sftp
from kist_ssh.exchange import Exchange
from kist_ssh.failures import of_status
from kist_ssh.protocol import Status

_SHARED: dict[str, tuple[int | None, int | None]] = {
    "no": (None, None),
    "group": (0o664, 0o2775),
    "everyone": (0o666, 0o2777),
}

_PATH = "is the path in the remote's URL right?"

_SCARCE = 1 << 20
"""Bytes: a file system that has less left is full."""


def is_temporary(path: str) -> bool:
    """Whether a file is one that we are, or were, writing.

    Args:
        path: its path or name.

    Returns:
        True for the names that :meth:`Places.temporary` makes.
    """
    name = path.rpartition("/")[2]
    return name.startswith(".") and TEMP_MARK in name


class WriteRefused(Status):
    """The server took a file and then refused bytes of it."""


class Places:
    """The paths of one remote.

    Args:
        root: its folder on the server.
        where: user and host, for messages.
        shared: who else may write, as in the option.
    """

    def __init__(self, root: str, where: str, shared: str = "no") -> None:
        self.root = root
        self._where = where
        self.file_mode, self.folder_mode = _SHARED[shared]
        host = "".join(letter for letter in socket.gethostname().lower() if letter.isalnum())[:16]
        self._token = f"{host}-{os.getpid()}-{os.urandom(4).hex()}"

    def path(self, key: str) -> str:
        """The path of an object.

        Args:
            key: its key.

        Returns:
            The path on the server.

        Raises:
            RemoteError: the key is outside of the grammar, or looks like a temporary of ours.
        """
        check_key(key)
        if TEMP_MARK in key and any(is_temporary(part) for part in key.split("/")):
            raise RemoteError(f"not a key of a remote in a folder: {key!r} is the name of a temporary file")
        return posixpath.join(self.root, key)

    def below(self, path: str) -> str:
        """The path on the server of something below the root, "" for the root itself."""
        return posixpath.join(self.root, path) if path else self.root

    def temporary(self, path: str) -> str:
        """A name beside *path* that nobody else uses and no listing shows."""
        folder, name = posixpath.split(path)
        return posixpath.join(folder, temp_name(name, self._token))

    def at(self, path: str) -> str:
        """A place as messages call it."""
        return f"{self._where}:{path}"

    @contextmanager
    def translated(self, key: str, path: str, what: str = "cannot be read") -> Iterator[None]:
        """Turn a refusal in the block into the error that it means.

        Args:
            key: the key that the block is about.
            path: where it lies.
            what: what failed.

        Raises:
            RemoteError: the translation.
        """
        try:
            yield
        except Status as exc:
            raise of_status(exc, key, f"{self.at(path)} {what}") from exc

    def check_root(self, exchange: Exchange) -> None:
        """Tell a file from a folder that is not there yet: servers say of both that there is none.

        Args:
            exchange: on which to ask.

        Raises:
            RemoteError: something else than a folder is at the root.
        """
        with suppress(Status):
            if not sftp.look(exchange, self.root, follow=True).is_folder:
                raise RemoteError(f"{self.at(self.root)} is no folder", hint=_PATH)

    def make_folders(self, exchange: Exchange, path: str) -> None:
        """Make the folder of a path and those above it, as far as they are missing.

        Args:
            exchange: on which to ask.
            path: of a file.

        Raises:
            RemoteError: one of them cannot be made.
        """
        missing, highest = [posixpath.dirname(path)], posixpath.dirname(path)
        while missing:
            folder = missing[-1]
            try:
                sftp.make_folder(exchange, folder, self.folder_mode)
            except Status as exc:
                above = posixpath.dirname(folder)
                if exc.code == protocol.NO_SUCH_FILE and above not in ("", folder) and folder == highest:
                    missing.append(above)
                    highest = above
                    continue
                if not self._is_folder(exchange, folder):
                    raise self._not_made(exchange, folder, exc) from exc
            missing.pop()

    def not_written(
        self, exchange: Exchange, key: str, path: str, refusal: Status, done: str = "written"
    ) -> RemoteError:
        """Why a file cannot be written; for many reasons servers say no more than "failure".

        Args:
            exchange: on which to ask for more.
            key: the object.
            path: where it was to lie.
            refusal: what the server said.
            done: what was to be done to it.

        Returns:
            The error, not raised.
        """
        what = f"{self.at(path)} cannot be {done}"
        if refusal.code == protocol.FAILURE:
            with suppress(Status):
                if sftp.look(exchange, path, follow=True).is_folder:
                    return RemoteError(f"{key} cannot be stored: the key of another object stands in its way")
            if found := self._diagnosed(exchange, posixpath.dirname(path), what):
                return found
        if isinstance(refusal, WriteRefused):
            hint = "the disk there, or your quota on it, may be full"
            return RemoteQuotaExceeded(f"{what}: the server takes no more bytes", hint=hint)
        error = of_status(refusal, key, what)
        # A folder that went away meanwhile: not the object is missing, the place for it is.
        return RemoteError(f"{what}: its folder is gone") if isinstance(error, RemoteObjectNotFound) else error

    def _not_made(self, exchange: Exchange, folder: str, refusal: Status) -> RemoteError:
        what = f"the folder {self.at(folder)} cannot be made"
        with suppress(Status):
            if not sftp.look(exchange, folder, follow=True).is_folder:
                return RemoteError(f"{what}: a file stands where a folder is needed", hint=_PATH)
        if refusal.code == protocol.FAILURE:
            found = self._diagnosed(exchange, posixpath.dirname(folder), what)
            if found:
                return found
        error = of_status(refusal, folder, what)
        if isinstance(error, RemoteObjectNotFound):
            hint = "is the path in the remote's URL right, and may one write there?"
            return RemoteError(f"{what}: the server makes no folder there", hint=hint)
        return error

    @staticmethod
    def _diagnosed(exchange: Exchange, folder: str, what: str) -> RemoteError | None:
        if not exchange.connection.offers(protocol.STATVFS):
            return None
        try:
            left = sftp.space(exchange, folder or ".")
        except Status:
            return None
        if left.read_only:
            hint = "have it mounted for writing there, or choose another folder"
            return RemotePermissionError(f"{what}: the file system there is read-only", hint=hint)
        if left.free < _SCARCE or left.files <= 0:
            return RemoteQuotaExceeded(
                f"{what}: the disk there is full", hint="free some space there and run the command again"
            )
        return None

    @staticmethod
    def _is_folder(exchange: Exchange, path: str) -> bool:
        try:
            return sftp.look(exchange, path, follow=True).is_folder
        except Status:
            return False
