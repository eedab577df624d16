"""The words of SFTP version 3: numbers, fields and attributes (draft-ietf-secsh-filexfer-02, OpenSSH's PROTOCOL)."""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping
from typing import NamedTuple

VERSION = 3

INIT, HELLO = 1, 2
OPEN, CLOSE, READ, WRITE, LSTAT, FSTAT, SETSTAT, FSETSTAT = 3, 4, 5, 6, 7, 8, 9, 10
OPENDIR, READDIR, REMOVE, MKDIR, RMDIR, REALPATH, STAT, RENAME = 11, 12, 13, 14, 15, 16, 17, 18
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
EXTENDED, EXTENDED_REPLY = 200, 201

OK, EOF, NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, BAD_MESSAGE = 0, 1, 2, 3, 4, 5
NO_CONNECTION, CONNECTION_LOST, UNSUPPORTED = 6, 7, 8
# Of later versions; some servers send them in this one too.
ALREADY_EXISTS, WRITE_PROTECT, NO_SPACE, QUOTA = 11, 12, 14, 15

FOR_READING, FOR_WRITING, CREATE, EXCLUSIVE = 0x1, 0x2, 0x8, 0x20

POSIX_RENAME = "posix-rename@openssh.com"
FSYNC = "fsync@openssh.com"
HARDLINK = "hardlink@openssh.com"
STATVFS = "statvfs@openssh.com"
LIMITS = "limits@openssh.com"
COPY_DATA = "copy-data"

LARGEST_PACKET = 1 << 20
"""Bytes of a packet that we take from a server; those of OpenSSH have 256 KiB at most."""

_SIZE, _OWNER, _MODE, _TIMES, _EXTENDED = 0x1, 0x2, 0x4, 0x8, 0x80000000


class Status(Exception):
    """The server refused a request.

    Args:
        code: one of the numbers above.
        text: what it says about it.
    """

    def __init__(self, code: int, text: str = "") -> None:
        super().__init__(f"{text or 'refused'} (status {code})")
        self.code = code
        self.text = text


class ProtocolError(Status):
    """The other side said something that is not SFTP.

    Args:
        text: what is wrong with it.
    """

    def __init__(self, text: str) -> None:
        super().__init__(BAD_MESSAGE, text)


class Attributes(NamedTuple):
    """What a server tells of a file; None where it does not.

    Args:
        size: bytes.
        mode: type and permissions.
        mtime: UTC seconds.
    """

    size: int | None = None
    mode: int | None = None
    mtime: int | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file; assumed where the server does not tell."""
        return self.mode is None or stat.S_ISREG(self.mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.mode is not None and stat.S_ISDIR(self.mode)


def number(value: int) -> bytes:
    """A number of 32 bits."""
    return struct.pack(">I", value)


def long_number(value: int) -> bytes:
    """A number of 64 bits."""
    return struct.pack(">Q", value)


def text(value: bytes | str) -> bytes:
    """A string with its length; text goes as UTF-8, undecodable bytes as they were."""
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return struct.pack(">I", len(data)) + data


def mode_only(mode: int | None) -> bytes:
    """Attributes that set no more than the permissions, or nothing."""
    return number(0) if mode is None else struct.pack(">II", _MODE, mode & 0o7777)


class Fields:
    """Reads the fields of a packet one after the other, never beyond its end.

    Args:
        data: the packet.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._at = 0

    def number(self) -> int:
        """A number of 32 bits."""
        return int.from_bytes(self._take(4), "big")

    def long_number(self) -> int:
        """A number of 64 bits."""
        return int.from_bytes(self._take(8), "big")

    def data(self) -> memoryview:
        """A string, not copied."""
        return self._take(self.number())

    def text(self) -> str:
        """A string as text; bytes that are not UTF-8 are kept as lone surrogates."""
        return bytes(self.data()).decode("utf-8", "surrogateescape")

    def attributes(self) -> Attributes:
        """Attributes of a file."""
        flags = self.number()
        size = self.long_number() if flags & _SIZE else None
        if flags & _OWNER:
            self._take(8)
        mode = self.number() if flags & _MODE else None
        mtime = None
        if flags & _TIMES:
            self._take(4)
            mtime = self.number()
        if flags & _EXTENDED:
            for _ in range(self.number()):
                self.data()
                self.data()
        return Attributes(size, mode, mtime)

    def pairs(self) -> Mapping[str, str]:
        """Names and values up to the end of the packet."""
        found = {}
        while self._at < len(self._data):
            name = self.text()
            found[name] = self.text()
        return found

    def status(self) -> Status:
        """A status, whatever its code."""
        code = self.number()
        return Status(code, self.text() if self._at < len(self._data) else "")

    def _take(self, count: int) -> memoryview:
        piece = self._data[self._at : self._at + count]
        if len(piece) != count:
            raise ProtocolError("a packet ends too early")
        self._at += count
        return piece


class Reply(NamedTuple):
    """A server's answer.

    Args:
        number: the request that it answers.
        kind: STATUS, HANDLE, DATA and so on.
        fields: the rest of the packet.
    """

    number: int
    kind: int
    fields: Fields

    def expect(self, kind: int) -> Fields:
        """The fields of a reply of the wanted kind.

        Args:
            kind: STATUS stands for success.

        Returns:
            The fields.

        Raises:
            Status: the server refused.
        """
        if self.kind == STATUS:
            status = self.fields.status()
            if status.code != OK or kind != STATUS:
                raise status
        elif self.kind != kind:
            raise ProtocolError(f"the server gave a reply of kind {self.kind} where {kind} was due")
        return self.fields
