"""No secret of a bucket shows, wherever it stands and whatever is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from servers.planted import REFUSED, Planted, nothing_shows, refused_words
from servers.s3 import S3Server
from servers.s3_stub import Stub

KEY = "PLANTEDACCESSKEYID99"
SECRET = "planted/secret+access=key"
TOKEN = "planted/session+token=="
ENV = {"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none"}
PAIR = {"access_key_id": KEY, "secret_access_key": SECRET}


def options(tmp_path: Path) -> dict:
    return {"local": {**PAIR, "session_token": TOKEN}}


def user(tmp_path: Path) -> dict:
    return {"user": {**PAIR, "session_token": TOKEN}}


def environment(tmp_path: Path) -> dict:
    given = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": TOKEN}
    return {"env": given}


def settings_in_the_environment(tmp_path: Path) -> dict:
    values = {**PAIR, "session_token": TOKEN}
    return {"env": {f"KIST_CONFIG__remote__store__{name}": value for name, value in values.items()}}


def credentials_file(tmp_path: Path) -> dict:
    path = tmp_path / "credentials"
    text = f"aws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n"
    path.write_text(f"[default]\n{text}")
    return {"env": {"AWS_SHARED_CREDENTIALS_FILE": str(path)}}


def credential_process(tmp_path: Path) -> dict:
    program, path = tmp_path / "give", tmp_path / "config"
    told = f'{{"Version": 1, "AccessKeyId": "{KEY}", "SecretAccessKey": "{SECRET}", "SessionToken": "{TOKEN}"}}'
    program.write_text(f"#!/bin/sh\necho '{told}'\n")
    program.chmod(0o755)
    path.write_text(f"[default]\ncredential_process = {program}\n")
    return {"env": {"AWS_CONFIG_FILE": str(path)}}


PLACES = [options, user, environment, settings_in_the_environment, credentials_file, credential_process]


def planted(place: Callable[[Path], dict], tmp_path: Path, endpoint: str, bucket: str = "bucket", **more) -> Planted:
    given = place(tmp_path)
    env = {**ENV, **given.pop("env", {})}
    where = {"endpoint_url": endpoint, "retries": "0"}
    return Planted(f"s3://{bucket}/team", [SECRET, TOKEN], options=where, env=env, **given, **more)


@pytest.mark.parametrize("place", PLACES)
def test_what_works(place: Callable[[Path], dict], moto: S3Server, tmp_path: Path) -> None:
    told = ["access key PLAN…ID99"]
    brief = place not in (options, credential_process)
    nothing_shows(tmp_path, planted(place, tmp_path, moto.endpoint, moto.make_bucket(), told=told, brief=brief))


@pytest.mark.parametrize("place", [options, environment])
def test_what_is_refused(place: Callable[[Path], dict], s3_stub: Stub, tmp_path: Path) -> None:
    """S3 sends an expired token back to its sender."""
    s3_stub.reply(400, "ExpiredToken", more=f"<Token-0>{TOKEN}</Token-0><Quoted>{SECRET}</Quoted>")
    nothing_shows(tmp_path, planted(place, tmp_path, s3_stub.endpoint, codes=REFUSED, told=["ExpiredToken"]))


def test_what_may_not_stand_there(tmp_path: Path) -> None:
    """In a URL, in an address, in what Git keeps, or in an option of no such name."""
    refused_words(
        tmp_path,
        Planted("s3://bucket/team", [SECRET], env=ENV),
        ["remote", "add", "other", f"s3://{KEY}:{SECRET}@bucket/team"],
        ["remote", "add", "other", f"s3://bucket/team?secret={SECRET}"],
        ["remote", "modify", "store", "endpoint_url", f"https://{KEY}:{SECRET}@127.0.0.1:1"],
        ["remote", "modify", "--tracked", "store", "secret_access_key", SECRET],
        ["remote", "modify", "--tracked", "store", "secret_acess_key", SECRET],
        ["remote", "modify", "--local", "store", "secret_acess_key", SECRET],
        ["config", "--tracked", "remote.store.secret_access_key", SECRET],
    )
