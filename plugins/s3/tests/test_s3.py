"""What is special about S3: addresses, options, TLS, time-outs, servers that ignore conditions."""

from __future__ import annotations

import dataclasses
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.abc import RemoteScope, RemoteURL
from kist.errors import InvalidOption, RemoteError, RemoteExists, RemoteUnavailable
from kist_s3.address import locate, place_of
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.s3 import S3Server
from servers.s3_stub import Stub
from servers.tls import self_signed, tls_proxy

KEYS = {"access_key_id": "KEYID000000000000000", "secret_access_key": "any-secret"}
README = Path(__file__).parents[1] / "README.md"


def shown(one: dataclasses.Field) -> str:
    """The default of an option, as the README tells it."""
    if one.metadata["secret"]:
        return "secret"
    return "" if one.default is None else f"`{str(one.default).lower().removesuffix('.0')}`"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(b"some bytes")
    return path


class TestAddresses:
    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("s3://bucket", ("bucket", "")),
            ("s3://bucket/", ("bucket", "")),
            ("s3://bucket/a/b/", ("bucket", "a/b")),
            ("s3://bucket/a%20b/%C3%A9", ("bucket", "a b/é")),
            ("s3://my.bucket_1", ("my.bucket_1", "")),
        ],
    )
    def test_places(self, text, place) -> None:
        assert place_of(RemoteURL.parse(text)) == place

    @pytest.mark.parametrize(
        "text",
        [
            "s3://",
            "s3:///prefix",
            "s3://a",
            "s3://bucket/../x",
            "s3://bucket/a//b",
            "s3://user@bucket",
            "s3://bucket:99/x",
            "s3://bucket/x?region=y",
            "s3://a bucket",
            "s3://buc%2fket/x",
        ],
    )
    def test_no_places(self, text) -> None:
        with pytest.raises(InvalidOption):
            place_of(RemoteURL.parse(text))

    @pytest.mark.parametrize(
        ("endpoint", "addressing", "base"),
        [
            (None, "auto", "https://bucket.s3.eu-west-1.amazonaws.com"),
            (None, "path", "https://s3.eu-west-1.amazonaws.com"),
            ("http://127.0.0.1:9000/", "auto", "http://127.0.0.1:9000"),
            ("ceph.example", "auto", "https://ceph.example"),
            ("https://ceph.example", "virtual", "https://bucket.ceph.example"),
        ],
    )
    def test_endpoints(self, endpoint, addressing, base) -> None:
        assert locate(("bucket", ""), region="eu-west-1", endpoint=endpoint, addressing=addressing).base == base

    def test_bucket_with_a_dot_stands_in_the_path(self) -> None:
        found = locate(("my.bucket", ""), region=None, endpoint=None, addressing="auto")
        assert found.base == "https://s3.us-east-1.amazonaws.com"

    @pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9000", "https://[::1]"])
    def test_bucket_before_a_number(self, endpoint) -> None:
        """The client library panics at such a host."""
        with pytest.raises(InvalidOption) as caught:
            S3Remote(("bucket", ""), S3Options(endpoint_url=endpoint, addressing="virtual"))
        assert "addressing to path" in str(caught.value.hint)

    @pytest.mark.parametrize("endpoint", ["ftp://x", "https://", "https://u:p@x", "https://x/y", "https://x:port"])
    def test_no_endpoints(self, endpoint) -> None:
        with pytest.raises(InvalidOption):
            S3Remote(("bucket", ""), S3Options(endpoint_url=endpoint))

    @pytest.mark.parametrize(
        ("addressing", "asked"), [("path", "http://ceph.example/team/a"), ("virtual", "http://team.ceph.example/a")]
    )
    def test_addressing(self, s3_stub: Stub, monkeypatch, addressing, asked) -> None:
        """Through a proxy, which sees the whole address."""
        monkeypatch.setenv("http_proxy", s3_stub.endpoint)
        s3_stub.reply(204)
        options = S3Options(endpoint_url="http://ceph.example", addressing=addressing, **KEYS)
        S3Remote(("team", ""), options).delete("a")
        assert s3_stub.requests == [("DELETE", asked)]


class TestOptions:
    @pytest.mark.parametrize(
        "values",
        [
            {"access_key_id": "x"},
            {"secret_access_key": "x"},
            {"session_token": "x"},
            {"anonymous": "true", "profile": "x"},
            {"sse_kms_key_id": "x"},
            {"sse": "rot13"},
            {"storage_class": "DEEP_ARCHIVE"},
            {"connect_timeout": "0"},
            {"read_timeout": "soon"},
            {"addressing": "host"},
        ],
    )
    def test_refused(self, values) -> None:
        with pytest.raises(InvalidOption):
            S3Options.from_mapping(values)

    def test_secrets_are_not_shown(self) -> None:
        options = S3Options(access_key_id="id", secret_access_key="planted-secret", session_token="planted-token")
        assert "planted" not in repr(options)

    def test_ca_bundle_that_is_not_there(self) -> None:
        with pytest.raises(InvalidOption, match="cannot be read"):
            S3Remote(("bucket", ""), S3Options(ca_bundle="/none.pem"))

    def test_what_names_credentials_or_turns_checks_off_is_for_the_users_own_configuration(self) -> None:
        shared = {one.name for one in dataclasses.fields(S3Options) if one.metadata["shared"]}
        own = {"profile", "access_key_id", "secret_access_key", "session_token", "verify", "ca_bundle"}
        assert not shared & (own | {"requester_pays"})
        secret = {one.name for one in dataclasses.fields(S3Options) if one.metadata["secret"]}
        assert secret == {"secret_access_key", "session_token"}

    def test_readme_has_every_option(self) -> None:
        table = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
        assert table == [
            (one.name, shown(one), f"`{one.metadata['env']}`" if one.metadata["env"] else "", one.metadata["help"])
            for one in dataclasses.fields(S3Options)
        ]

    def test_what_is_asked_of_the_server(self, s3_stub: Stub, source) -> None:
        options = S3Options(
            endpoint_url=s3_stub.endpoint,
            storage_class="STANDARD_IA",
            sse="aws:kms",
            sse_kms_key_id="alias/team",
            checksum="sha256",
            requester_pays=True,
            **KEYS,
        )
        s3_stub.reply(200, etag='"x"')
        S3Remote(("bucket", ""), options).put_file("objects/one", source)
        sent = {name.lower(): value for name, value in s3_stub.seen[0].items()}
        assert sent["x-amz-storage-class"] == "STANDARD_IA"
        assert sent["x-amz-server-side-encryption"] == "aws:kms"
        assert sent["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/team"
        assert sent["x-amz-request-payer"] == "requester"
        assert sent["x-amz-checksum-sha256"]
        assert sent["user-agent"].startswith("kist-s3")


class TestTLS:
    @pytest.fixture
    def proxied(self, moto: S3Server, tmp_path: Path) -> Iterator[tuple[str, str, Path]]:
        certificate, key = self_signed(tmp_path)
        with tls_proxy(int(moto.endpoint.rpartition(":")[2]), certificate, key) as port:
            yield moto.make_bucket(), f"https://127.0.0.1:{port}", certificate

    def test_4_6_certificate_that_nobody_signed(self, proxied, source) -> None:
        bucket, endpoint, _ = proxied
        remote = S3Remote((bucket, ""), S3Options(endpoint_url=endpoint, **KEYS), RemoteScope("store"))
        with pytest.raises(RemoteError, match="certificate is not to be trusted") as caught:
            remote.put_file("one", source)
        assert not caught.value.retryable
        assert "ca_bundle" in str(caught.value.hint)
        assert "kist remote modify --local store" in str(caught.value.hint)

    @pytest.mark.parametrize("how", ["ca_bundle", "unverified"])
    def test_certificate_that_is_trusted(self, proxied, source, how) -> None:
        bucket, endpoint, certificate = proxied
        more = {"ca_bundle": str(certificate)} if how == "ca_bundle" else {"verify": False}
        remote = S3Remote((bucket, ""), S3Options(endpoint_url=endpoint, **KEYS, **more))
        remote.put_file("one", source)
        assert [one.key for one in remote.list()] == ["one"]
        assert remote.sweep() == 0
        assert (("TLS", "certificates are not checked") in remote.describe_access()) == (how == "unverified")


class TestTrouble:
    @pytest.fixture
    def silent(self) -> Iterator[str]:
        """A server that accepts and says nothing."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"

    def test_server_that_says_nothing(self, silent, source) -> None:
        options = S3Options(endpoint_url=silent, read_timeout=0.3, **KEYS)
        remote = S3Remote(("bucket", ""), options)
        for call in (lambda: remote.put_file("one", source), lambda: remote.open("one"), lambda: list(remote.list())):
            began = time.monotonic()
            with pytest.raises(RemoteUnavailable, match="did not answer in time"):
                call()
            assert time.monotonic() - began < 5

    def test_name_that_cannot_be_resolved(self) -> None:
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url="http://none.invalid", **KEYS))
        with pytest.raises(RemoteUnavailable, match="cannot be resolved"):
            remote.stat("one")

    @pytest.mark.parametrize("way", ["open", "get_file"])
    def test_body_that_is_cut_short(self, way, tmp_path) -> None:
        with cutting_server() as endpoint:
            remote = S3Remote(("bucket", ""), S3Options(endpoint_url=endpoint, **KEYS))
            with pytest.raises(RemoteUnavailable, match="the connection broke"):
                if way == "open":
                    remote.open("one").read()
                else:
                    remote.get_file("one", tmp_path / "target")
        assert not (tmp_path / "target").exists()

    def test_slow_line_is_no_failure_while_a_part_is_sent(self, tmp_path) -> None:
        """The time to read does not count while a large body goes out."""
        (tmp_path / "large").write_bytes(bytes(3 << 20))
        with slow_server() as endpoint:
            options = S3Options(endpoint_url=endpoint, read_timeout=0.5, **KEYS)
            S3Remote(("bucket", ""), options).put_file("one", tmp_path / "large")


class Answering:
    """A server of one thread per connection that runs *handle* with each."""

    def __init__(self, handle) -> None:
        self._handle = handle
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)

    def __enter__(self) -> str:
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._handle(connection)


def cutting_server() -> Answering:
    def handle(connection: socket.socket) -> None:
        connection.recv(1 << 16)
        head = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nLast-Modified: Tue, 24 Nov 2026 03:30:29 GMT\r\n'
        connection.sendall(head + b"Content-Length: 1000\r\n\r\n" + b"x" * 100)

    return Answering(handle)


def slow_server() -> Answering:
    def handle(connection: socket.socket) -> None:
        got = connection.recv(1 << 16)
        head, _, body = got.partition(b"\r\n\r\n")
        left = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1]) - len(body)
        while left > 0:
            time.sleep(0.02)
            left -= len(connection.recv(1 << 16))
        connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 0\r\n\r\n')

    return Answering(handle)


class TestConditions:
    """A server that answers a conditional write as if it had no condition."""

    def test_found_out(self, s3_stub: Stub, source) -> None:
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **KEYS), RemoteScope("store"))
        assert remote.capabilities.if_absent
        answers = {"HEAD": 404, "PUT": 200}
        s3_stub.by_method(answers, etag='"x"')
        with pytest.raises(RemoteError, match="ignores If-None-Match") as caught:
            remote.put_file("one", source, if_absent=True)
        assert "conditional_writes no" in str(caught.value.hint)
        assert [method for method, _ in s3_stub.requests] == ["HEAD", "PUT", "PUT"]
        assert not remote.capabilities.if_absent
        assert ("conditional writes", "not honoured") in remote.describe_access()

    def test_nothing_is_replaced_to_find_out(self, s3_stub: Stub, source) -> None:
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **KEYS))
        s3_stub.reply(200, Last_Modified="Tue, 24 Nov 2026 03:30:29 GMT", ETag='"x"')
        with pytest.raises(RemoteExists):
            remote.put_file("one", source, if_absent=True)
        assert [method for method, _ in s3_stub.requests] == ["HEAD"]

    def test_found_out_once(self, s3_stub: Stub, source) -> None:
        remote = S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **KEYS))
        s3_stub.by_method({"HEAD": 404, "PUT": 412})
        for _ in range(2):
            with pytest.raises(RemoteExists):
                remote.put_file("one", source, if_absent=True)
        assert [method for method, _ in s3_stub.requests] == ["HEAD", "PUT", "PUT"]

    def test_two_at_once(self, s3_stub: Stub, source) -> None:
        """S3 tells both of two that came at once to try again."""
        options = S3Options(endpoint_url=s3_stub.endpoint, conditional_writes="yes", **KEYS)
        s3_stub.reply(409, "ConditionalRequestConflict")
        with pytest.raises(RemoteUnavailable):
            S3Remote(("bucket", ""), options).put_file("one", source, if_absent=True)

    def test_switched_off(self, s3_stub: Stub, source) -> None:
        options = S3Options(endpoint_url=s3_stub.endpoint, conditional_writes="no", **KEYS)
        remote = S3Remote(("bucket", ""), options)
        assert not remote.capabilities.if_absent
        s3_stub.reply(200, ETag='"x"')
        remote.put_file("one", source, if_absent=True)
        assert "If-None-Match" not in s3_stub.seen[0]


def test_hook_module_is_light() -> None:
    code = (
        "import sys, kist; before = set(sys.modules); import kist_s3\n"
        "print([one for one in set(sys.modules) - before if not one.startswith('kist')])\n"
        "print(any(one.split('.')[0] in ('obstore', 'botocore') for one in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "False"


def test_opening_needs_no_sdk_and_no_network() -> None:
    code = (
        "import sys; from kist.abc import RemoteURL; from kist_s3.remote import S3Remote\n"
        "from kist_s3.options import S3Options; from kist.abc import RemoteScope\n"
        "S3Remote.from_url(RemoteURL.parse('s3://bucket/x'), S3Options(), RemoteScope()).close()\n"
        "print(any(one.split('.')[0] in ('obstore', 'botocore') for one in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"
