"""Ranges that are received without obstore: the same bytes, the same errors, and obstore where that cannot be."""

from __future__ import annotations

import os
import re
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from kist.abc import RemoteScope
from kist.errors import RemoteAuthError, RemoteError, RemoteObjectNotFound, RemoteUnavailable
from kist.remotes.retry import RetryingRemote, RetryPolicy
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.radosgw import Radosgw
from servers.s3 import S3Server
from servers.serving import serving
from servers.tls import self_signed, tls_proxy

DATA = os.urandom(3 << 20)
KEYS = {"access_key_id": "PLANTEDACCESSKEYID99", "secret_access_key": "planted/secret+access=key"}
TOKEN = "planted-session-token"
LARGE = 1 << 20


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


class Requests(list[tuple[str, bool, int]]):
    """What a server was asked: path, whether the address itself was signed, and the connection."""

    endpoint = ""

    @property
    def direct(self) -> list[bool]:
        return [signed for _, signed, _ in self]

    @property
    def connections(self) -> int:
        return len({number for _, _, number in self})


Answer = Callable[[BaseHTTPRequestHandler, bool], object]


def good(handler: BaseHTTPRequestHandler, _signed: bool = True, *, most: int = len(DATA), size: int = -1) -> None:
    """The range that was asked for, or as much of it."""
    found = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers["Range"])
    assert found
    piece = DATA[int(found[1]) : int(found[2] or len(DATA)) + 1]
    handler.send_response(206)
    handler.send_header("Content-Length", str(len(piece) if size < 0 else size))
    handler.send_header("Content-Range", f"bytes {found[1]}-{int(found[1]) + len(piece) - 1}/{len(DATA)}")
    handler.send_header("Last-Modified", "Mon, 30 Nov 2026 12:00:00 GMT")
    handler.send_header("ETag", '"one"')
    handler.end_headers()
    handler.wfile.write(piece[:most])


def refused(status: int, code: str) -> Answer:
    """An answer that refuses what comes with a signed address, and all else is good."""

    def answer(handler: BaseHTTPRequestHandler, signed: bool) -> None:
        if not signed:
            good(handler)
            return
        body = f"<Error><Code>{code}</Code></Error>".encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def asked(request: pytest.FixtureRequest) -> Iterator[Requests]:
    """A server that gives the answers that the test names, in turn, then good ones."""
    answers = list(getattr(request, "param", ()))
    requests = Requests()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            signed = "X-Amz-Signature" in self.path
            requests.append((self.path.partition("?")[0], signed, self.client_address[1]))
            (answers.pop(0) if answers else good)(self, signed)

        def log_message(self, *_words: object) -> None:
            """Nothing is logged."""

    with serving(Handler) as server:
        requests.endpoint = f"http://127.0.0.1:{server.server_port}"
        yield requests


Opening = Callable[..., S3Remote]


@pytest.fixture
def remote_of() -> Iterator[Opening]:
    """Opens remotes by place, endpoint and options, and closes them."""
    opened = []

    def open_one(endpoint: str, bucket: str = "bucket", **more: object) -> S3Remote:
        settings = {**KEYS, "session_token": TOKEN, "endpoint_url": endpoint, "region": "eu-west-1", **more}
        opened.append(S3Remote((bucket, "team"), S3Options(**settings), RemoteScope("store")))  # type: ignore[arg-type]
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


def read(remote: S3Remote | RetryingRemote, start: int = 0, length: int = LARGE) -> bytes:
    with remote.open("objects/one", start=start, length=length) as stream:
        return stream.read()


def text_of(error: RemoteError) -> str:
    """All that could be shown of an error, but the source code of this test."""
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(line for line in lines if not line.startswith("    ")) + f"{error!r} {error.hint}"


def cut(handler: BaseHTTPRequestHandler, _signed: bool) -> None:
    good(handler, most=400_000)
    handler.close_connection = True


def closing(handler: BaseHTTPRequestHandler, _signed: bool) -> None:
    """As a server that keeps connections for a moment only, and does not say so."""
    good(handler)
    handler.close_connection = True


def hanging(handler: BaseHTTPRequestHandler, _signed: bool) -> None:
    good(handler, most=400_000)
    time.sleep(3)


def halting(handler: BaseHTTPRequestHandler, _signed: bool) -> None:
    """A whole answer, with halts that are longer than what has come is held back."""
    time.sleep(0.5)
    good(handler, most=0)
    for start, stop in ((0, 400_000), (400_000, LARGE)):
        time.sleep(0.5)
        handler.wfile.write(DATA[start:stop])


class TestAnswers:
    def test_connections_are_kept(self, asked: Requests, remote_of: Opening) -> None:
        remote = remote_of(asked.endpoint)
        for start in (0, 5, LARGE):
            assert read(remote, start) == DATA[start : start + LARGE]
        assert asked.direct == [True] * 3
        assert asked.connections == 1
        assert asked[0][0] == "/bucket/team/objects/one"

    def test_encrypted_connections_are_kept(self, asked: Requests, remote_of: Opening, tmp_path: Path) -> None:
        certificate, key = self_signed(tmp_path)
        with tls_proxy(int(asked.endpoint.rpartition(":")[2]), certificate, key) as port:
            remote = remote_of(f"https://127.0.0.1:{port}", ca_bundle=str(certificate))
            for start in (0, 5, LARGE):
                assert read(remote, start) == DATA[start : start + LARGE]
            remote.close()
        assert asked.direct == [True] * 3
        assert asked.connections == 1

    def test_a_reader_that_leaves_early_spoils_no_connection(self, asked: Requests, remote_of: Opening) -> None:
        remote = remote_of(asked.endpoint)
        with remote.open("one", length=LARGE) as stream:
            assert stream.read(10) == DATA[:10]
        assert read(remote, 7) == DATA[7 : 7 + LARGE]
        assert (asked.direct, asked.connections) == ([True, True], 2)

    def test_little_is_left_to_obstore(self, asked: Requests, remote_of: Opening) -> None:
        assert read(remote_of(asked.endpoint), length=1000) == DATA[:1000]
        assert asked.direct == [False]

    @pytest.mark.parametrize("asked", [[closing]], indirect=True)
    def test_a_connection_that_was_too_old(self, asked: Requests, remote_of: Opening) -> None:
        remote = remote_of(asked.endpoint)
        assert [read(remote), read(remote), read(remote)] == [DATA[:LARGE]] * 3
        assert asked.direct == [True, False, True]  # what was sent to the old one never arrived

    @pytest.mark.parametrize("asked", [[cut]], indirect=True)
    def test_a_break_is_one_that_may_pass(self, asked: Requests, remote_of: Opening) -> None:
        with pytest.raises(RemoteUnavailable, match=r"remote store .*the connection broke") as caught:
            read(remote_of(asked.endpoint))
        assert "Signature" not in text_of(caught.value)
        assert TOKEN not in text_of(caught.value)

    @pytest.mark.parametrize("asked", [[cut, cut]], indirect=True)
    def test_a_break_is_gone_on_from(self, asked: Requests, remote_of: Opening) -> None:
        remote = RetryingRemote(remote_of(asked.endpoint), RetryPolicy(sleep=lambda _: None))
        assert read(remote, length=2 * LARGE) == DATA[: 2 * LARGE]
        assert asked.direct == [True] * 3

    @pytest.mark.parametrize("asked", [[hanging]], indirect=True)
    def test_a_server_that_goes_silent(self, asked: Requests, remote_of: Opening) -> None:
        began = time.monotonic()
        with pytest.raises(RemoteUnavailable, match="did not answer in time"):
            read(remote_of(asked.endpoint, read_timeout=0.3))
        assert time.monotonic() - began < 10  # not the minute that is usual

    @pytest.mark.parametrize("asked", [[halting]], indirect=True)
    def test_a_server_that_halts(self, asked: Requests, remote_of: Opening) -> None:
        remote = remote_of(asked.endpoint)
        place, counts = memoryview(bytearray(LARGE)), list[int]()
        with remote.open("one", length=LARGE) as stream:
            while count := stream.readinto1(place[sum(counts) :]):  # type: ignore[attr-defined]
                counts.append(count)
        assert place == DATA[:LARGE]
        assert len(counts) > 1, "what came first was held back until all was there"
        assert read(remote, 5) == DATA[5 : 5 + LARGE]
        assert (asked.direct, asked.connections) == ([True] * 2, 1)

    @pytest.mark.parametrize("asked", [[halting]], indirect=True)
    def test_patience_ends(self, asked: Requests, remote_of: Opening) -> None:
        with pytest.raises(RemoteUnavailable, match="did not answer in time"):
            read(remote_of(asked.endpoint, read_timeout=0.3))

    def test_a_range_is_received_by_few_calls(self, asked: Requests, remote_of: Opening) -> None:
        place, counts = memoryview(bytearray(LARGE)), list[int]()
        with remote_of(asked.endpoint).open("one", length=3 * LARGE) as stream:
            while count := stream.readinto1(place):  # type: ignore[attr-defined]
                counts.append(count)
        assert sum(counts) == 3 * LARGE
        assert LARGE in counts, "no read filled its place: each of them takes others' turn"

    @pytest.mark.parametrize("asked", [[refused(503, "SlowDown")]], indirect=True)
    def test_an_overloaded_server_is_asked_once(self, asked: Requests, remote_of: Opening) -> None:
        with pytest.raises(RemoteUnavailable, match="SlowDown") as caught:
            read(remote_of(asked.endpoint))
        assert caught.value.retry_after
        assert asked.direct == [True]

    @pytest.mark.parametrize("asked", [[refused(403, "AccessDenied")]], indirect=True)
    def test_a_server_that_takes_no_signed_address(self, asked: Requests, remote_of: Opening) -> None:
        remote = remote_of(asked.endpoint)
        assert [read(remote), read(remote)] == [DATA[:LARGE]] * 2
        assert asked.direct == [True, False, False]

    @pytest.mark.parametrize("how", ["anonymous", "proxy"])
    def test_where_it_cannot_be(
        self, asked: Requests, remote_of: Opening, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        more: dict[str, object] = {}
        if how == "anonymous":
            more = {"anonymous": True, **dict.fromkeys([*KEYS, "session_token"])}
        else:
            monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        assert read(remote_of(asked.endpoint, **more)) == DATA[:LARGE]
        assert asked.direct == [False]


class TestMoto:
    @pytest.fixture
    def bucket(self, moto: S3Server) -> str:
        bucket = moto.make_bucket()
        moto.client().put_object(Bucket=bucket, Key="team/one", Body=DATA)
        return bucket

    @pytest.mark.parametrize("start", [0, 1, len(DATA) - 10, len(DATA), len(DATA) + 10])
    def test_ranges(self, moto: S3Server, bucket: str, remote_of: Opening, start: int) -> None:
        with remote_of(moto.endpoint, bucket).open("one", start=start, length=2 << 20) as stream:
            assert stream.read() == DATA[start : start + (2 << 20)]

    def test_no_such_key(self, moto: S3Server, bucket: str, remote_of: Opening) -> None:
        with pytest.raises(RemoteObjectNotFound):
            remote_of(moto.endpoint, bucket).open("two", length=LARGE)

    def test_no_such_bucket(self, moto: S3Server, remote_of: Opening) -> None:
        with pytest.raises(RemoteError, match="NoSuchBucket"):
            remote_of(moto.endpoint, "no-such-bucket-here").open("two", length=LARGE)

    @pytest.mark.parametrize("how", ["ca_bundle", "unverified", "nobody"])
    def test_tls(
        self, moto: S3Server, bucket: str, remote_of: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
    ) -> None:
        certificate, key = self_signed(tmp_path)
        more = {"ca_bundle": {"ca_bundle": str(certificate)}, "unverified": {"verify": False}}.get(how, {})
        with tls_proxy(int(moto.endpoint.rpartition(":")[2]), certificate, key) as port:
            remote = remote_of(f"https://127.0.0.1:{port}", bucket, **more)
            if how == "nobody":
                with pytest.raises(RemoteError, match="certificate is not to be trusted"):
                    remote.open("one", length=LARGE)
                return
            monkeypatch.setattr("obstore.get", lambda *_, **__: pytest.fail("obstore was asked"))
            with remote.open("one", start=3, length=LARGE) as stream:
                assert stream.read() == DATA[3 : 3 + LARGE]


def test_wrong_keys_are_told_as_always(radosgw: Radosgw, remote_of: Opening) -> None:
    keys = {"access_key_id": radosgw.access_key, "secret_access_key": "planted-wrong-secret", "session_token": None}
    remote = remote_of(radosgw.endpoint, radosgw.make_bucket(), **keys)
    with pytest.raises(RemoteAuthError, match=r"secret does not belong") as caught:
        remote.open("one", length=LARGE)
    assert "Signature=" not in text_of(caught.value)
