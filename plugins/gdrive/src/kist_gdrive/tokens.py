"""Tokens kept between commands: in a file that only the user may read."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from kist.errors import StorageError
from kist.kit import storage_errors, write_file

_FORMAT = "kist-gdrive-token/1"
_LIMIT = 1 << 16


@dataclass(frozen=True, slots=True)
class Token:
    """What was given for some credentials.

    Args:
        access: the token of requests.
        expires: until when, UTC seconds; None where unknown.
        refresh: the token that gives new ones; None for service accounts, whose key does that.
    """

    access: str | None
    expires: float | None = None
    refresh: str | None = None

    def __repr__(self) -> str:
        return "Token(…)"


class TokenFile:
    """One token in one file.

    Args:
        path: the file; None: the token is kept in memory only.
        owner: whose credentials; a token of others is not taken.
    """

    def __init__(self, path: Path | None, owner: str) -> None:
        self.path = path
        self._owner = hashlib.sha256(owner.encode()).hexdigest()

    @classmethod
    def below(cls, state: Path | None, owner: str) -> TokenFile:
        """The file of some credentials in a private folder.

        Args:
            state: the folder, None for none.
            owner: whose credentials.

        Returns:
            The file.
        """
        name = f"gdrive-token-{hashlib.sha256(owner.encode()).hexdigest()[:16]}.json"
        return cls(state / name if state is not None else None, owner)

    def read(self) -> Token | None:
        """The token; None if there is none, or none of this owner.

        Raises:
            StorageError: others may read the file.
        """
        if self.path is None:
            return None
        try:
            with open(self.path, "rb") as stream:
                if os.name == "posix" and stat.S_IMODE(os.fstat(stream.fileno()).st_mode) & 0o077:
                    raise StorageError(
                        "others may read the file with the token of Google Drive",
                        path=str(self.path),
                        hint=f"chmod 600 {self.path}",
                    )
                value = json.loads(stream.read(_LIMIT))
            if value["format"] != _FORMAT or value["owner"] != self._owner:
                return None
            return Token(value["access"], value["expires"], value["refresh"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, token: Token) -> None:
        """Keep a token.

        Args:
            token: the token.

        Raises:
            StorageError: it cannot be written.
        """
        if self.path is None:
            return
        value = {
            "format": _FORMAT,
            "owner": self._owner,
            "access": token.access,
            "expires": token.expires,
            "refresh": token.refresh,
        }
        with storage_errors(self.path):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_file(self.path, json.dumps(value).encode(), mode=0o600)

    def forget(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
