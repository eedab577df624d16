"""What a remote on Google Drive lets people set, and what its URL says."""

from __future__ import annotations

import re
from dataclasses import dataclass

from kist.abc import Options, RemoteURL, between, option
from kist.errors import InvalidOption

_ID = re.compile(r"root|[A-Za-z0-9_-]{10,200}")


@dataclass(frozen=True, kw_only=True)
class DriveOptions(Options):
    """Options of a remote on Google Drive."""

    client_id: str | None = option(None, help="Id of your own OAuth client.", env="GDRIVE_CLIENT_ID")
    client_secret: str | None = option(
        None, help="Secret of your own OAuth client.", env="GDRIVE_CLIENT_SECRET", secret=True
    )
    credentials: str | None = option(
        None,
        help="The text of a JSON file with the key of a service account, or with a user's own refresh token.",
        env="GDRIVE_CREDENTIALS_DATA",
        secret=True,
    )
    credentials_file: str | None = option(
        None, help="The path of such a JSON file.", env="GOOGLE_APPLICATION_CREDENTIALS"
    )
    impersonate: str | None = option(None, help="The user whom a service account acts for, where the domain lets it.")
    token_file: str | None = option(
        None, help="The file that keeps the token of your consent, instead of the repository's private folder."
    )
    shared_drive: str | None = option(
        None, help="Id of the shared drive that holds the folder, so that only it is searched.", shared=True
    )
    use_trash: bool = option(
        False, help="Move what is deleted to the trash, instead of deleting it for ever.", shared=True
    )
    acknowledge_abuse: bool = option(
        False, help="Download also what Google takes for malware or spam; only owners and managers may."
    )
    timeout: float = option(
        30.0, help="Seconds without an answer after which a request has failed.", choices=between(0.001, 86400)
    )

    @classmethod
    def check_url(cls, url: RemoteURL) -> None:
        """Refuse what names no folder."""
        Location.of(url)


@dataclass(frozen=True, slots=True)
class Location:
    """Where the objects lie.

    Args:
        root: id of a folder or of a shared drive, or ``root`` for one's own drive.
        path: names of folders below it.
    """

    root: str
    path: tuple[str, ...]

    @classmethod
    def of(cls, url: RemoteURL) -> Location:
        """Read ``gdrive://<folder id>/path``.

        Args:
            url: the address.

        Returns:
            The location.

        Raises:
            InvalidOption: the URL has no id of a folder, or parts that make no sense here.
        """
        if "google.com" in url.host:
            raise InvalidOption(
                f"not the URL of a folder on Google Drive: {url}",
                hint=f"take the id at the end of the browser's address: gdrive://{url.path.rpartition('/')[2] or 'ID'}",
            )
        if url.user is not None or url.port is not None or url.query or not _ID.fullmatch(url.host):
            raise InvalidOption(
                f"not the URL of a folder on Google Drive: {url}",
                hint="write gdrive://FOLDER_ID/path, with the id at the end of the folder's address in the browser, "
                "or gdrive://root/path for your own drive",
            )
        path = tuple(part for part in url.path.split("/") if part)
        if any(part in (".", "..") or not part.isprintable() for part in path):
            raise InvalidOption(f"not the path of a folder on Google Drive: {url}")
        return cls(url.host, path)

    def __str__(self) -> str:
        return "/".join((f"gdrive://{self.root}", *self.path))
