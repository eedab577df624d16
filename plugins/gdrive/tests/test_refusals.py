"""What Google refuses, and what goes wrong on the way: typed, at once, with the remote's name and what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kist.errors import (
    KistError,
    RemoteError,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemotePrecondition,
    RemoteQuotaExceeded,
    RemoteUnavailable,
)
from kist.remotes.wrappers import RetryingRemote, RetryPolicy
from kist_gdrive.remote import DriveRemote
from servers.drive import DriveServer, RawFolder

Make = Callable[..., DriveRemote]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some bytes")
    return path


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def patient(remote: DriveRemote, waits: list[float]) -> RetryingRemote:
    """The remote as the core uses it, without the waiting."""
    return RetryingRemote(remote, RetryPolicy(sleep=waits.append))


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    """No refusal takes long."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30


BUSY = [
    (403, "userRateLimitExceeded"),
    (403, "rateLimitExceeded"),
    (429, "rateLimitExceeded"),
    (500, "internalError"),
    (503, "backendError"),
    (502, ""),
]
STAYS = [
    (403, "dailyLimitExceeded", RemoteQuotaExceeded),
    (403, "storageQuotaExceeded", RemoteQuotaExceeded),
    (403, "teamDriveFileLimitExceeded", RemoteQuotaExceeded),
    (403, "downloadQuotaExceeded", RemoteQuotaExceeded),
    (403, "accessNotConfigured", RemotePermissionError),
    (403, "insufficientPermissions", RemotePermissionError),
    (403, "domainPolicy", RemotePermissionError),
    (403, "somethingNew", RemotePermissionError),
    (400, "badRequest", RemoteError),
]


@pytest.mark.parametrize(("status", "reason"), BUSY)
def test_what_passes_is_repeated(
    patient: RetryingRemote, drive_server: DriveServer, raw: RawFolder, source: Path, status: int, reason: str
) -> None:
    for match in ("upload", "alt=media", r"files\?q="):
        drive_server.fault(match, status=status, reason=reason, times=2)
        patient.put_file("a/one", source)
        assert patient.open("a/one").read() == b"some bytes"
    assert raw.keys() == ["a/one"]


@pytest.mark.parametrize(("status", "reason", "kind"), STAYS)
def test_what_stays_is_not_repeated(
    patient: RetryingRemote,
    waits: list[float],
    drive_server: DriveServer,
    source: Path,
    status: int,
    reason: str,
    kind: type,
) -> None:
    drive_server.fault("upload", status=status, reason=reason, times=2)
    with pytest.raises(kind) as caught:
        patient.put_file("a/one", source)
    assert type(caught.value) is kind
    assert waits == []
    assert reason in caught.value.message
    assert "remote store (gdrive://" in caught.value.message
    assert "as service account writer@tests" in caught.value.message
    assert caught.value.hint or kind is RemoteError


@pytest.mark.parametrize("header", ["7", "Thu, 01 Jan 2099 00:00:00 GMT"])
def test_retry_after(remote: DriveRemote, drive_server: DriveServer, header: str) -> None:
    drive_server.fault("files", status=429, reason="rateLimitExceeded", headers=[["Retry-After", header]])
    with pytest.raises(RemoteUnavailable) as caught:
        remote.stat("a")
    asked = caught.value.retry_after
    assert asked is not None
    assert asked == 7 if header == "7" else asked > 1e9


@pytest.mark.parametrize(
    ("status", "reason", "step"),
    [(403, "userRateLimitExceeded", "max-requests"), (401, "authError", "the key of the service account")],
)
def test_the_next_step_is_told(
    remote: DriveRemote, drive_server: DriveServer, status: int, reason: str, step: str
) -> None:
    drive_server.fault("files", status=status, reason=reason, times=20)
    with pytest.raises(RemoteError) as caught:
        remote.stat("a")
    assert step in str(caught.value.hint)


def test_a_rate_limit_that_lasts(remote: DriveRemote, drive_server: DriveServer, raw: RawFolder, source: Path) -> None:
    """So many a second and no more: with waiting, all arrive."""
    drive_server.control("rate", limit=20)
    patient = RetryingRemote(remote, RetryPolicy(attempts=20, base_delay=0.1, max_delay=0.5))
    for number in range(30):
        patient.put_file(f"a/{number}", source)
    drive_server.control("rate", limit=None)
    assert len(raw.keys()) == 30


def test_a_full_drive(remote: DriveRemote, drive_server: DriveServer, raw: RawFolder, source: Path) -> None:
    drive_server.control("limits", bytes=3)
    with pytest.raises(RemoteQuotaExceeded, match="storageQuotaExceeded") as caught:
        remote.put_file("a", source)
    assert "service account has no space" in str(caught.value.hint)
    assert raw.keys() == []


def test_a_full_shared_drive(make: Make, drive_server: DriveServer, source: Path) -> None:
    drive = drive_server.control("drive", roles={"writer@tests.iam.gserviceaccount.com": "manager"})
    drive_server.control("limits", items=2)
    remote = make(drive)
    remote.put_file("a", source)
    with pytest.raises(RemoteQuotaExceeded, match="teamDriveFileLimitExceeded"):
        for number in range(3):
            remote.put_file(f"b{number}", source)


# ── places that are not there ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["stat", "list", "put_file", "delete", "exists_many"])
def test_no_such_folder(make: Make, source: Path, method: str) -> None:
    """Not an empty remote: an error."""
    remote = make("1NoFolderHasThisId", "kist")
    calls: dict[str, Callable[[], object]] = {
        "stat": lambda: remote.stat("a"),
        "list": lambda: list(remote.list()),
        "put_file": lambda: remote.put_file("a", source),
        "delete": lambda: remote.delete("a"),
        "exists_many": lambda: remote.exists_many(["a"]),
    }
    with pytest.raises(RemoteError, match="there is no folder 1NoFolderHasThisId") as caught:
        calls[method]()
    assert type(caught.value) is RemoteError
    assert "share it with" in str(caught.value.hint)
    assert "service account writer@" in caught.value.message


@pytest.mark.parametrize("method", ["stat", "list", "put_file"])
def test_no_such_folder_at_the_root(make: Make, source: Path, method: str) -> None:
    remote = make("1NoFolderHasThisId")
    calls: dict[str, Callable[[], object]] = {
        "stat": lambda: remote.stat("a"),
        "list": lambda: list(remote.list()),
        "put_file": lambda: remote.put_file("a", source),
    }
    with pytest.raises(RemoteError, match="there is no folder 1NoFolderHasThisId"):
        calls[method]()


def test_a_folder_of_somebody_else(make: Make) -> None:
    with pytest.raises(RemoteError, match="not shared with this account"):
        list(make(account="stranger").list())


# ── bytes that change on the way ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [10, 9 << 20])
def test_damaged_download(make: Make, raw: RawFolder, drive_server: DriveServer, tmp_path: Path, size: int) -> None:
    """The client would take it for good."""
    raw.write("one", bytes(size))
    drive_server.fault("alt=media", corrupt=True)
    with pytest.raises(RemoteError, match="damaged on the way") as caught:
        make().get_file("one", tmp_path / "target")
    assert not caught.value.retryable
    assert not (tmp_path / "target").exists()
    make().get_file("one", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == bytes(size)


def test_damage_that_lies_there_is_not_taken_for_damage_on_the_way(make: Make, raw: RawFolder) -> None:
    """Google's digest is that of what lies there; the core's own tells that it is wrong."""
    raw.write("one", b"damaged")
    assert make().open("one").read() == b"damaged"


def test_damaged_upload(remote: DriveRemote, raw: RawFolder, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kist_gdrive import uploads

    monkeypatch.setattr(uploads.Source, "md5", lambda self: "another")
    with pytest.raises(RemoteUnavailable, match="arrived damaged"):
        remote.put_file("a", source)
    assert raw.keys() == []


def test_replaced_while_it_is_read(remote: DriveRemote, raw: RawFolder) -> None:
    raw.write("small", b"first")
    raw.write("large", bytes(9 << 20))
    small, large = remote.open("small"), remote.open("large")
    large.read(1)
    raw.write("small", b"then, and longer")
    raw.write("large", b"\1" * (9 << 20))
    assert small.read() == b"then, and longer"
    with pytest.raises(RemotePrecondition, match="replaced while it was read"):
        large.read()


@pytest.mark.parametrize("match", ["alt=media", r"files\?q=", "upload"])
def test_cut_connection(patient: RetryingRemote, drive_server: DriveServer, source: Path, match: str) -> None:
    patient.put_file("a", source)
    drive_server.fault(match, drop=True, times=3)
    patient.put_file("a", source)
    assert patient.open("a").read() == b"some bytes"


# ── the network ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_4_6_certificate_of_nobody(remote: DriveRemote, monkeypatch: pytest.MonkeyPatch) -> None:
    import certifi
    import httplib2

    monkeypatch.setattr(httplib2, "CA_CERTS", certifi.where())
    with pytest.raises(RemoteError, match="certificate is not trusted") as caught:
        remote.stat("a")
    assert "HTTPLIB2_CA_CERTS" in str(caught.value.hint)
    assert not caught.value.retryable


def test_no_answer_in_time(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RemoteUnavailable, match="no answer"):
            make(timeout=0.5).stat("a")


def test_missing_right_names_who_and_what(make: Make, source: Path) -> None:
    with pytest.raises(RemotePermissionError) as caught:
        make(account="reader").put_file("a", source)
    assert "as service account reader@tests" in caught.value.message
    assert "editor" in str(caught.value.hint)


def test_hints_are_sentences_for_people() -> None:
    from kist_gdrive import failures

    for hint in [*failures._FULL.values(), *failures._REFUSED.values()]:
        assert len(hint) > 20
        assert not hint.endswith(".")


def test_errors_are_of_one_family(remote: DriveRemote, drive_server: DriveServer) -> None:
    drive_server.fault("files", status=418, reason="teapot")
    with pytest.raises(KistError) as caught:
        remote.stat("a")
    assert type(caught.value) is RemoteError
    with pytest.raises(RemoteObjectNotFound):
        remote.stat("a")
