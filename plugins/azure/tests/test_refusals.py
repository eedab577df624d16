"""What people read when Azure refuses: the kind of error, the remote, whose credentials, and what to do."""

from __future__ import annotations

import base64
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from kist.abc import RemoteScope, RemoteURL
from kist.errors import (
    InvalidOption,
    RemoteAuthError,
    RemoteError,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteUnavailable,
)
from kist_azure.options import AzureOptions
from kist_azure.remote import AzureRemote
from servers.blob_stub import REPLIES, BlobStub, Reply, blob_stub
from servers.scenario import Place, Team

KEY = base64.b64encode(b"a key that must not show, 64 bytes long as those of Azure are...").decode()
SIGNATURE = "c2lnbmF0dXJlIHRoYXQgbXVzdCBub3Qgc2hvdw%3D%3D"
SAS = f"sv=2024-11-04&sr=c&sp=rl&se=2020-01-01T00%3A00%3A00Z&sig={SIGNATURE}"
SECRETS = (KEY, SAS, SIGNATURE, "c2lnbmF0dXJlIHRoYXQgbXVzdCBub3Qgc2hvdw==")

CREDENTIALS: dict[str, dict[str, object]] = {
    "account key of account1": {"account_key": KEY},
    "SAS token (rights rl, until 2020-01-01T00:00:00Z)": {"sas_token": f"?{SAS}"},
    "anonymous": {"anonymous": True},
}
"""Whose credentials the message must name, and the options that give them."""

CASES = [
    ("wrong key", RemoteAuthError, "account key of account1", "kist doctor --remote store"),
    ("expired SAS", RemoteAuthError, "SAS token (rights rl, until 2020-01-01T00:00:00Z)", "kist doctor --remote store"),
    ("no credentials", RemoteAuthError, "anonymous", "kist doctor --remote store"),
    ("anonymous forbidden", RemoteAuthError, "anonymous", "kist doctor --remote store"),
    ("anonymous, private container", RemoteAuthError, "anonymous", "kist doctor --remote store"),
    ("no role", RemotePermissionError, "account key of account1", "Storage Blob Data Contributor"),
    ("firewall", RemotePermissionError, "account key of account1", "from this network"),
    ("keys forbidden", RemoteAuthError, "account key of account1", "az login"),
    ("disabled account", RemotePermissionError, "account key of account1", "subscription"),
    ("no container", RemoteError, "account key of account1", "az storage container create"),
    ("container being deleted", RemoteError, "account key of account1", "choose another one"),
    ("busy", RemoteUnavailable, "account key of account1", "--jobs"),
    ("damaged on the way", RemoteUnavailable, "account key of account1", "network"),
    ("internal error", RemoteUnavailable, "account key of account1", ""),
    ("unknown", RemoteError, "account key of account1", ""),
]

METHODS: dict[str, Callable[[AzureRemote, Path], object]] = {
    "put": lambda remote, path: remote.put_file("objects/1", path),
    "stat": lambda remote, _: remote.stat("objects/1"),
    "open": lambda remote, _: remote.open("objects/1"),
    "list": lambda remote, _: list(remote.list()),
    "delete": lambda remote, _: remote.delete("objects/1"),
    "copy": lambda remote, _: remote.copy("objects/1", "objects/2"),
}


def open_stub(stub: BlobStub, identity: str) -> AzureRemote:
    options = AzureOptions(endpoint=stub.endpoint, **CREDENTIALS[identity])  # type: ignore[arg-type]
    return AzureRemote.from_url(RemoteURL.parse("az://box/folder"), options, RemoteScope("store"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some bytes")
    return path


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("wrong", "kind", "identity", "step"), CASES, ids=[one[0] for one in CASES])
def test_refusal(wrong, kind, identity, step, method, source) -> None:
    with blob_stub(REPLIES[wrong]) as stub:
        remote = open_stub(stub, identity)
        began = time.monotonic()
        with pytest.raises(RemoteError) as caught:
            METHODS[method](remote, source)
        assert time.monotonic() - began < 5
        remote.close()
    error = caught.value
    assert type(error) is kind
    assert "remote 'store'" in error.message
    assert "container box" in error.message
    assert identity in error.message
    assert "\n" not in error.message
    assert error.remote == "store"
    assert step in (error.hint or "")
    shown = "".join(traceback.format_exception(error))
    assert not [secret for secret in SECRETS if secret in shown]
    assert len(stub.requests) == 1, "the core repeats, the SDK does not"


def test_wait_that_the_service_asks_for_reaches_the_core(source) -> None:
    with blob_stub(REPLIES["busy"]) as stub:
        remote = open_stub(stub, "account key of account1")
        with pytest.raises(RemoteUnavailable) as caught:
            remote.put_file("objects/1", source)
        assert caught.value.retry_after == 7
        assert caught.value.retryable
        remote.close()


@pytest.mark.parametrize("wrong", ["wrong key", "busy", "no role"])
def test_batch_of_deletions_tells_of_every_key(wrong) -> None:
    with blob_stub(REPLIES[wrong]) as stub:
        remote = open_stub(stub, "account key of account1")
        failed = remote.delete_many(["objects/1", "objects/2"])
        remote.close()
    assert set(failed) == {"objects/1", "objects/2"}
    assert all(isinstance(error, RemoteError) for error in failed.values())


def test_missing_object_of_a_public_container_is_missing() -> None:
    from dataclasses import replace

    with blob_stub(replace(REPLIES["anonymous, private container"], code="BlobNotFound")) as stub:
        remote = open_stub(stub, "anonymous")
        with pytest.raises(RemoteObjectNotFound):
            remote.stat("objects/1")
        remote.close()


@pytest.mark.parametrize(
    ("wrong", "identity", "word"),
    [
        ("wrong key", "account key of account1", "does not accept the credentials"),
        ("expired SAS", "SAS token (rights rl, until 2020-01-01T00:00:00Z)", "does not accept the credentials"),
    ],
)
def test_command_line(wrong, identity, word, tmp_path) -> None:
    """Exit code 10, all three things named, and no secret anywhere."""
    with blob_stub(REPLIES[wrong]) as stub:
        local = {name: str(value) for name, value in CREDENTIALS[identity].items()}
        options = {"endpoint": stub.endpoint, "account_name": "account1"}
        team = Team(tmp_path, Place("az://box/folder", options=options, local=local, secrets=SECRETS))
        team.found()
        team.record("first", {"one": b"1"}, "one")
        team.clone("second")
        for clone, verb in (("first", "push"), ("second", "pull")):
            (error,) = team.json(clone, verb, code=10).errors
            assert word in error["message"]
            assert "store" in error["message"]
            assert identity in error["message"]
            assert error["hint"]
        found = team.json("first", "doctor", "--remote", "store", code=None).data["findings"]
        assert [one["detail"] for one in found if one["label"] == "remote store: identity"] == [identity]
        team.kist("first", "remote", "list", "-v")
        team.kist("first", "config", "list", "--show-origin")
        team.check_secrets()


def test_answer_of_another_server() -> None:
    """A proxy that knows nothing of containers."""
    with blob_stub(Reply(404, "", "Not Found")) as stub:
        remote = open_stub(stub, "account key of account1")
        with pytest.raises(RemoteError, match="no answer of Azure's") as caught:
            list(remote.list())
        assert "endpoint" in (caught.value.hint or "")
        remote.close()


def test_key_that_is_none_names_the_remote(source) -> None:
    options = AzureOptions(account_name="account1", account_key="no key!")
    remote = AzureRemote.from_url(RemoteURL("az", "box"), options, RemoteScope("store"))
    with pytest.raises(InvalidOption, match="not base64") as caught:
        remote.put_file("objects/1", source)
    assert caught.value.remote == "store"
