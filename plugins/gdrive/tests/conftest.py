"""What the tests of Google Drive share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kist.abc import RemoteScope
from kist_gdrive.options import DriveOptions, Location
from kist_gdrive.remote import DriveRemote
from servers.drive import DriveServer, RawFolder, drive_server

__all__ = ["drive_server"]


@pytest.fixture(autouse=True)
def sent_to_the_fake(drive_server: DriveServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Send the client, as it is, to the fake: it looks for a proxy at each connection, for certificates when imported."""
    import httplib2

    for name, value in drive_server.env.items():
        monkeypatch.setenv(name, value)
    for name in ("GDRIVE_CLIENT_ID", "GDRIVE_CLIENT_SECRET", "GDRIVE_CREDENTIALS_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setattr(httplib2, "CA_CERTS", drive_server.env["HTTPLIB2_CA_CERTS"])
    drive_server.requests()
    yield
    drive_server.control("faults", faults=[])
    drive_server.control("rate", limit=None)
    drive_server.control("limits", bytes=None, items=None)
    drive_server.control("living", seconds=3600)


@pytest.fixture
def folder(drive_server: DriveServer) -> str:
    """The id of a fresh folder."""
    return str(drive_server.control("folder"))


@pytest.fixture
def raw(drive_server: DriveServer, folder: str) -> RawFolder:
    """The back door to that folder."""
    return RawFolder(drive_server, folder)


@pytest.fixture
def make(drive_server: DriveServer, folder: str, tmp_path: Path) -> Iterator[Callable[..., DriveRemote]]:
    """Opens remotes, and closes them at the end."""
    opened = []

    def open_one(root: str | None = None, *path: str, account: str | None = "writer", **told: Any) -> DriveRemote:
        scope = {"name": "store", "state": tmp_path / "state", "prompt": None} | told.pop("scope", {})
        if account is not None:
            told["credentials"] = drive_server.service_account(account)
        remote = DriveRemote(Location(root or folder, path), DriveOptions(**told), RemoteScope(**scope))
        opened.append(remote)
        return remote

    yield open_one
    for remote in opened:
        remote.close()


@pytest.fixture
def remote(make: Callable[..., DriveRemote]) -> DriveRemote:
    """A remote in the fresh folder."""
    return make()
