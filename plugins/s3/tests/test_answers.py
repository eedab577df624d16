"""What servers answer, and what becomes of it: a typed error that names the remote, the identity and the next step."""

from __future__ import annotations

import time
import traceback
from pathlib import Path

import pytest

from kist.abc import RemoteScope
from kist.errors import (
    RemoteAuthError,
    RemoteError,
    RemoteObjectNotFound,
    RemotePermissionError,
    RemoteQuotaExceeded,
    RemoteUnavailable,
)
from kist_s3.failures import Failures
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.s3_stub import Stub

KEY, SECRET, TOKEN = "PLANTEDACCESSKEYID99", "planted/secret+access=key", "planted-session-token=="
SECRETS = (SECRET, TOKEN)
CALLS = ("put", "create", "get", "open", "stat", "list", "delete", "delete_many", "copy")


@pytest.fixture
def remote(s3_stub: Stub) -> S3Remote:
    options = S3Options(
        endpoint_url=s3_stub.endpoint,
        region="eu-west-1",
        access_key_id=KEY,
        secret_access_key=SECRET,
        session_token=TOKEN,
        conditional_writes="yes",
    )
    return S3Remote(("bucket", "team"), options, RemoteScope("store"))


def call(remote: S3Remote, method: str, folder: Path) -> object:
    source = folder / "source"
    source.write_bytes(b"bytes")
    calls = {
        "put": lambda: remote.put_file("objects/one", source),
        "create": lambda: remote.put_file("objects/one", source, if_absent=True),
        "get": lambda: remote.get_file("objects/one", folder / "target"),
        "open": lambda: remote.open("objects/one", start=5, length=10),
        "stat": lambda: remote.stat("objects/one"),
        "list": lambda: list(remote.list("objects/")),
        "delete": lambda: remote.delete("objects/one"),
        "delete_many": lambda: raised(remote.delete_many(["objects/one", "objects/two"])),
        "copy": lambda: remote.copy("objects/one", "objects/two"),
    }
    return calls[method]()


def raised(failed: dict[str, RemoteError]) -> None:
    for error in failed.values():
        raise error


def check_shown(error: RemoteError) -> None:
    """No secret anywhere, and everything that helps."""
    text = "".join(traceback.format_exception(error)) + f"{error!r} {error.hint}"
    shown = [line for line in text.splitlines() if not line.startswith("    ")]  # the source code of this test
    assert not [line for line in shown for secret in SECRETS if secret in line]
    assert KEY not in error.message
    assert error.remote == "store"
    assert "remote store (s3://bucket/team, access key PLAN…ID99 from the remote's options)" in error.message
    assert error.hint


ANSWERS = [
    (403, "InvalidAccessKeyId", RemoteAuthError, "does not know this access key", "sts get-caller-identity"),
    (403, "SignatureDoesNotMatch", RemoteAuthError, "secret does not belong", "kist doctor --remote store"),
    (400, "ExpiredToken", RemoteAuthError, "token has expired", "aws sso login"),
    (400, "InvalidToken", RemoteAuthError, "token is not valid", "aws sso login"),
    (403, "RequestTimeTooSkewed", RemoteAuthError, "clock", "clock"),
    (403, "AccessDenied", RemotePermissionError, "does not allow", "owner"),
    (404, "NoSuchBucket", RemoteError, "no such bucket", "s3://bucket/team"),
    (403, "QuotaExceeded", RemoteQuotaExceeded, "no room", "quota"),
    (507, "", RemoteQuotaExceeded, "HTTP 507", None),
    (503, "SlowDown", RemoteUnavailable, "overloaded", "try again"),
    (500, "InternalError", RemoteUnavailable, "busy", "try again"),
    (429, "", RemoteUnavailable, "HTTP 429", "try again"),
    (502, "", RemoteUnavailable, "HTTP 502", "try again"),
]


@pytest.mark.parametrize("method", CALLS)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda one: f"{one[0]}-{one[1]}")
def test_refusals(remote, s3_stub, tmp_path, method, answer) -> None:
    status, code, kind, says, next_step = answer
    quoted = f"<CanonicalRequest>x-amz-security-token:{TOKEN}</CanonicalRequest>"
    s3_stub.reply(status, code, more=quoted if code == "SignatureDoesNotMatch" else "", Retry_After="1")
    began = time.monotonic()
    with pytest.raises(kind) as caught:
        call(remote, method, tmp_path)
    assert time.monotonic() - began < 5
    error = caught.value
    if next_step:
        check_shown(error)
        assert next_step in error.hint
    if method == "stat" and status >= 500:  # a HEAD has no body, and a server that fails is not asked twice
        says = code = f"HTTP {status}"
    assert says in error.message
    assert code in error.message


@pytest.mark.parametrize("method", CALLS)
def test_wrong_region_that_is_named(remote, s3_stub, tmp_path, method) -> None:
    s3_stub.reply(400, "AuthorizationHeaderMalformed", more="<Region>ap-south-1</Region>")
    with pytest.raises(RemoteError, match="in the region ap-south-1") as caught:
        call(remote, method, tmp_path)
    check_shown(caught.value)
    assert caught.value.hint == "kist remote modify store region ap-south-1"
    assert not caught.value.retryable


@pytest.mark.parametrize("method", CALLS)
def test_wrong_region_without_a_word(remote, s3_stub, tmp_path, method) -> None:
    s3_stub.reply(301, "PermanentRedirect", x_amz_bucket_region="ap-south-1")
    with pytest.raises(RemoteError, match="in the region ap-south-1") as caught:
        call(remote, method, tmp_path)
    check_shown(caught.value)
    assert s3_stub.requests[-1] == ("HEAD", "/bucket")
    assert "Authorization" not in s3_stub.seen[-1]


def test_wrong_region_that_nobody_names(remote, s3_stub) -> None:
    s3_stub.reply(301)
    with pytest.raises(RemoteError, match="in another region") as caught:
        remote.stat("objects/one")
    assert caught.value.hint == "kist remote modify store region REGION"


def test_head_without_a_body(remote, s3_stub) -> None:
    """Where GET tells no more than HEAD, the right is what is missing: also for a key that is not there."""
    s3_stub.reply(403)
    with pytest.raises(RemotePermissionError, match="HTTP 403"):
        remote.stat("objects/one")
    assert [method for method, _ in s3_stub.requests] == ["HEAD", "GET"]


def test_bucket_that_is_not_there_by_head(remote, s3_stub) -> None:
    s3_stub.reply(404, "NoSuchBucket")
    with pytest.raises(RemoteError, match="no such bucket"):
        remote.stat("objects/one")


def test_absent_key_costs_one_request_once_the_bucket_is_known(remote, s3_stub) -> None:
    s3_stub.reply(204)
    remote.delete("objects/any")
    s3_stub.reply(404, "NoSuchKey")
    for _ in range(3):
        with pytest.raises(RemoteObjectNotFound):
            remote.stat("objects/one")
    assert [method for method, _ in s3_stub.requests][-2:] == ["HEAD", "HEAD"]


def test_too_many_requests_ask_for_a_pause(remote, s3_stub) -> None:
    s3_stub.reply(503, "SlowDown", Retry_After="7")
    with pytest.raises(RemoteUnavailable) as caught:
        remote.stat("objects/one")
    assert caught.value.retry_after == 1.0
    assert caught.value.retryable


def test_requests_are_not_repeated(remote, s3_stub, tmp_path) -> None:
    s3_stub.reply(500, "InternalError")
    with pytest.raises(RemoteUnavailable):
        call(remote, "put", tmp_path)
    assert len(s3_stub.requests) == 1


def test_answer_without_sense(remote, s3_stub, tmp_path) -> None:
    s3_stub.reply(200)
    with pytest.raises(RemoteError, match="makes no sense"):
        call(remote, "put", tmp_path)


def test_archived_object(remote, s3_stub) -> None:
    s3_stub.reply(403, "InvalidObjectState")
    with pytest.raises(RemoteError, match="archived") as caught:
        remote.open("objects/one")
    assert "restore" in caught.value.hint


def test_delete_falls_back_to_single_requests(remote, s3_stub) -> None:
    """A server without bulk deletion is asked key by key."""
    s3_stub.reply(501, "NotImplemented")
    failed = remote.delete_many(["objects/one", "objects/two"])
    assert set(failed) == {"objects/one", "objects/two"}
    assert [method for method, _ in s3_stub.requests] == ["POST", "DELETE", "DELETE"]


def test_answer_of_another_server(remote: S3Remote, s3_stub: Stub) -> None:
    """A listing is about no key, and what to do next is said of any answer."""
    s3_stub.reply(404)
    with pytest.raises(RemoteError, match=r"refused this to a listing \(HTTP 404\)") as caught:
        list(remote.list())
    assert "kist doctor --remote store" in str(caught.value.hint)


def test_panic_of_the_client_library() -> None:
    """It is no Exception, and nothing of it may reach the user."""

    class PanicException(BaseException):
        """As obstore raises it."""

    failures = Failures("store", "s3://bucket", who=lambda: "nobody", secrets=tuple, find_region=str)
    with pytest.raises(RemoteError, match=r"remote store .*gave up") as caught, failures("a"):
        raise PanicException("called `Result::unwrap()` on an `Err` value")
    assert caught.value.hint
