"""No secret of a client, a key or a token shows, wherever it stands and whatever is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from servers.drive import DriveServer
from servers.planted import REFUSED, Planted, nothing_shows, refused_words

TOKENS = "gdrive-token-*.json"


def key_file(server: DriveServer, tmp_path: Path) -> dict:
    path = tmp_path / "key.json"
    path.write_text(server.service_account())
    return {"local": {"credentials_file": str(path)}}


def key_text(server: DriveServer, tmp_path: Path) -> dict:
    return {"local": {"credentials": server.service_account()}}


def key_file_in_the_environment(server: DriveServer, tmp_path: Path) -> dict:
    return {"env": {"GOOGLE_APPLICATION_CREDENTIALS": key_file(server, tmp_path)["local"]["credentials_file"]}}


def key_text_in_the_environment(server: DriveServer, tmp_path: Path) -> dict:
    return {"env": {"GDRIVE_CREDENTIALS_DATA": server.service_account()}}


def key_in_the_users_configuration(server: DriveServer, tmp_path: Path) -> dict:
    return {"user": {"credentials": server.service_account()}}


PLACES = [
    key_file,
    key_text,
    key_file_in_the_environment,
    key_text_in_the_environment,
    key_in_the_users_configuration,
]


def planted(server: DriveServer, folder: str, given: dict, **more) -> Planted:
    env = {**server.env, **given.pop("env", {})}
    options = {"retries": "0"}
    return Planted(f"gdrive://{folder}/team", server.secrets, options=options, env=env, keeps=TOKENS, **given, **more)


@pytest.mark.parametrize("place", PLACES)
def test_what_works(place: Callable[[DriveServer, Path], dict], drive_server: DriveServer, folder, tmp_path) -> None:
    given = place(drive_server, tmp_path)
    told = ["writer@tests.iam.gserviceaccount.com"]
    nothing_shows(tmp_path, planted(drive_server, folder, given, told=told, brief=place is not key_file))


@pytest.mark.parametrize("account", ["gone", "stranger"])
def test_what_is_refused(account: str, drive_server: DriveServer, folder, tmp_path) -> None:
    path = tmp_path / "key.json"
    path.write_text(drive_server.service_account(account))
    given = {"local": {"credentials_file": str(path)}}
    nothing_shows(tmp_path, planted(drive_server, folder, given, codes=REFUSED, brief=account == "stranger"))


def test_client_and_refresh_token_that_have_ended(drive_server: DriveServer, folder, tmp_path) -> None:
    """A user's own credentials, as other programs of Google keep them."""
    text = json.dumps({"type": "authorized_user", "refresh_token": "1//planted-refresh-ended", **drive_server.client})
    given = {"local": {"credentials": text}}
    nothing_shows(tmp_path, planted(drive_server, folder, given, codes=REFUSED, brief=True))


def test_client_without_consent(drive_server: DriveServer, folder, tmp_path) -> None:
    given = {"local": {name: drive_server.client[name] for name in ("client_id", "client_secret")}}
    nothing_shows(tmp_path, planted(drive_server, folder, given, codes=REFUSED, brief=True))


@pytest.mark.parametrize(
    "text", ["{", '{"type": "service_account", "private_key": "planted-key-id"}', "planted-key-id"]
)
def test_key_that_cannot_be_read(text: str, drive_server: DriveServer, folder, tmp_path) -> None:
    given = {"local": {"credentials": text}}
    nothing_shows(tmp_path, planted(drive_server, folder, given, codes=REFUSED, brief=True))


def test_what_may_not_stand_there(tmp_path) -> None:
    """In a URL, in what Git keeps, or in an option of no such name."""
    hidden = "GOCSPX-planted-client-secret"
    refused_words(
        tmp_path,
        Planted("gdrive://1NoFolderHasThisId", [hidden]),
        ["remote", "add", "other", f"gdrive://me:{hidden}@1NoFolderHasThisId"],
        ["remote", "add", "other", f"gdrive://1NoFolderHasThisId?client_secret={hidden}"],
        ["remote", "modify", "--tracked", "store", "client_secret", hidden],
        ["remote", "modify", "--local", "store", "client_secrets", hidden],
        ["config", "--tracked", "remote.store.credentials", hidden],
    )
