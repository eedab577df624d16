"""Whose credentials are used, how they are come by, and what is said when they are not accepted."""

from __future__ import annotations

import io
import json
import logging
import stat
import traceback
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from kist.abc import RemoteURL
from kist.errors import InvalidOption, KistError, RemoteAuthError, StorageError
from kist.testing.remote_parts.failing import captured_logs
from kist_gdrive import kist_open_remote, kist_remote_options
from kist_gdrive.options import DriveOptions, Location
from kist_gdrive.remote import DriveRemote
from servers.drive import DriveServer

Make = Callable[..., DriveRemote]


class Person:
    """Somebody at the terminal who reads the question and answers in a browser."""

    def __init__(self, server: DriveServer, answer: str = "allow", *, pastes: bool = False) -> None:
        self.server, self.answer, self.pastes = server, answer, pastes
        self.questions: list[str] = []

    def __call__(self, question: str) -> str:
        self.questions.append(question)
        url = next(word for word in question.split() if word.startswith("https://"))
        if not self.pastes:
            self.server.browse(url, self.answer)
            return ""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        return f"{self.server.control('answer', asked=asked | {'answer': self.answer})}\n"


def token_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("gdrive-token-*"))


def shown(error: KistError) -> str:
    return "".join(traceback.format_exception(error)) + f"{error!r} {error.hint}"


@pytest.fixture
def client(drive_server: DriveServer, make: Make) -> Callable[..., DriveRemote]:
    """Opens remotes with the OAuth client."""

    def open_one(person: object = None, **told: object) -> DriveRemote:
        return make(account=None, scope={"prompt": person}, **drive_server.client, **told)

    return open_one


# ── the consent of a user ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pastes", [False, True], ids=["the browser comes back", "the address is pasted"])
def test_consent_is_asked_for_once(client: Make, drive_server: DriveServer, tmp_path: Path, pastes: bool) -> None:
    person = Person(drive_server, pastes=pastes)
    assert list(client(person).list()) == []
    (kept,) = token_files(tmp_path / "state")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert dict(client(None).describe_access())["identity"] == "person@example.com"
    assert len(person.questions) == 1
    assert "client_id=" in person.questions[0]
    assert not any(secret in person.questions[0] for secret in drive_server.secrets)


def test_no_terminal_no_consent(client: Make, drive_server: DriveServer) -> None:
    drive_server.requests()
    with pytest.raises(RemoteAuthError, match="remote store: nobody has consented") as caught:
        list(client(None).list())
    assert "kist doctor --remote store" in str(caught.value.hint)
    assert drive_server.requests() == []


def test_refused_consent(client: Make, drive_server: DriveServer, tmp_path: Path) -> None:
    with pytest.raises(RemoteAuthError, match="access_denied"):
        list(client(Person(drive_server, "deny")).list())
    assert token_files(tmp_path / "state") == []


def test_an_answer_to_another_question(client: Make) -> None:
    with pytest.raises(RemoteAuthError, match="another question"):
        list(client(lambda _: "http://127.0.0.1:1/?state=forged&code=4/forged").list())
    with pytest.raises(RemoteAuthError, match="not the address"):
        list(client(lambda _: "what shall I paste?").list())


def test_wrong_client_secret(make: Make, drive_server: DriveServer) -> None:
    wrong = drive_server.client | {"client_secret": "GOCSPX-planted-other"}
    with pytest.raises(RemoteAuthError) as caught:
        list(make(account=None, scope={"prompt": Person(drive_server)}, **wrong).list())
    assert "planted-other" not in shown(caught.value)


def test_a_token_that_ended_is_renewed(client: Make, drive_server: DriveServer) -> None:
    drive_server.control("living", seconds=30)  # less than one request may need
    list(client(Person(drive_server)).list())
    drive_server.control("living", seconds=3600)
    drive_server.requests()
    second = client(None)
    list(second.list())
    list(second.list())
    assert [line.split()[1] for line in drive_server.requests()].count("oauth2.googleapis.com/token") == 1
    second.close()
    drive_server.control("forget")  # the token is taken back before its time
    third = client(None)
    list(third.list())
    third.close()
    drive_server.requests()
    list(client(None).list())
    assert not any("/token" in line for line in drive_server.requests())


def test_expired_consent(client: Make, drive_server: DriveServer, tmp_path: Path) -> None:
    list(client(Person(drive_server)).list())
    drive_server.control("forget", refresh=True)
    with pytest.raises(RemoteAuthError, match="invalid_grant") as caught:
        list(client(None).list())
    text = shown(caught.value)
    assert "remote store" in text
    assert "the user of OAuth client 12345-kist" in text
    assert "kist doctor --remote store" in text
    assert not any(secret in text for secret in drive_server.secrets)
    person = Person(drive_server)
    assert list(client(person).list()) == []
    assert len(person.questions) == 1


def test_one_token_for_many_clones(client: Make, drive_server: DriveServer, tmp_path: Path) -> None:
    kept = tmp_path / "mine" / "token.json"
    list(client(Person(drive_server), token_file=str(kept)).list())
    assert token_files(tmp_path / "state") == []
    list(client(None, token_file=str(kept)).list())
    kept.chmod(0o644)
    with pytest.raises(StorageError, match="others may read"):
        list(client(None, token_file=str(kept)).list())


def test_the_token_of_another_client_is_not_taken(
    client: Make, make: Make, drive_server: DriveServer, tmp_path: Path
) -> None:
    kept = tmp_path / "token.json"
    list(client(Person(drive_server), token_file=str(kept)).list())
    with pytest.raises(RemoteAuthError, match="nobody has consented"):
        list(make(account=None, client_id="another", client_secret="another", token_file=str(kept)).list())


# ── service accounts and files ───────────────────────────────────────────────────────────────────────────────────────


def test_service_account_keeps_a_token_but_no_key(make: Make, drive_server: DriveServer, tmp_path: Path) -> None:
    first = make()
    list(first.list())
    first.close()
    (kept,) = token_files(tmp_path / "state")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "PRIVATE KEY" not in kept.read_text()
    drive_server.requests()
    list(make().list())
    assert not any("/token" in line for line in drive_server.requests())


def test_credentials_file(make: Make, drive_server: DriveServer, tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text(drive_server.service_account())
    told = dict(make(account=None, credentials_file=str(key)).describe_access())
    assert told["identity"] == "writer@tests.iam.gserviceaccount.com"
    assert told["credentials"].startswith("option credentials: not set; option credentials_file: used")


def test_impersonation(make: Make, drive_server: DriveServer) -> None:
    assert dict(make(impersonate="chief@example.com").describe_access())["identity"] == "chief@example.com"


def test_refresh_token_of_a_user(make: Make, client: Make, drive_server: DriveServer, tmp_path: Path) -> None:
    list(client(Person(drive_server)).list())
    refresh = json.loads(token_files(tmp_path / "state")[0].read_text())["refresh"]
    text = json.dumps({"type": "authorized_user", "refresh_token": refresh, **drive_server.client})
    remote = make(account=None, credentials=text, scope={"state": None})
    assert dict(remote.describe_access())["identity"] == "person@example.com"


def test_from_the_environment(drive_server: DriveServer, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = drive_server.service_account()
    monkeypatch.setenv("GDRIVE_CREDENTIALS_DATA", text)
    options = DriveOptions.from_mapping({}, env={"GDRIVE_CREDENTIALS_DATA": text})
    remote = DriveRemote(Location(folder, ()), options)
    assert "GDRIVE_CREDENTIALS_DATA: used" in dict(remote.describe_access())["credentials"]
    remote.close()


def test_what_was_set_counts_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from kist_gdrive.access import sources

    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/of/something/else.json")
    options = DriveOptions(client_id="mine", client_secret="mine", credentials_file="/of/something/else.json")
    present = [one.place for one in sources(options) if one.present]
    assert present == ["option client_id", "GOOGLE_APPLICATION_CREDENTIALS"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({}, "there are no credentials"),
        ({"client_id": "mine"}, "no client_secret"),
        ({"credentials": "no json"}, "no credentials that can be read"),
        ({"credentials": '{"type": "external_account"}'}, "no credentials that can be read"),
        ({"credentials": '{"type": "authorized_user", "refresh_token": "planted"}'}, "have no 'client_id'"),
        ({"credentials_file": "/no/such/file.json"}, "No such file"),
        ({"credentials": '{"type": "service_account", "private_key": "planted"}'}, "cannot be used"),
    ],
)
def test_credentials_that_are_none(make: Make, drive_server: DriveServer, told: dict[str, str], message: str) -> None:
    drive_server.requests()
    with pytest.raises(RemoteAuthError, match=message) as caught:
        make(account=None, **told).stat("a")
    assert caught.value.message.startswith("remote store: ")
    assert caught.value.hint
    assert "planted" not in shown(caught.value)
    assert drive_server.requests() == []


def test_an_account_that_is_gone(make: Make) -> None:
    with pytest.raises(RemoteAuthError, match=r"as service account gone@.*account not found") as caught:
        make(account="gone").stat("a")
    assert "clock" in str(caught.value.hint)
    told = dict(make(account="gone").describe_access())
    assert told["identity"].startswith("not known")


# ── trust, secrets ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_credentials_go_to_google_only(make: Make, drive_server: DriveServer) -> None:
    """Whoever named the folder: no option names another place that gets a token."""
    drive_server.requests()
    list(make(scope={"trusted": False}).list())
    assert {line.split()[1].partition("/")[0] for line in drive_server.requests()} == {
        "oauth2.googleapis.com",
        "www.googleapis.com",
    }
    from dataclasses import fields

    shared = {one.name for one in fields(DriveOptions) if one.metadata["shared"]}
    assert shared == {"shared_drive", "use_trash"}


def test_no_secret_in_anything_that_is_shown(
    client: Make, drive_server: DriveServer, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    drive_server.control("living", seconds=30)
    with captured_logs() as logged:
        remote = client(Person(drive_server))
        (tmp_path / "source").write_bytes(b"some bytes")
        remote.put_file("a/b", tmp_path / "source")
        remote.open("a/b").read()
        told = f"{remote!r} {remote.describe_access()} {vars(remote)}"
        for status in (401, 403, 404, 429, 500):
            drive_server.fault("drive/v2", status=status, times=9)
            with pytest.raises(KistError) as caught:
                remote.open("a/b").read()
            told += shown(caught.value)
        drive_server.control("forget", refresh=True)
        with pytest.raises(KistError) as caught:
            remote.stat("a/b")
        told += shown(caught.value)
    printed = capfd.readouterr()
    assert printed.out + printed.err == ""
    for secret in drive_server.secrets:
        assert secret not in told
        assert secret not in logged.getvalue()


def test_warnings_of_the_client_are_not_printed(make: Make, drive_server: DriveServer, capfd: object) -> None:
    """Without any logging set up, Python prints what no handler took."""
    handlers = logging.root.handlers[:]
    logging.root.handlers.clear()
    stream = io.StringIO()
    try:
        last, logging.lastResort = logging.lastResort, logging.StreamHandler(stream)
        drive_server.fault("drive/v2", status=403, reason="rateLimitExceeded", times=1)
        with pytest.raises(KistError):
            make().stat("a")
    finally:
        logging.lastResort = last
        logging.root.handlers[:] = handlers
    assert stream.getvalue() == ""


# ── URLs and options ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("gdrive://", "gdrive://FOLDER_ID/path"),
        ("gdrive:///data", "gdrive://FOLDER_ID/path"),
        ("gdrive://roott/data", "gdrive://FOLDER_ID/path"),
        ("gdrive://user@1AbCdEfGhIjKl/data", "gdrive://FOLDER_ID/path"),
        ("gdrive://1AbCdEfGhIjKl:80/data", "gdrive://FOLDER_ID/path"),
        ("gdrive://1AbCdEfGhIjKl/data?usp=sharing", "gdrive://FOLDER_ID/path"),
        ("gdrive://drive.google.com/drive/folders/1AbCdEfGhIjKl", "gdrive://1AbCdEfGhIjKl"),
    ],
)
def test_urls_that_name_no_folder(url: str, hint: str) -> None:
    with pytest.raises(InvalidOption) as caught:
        Location.of(RemoteURL.parse(url))
    assert hint in str(caught.value.hint)


def test_urls() -> None:
    assert Location.of(RemoteURL.parse("gdrive://root")) == Location("root", ())
    location = Location.of(RemoteURL.parse("gdrive://1AbCdEfGhIjKl/My%20data//kist/"))
    assert location == Location("1AbCdEfGhIjKl", ("My data", "kist"))
    with pytest.raises(InvalidOption):
        Location.of(RemoteURL.parse("gdrive://root/a/../b"))


def test_answers_for_its_scheme_only() -> None:
    url = RemoteURL.parse("other://somewhere")
    assert kist_remote_options("other") is None
    assert kist_open_remote(url, DriveOptions(), None) is None
