"""The fault proxy does exactly the harm that it is asked for, and none otherwise."""

import contextlib
import http.client
import http.server
import socket
import threading
import time

import pytest

from servers.faultproxy import proxied

BODY = bytes(range(256)) * 1000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (BODY[:1000], BODY[1000:], b""):
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            return
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()

    def do_PUT(self):
        self.server.got = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def echo():
    """A server that sends back what it gets."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                end, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(end,), daemon=True).start()

    def answer(end):
        with end, contextlib.suppress(OSError):
            while data := end.recv(1 << 16):
                end.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def get(proxy, path="/", method="GET", body=None):
    connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def talk(proxy, data, timeout=5):
    with socket.create_connection(("127.0.0.1", proxy.port), timeout) as end:
        end.sendall(data)
        got = b""
        while len(got) < len(data) and (piece := end.recv(1 << 16)):
            got += piece
        return got


@pytest.mark.parametrize("http_mode", [True, False])
def test_without_faults_it_changes_nothing(web, http_mode):
    with proxied(web.server_port, http=http_mode) as proxy:
        assert get(proxy)[2] == BODY
        assert get(proxy, "/chunked")[2] == BODY
        assert get(proxy, method="HEAD")[0] == 200
        assert get(proxy, method="PUT", body=BODY)[0] == 204
        assert web.got == BODY
        assert proxy.traffic.down > 2 * len(BODY)
        assert proxy.traffic.up > len(BODY)
        assert proxy.traffic.requests == (4 if http_mode else 0)


def test_many_requests_on_one_connection(web):
    with proxied(web.server_port, http=True) as proxy:
        connection = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=5)
        for path in ("/", "/chunked", "/"):
            connection.request("GET", path)
            assert connection.getresponse().read() == BODY
        connection.close()
        assert proxy.traffic.connections == 1


def test_every_nth_request_is_refused(web):
    with proxied(web.server_port, http=True, status=429, status_every=3, retry_after="2") as proxy:
        answers = [get(proxy) for _ in range(6)]
        assert [status for status, _, _ in answers] == [200, 200, 429, 200, 200, 429]
        assert answers[2][1]["Retry-After"] == "2"
        assert get(proxy, method="PUT", body=BODY)[0] == 204
        proxy.faults.methods = ("PUT",)
        assert [get(proxy)[0] for _ in range(6)] == [200] * 6


def test_every_nth_answer_is_cut_short(web):
    with proxied(web.server_port, http=True, truncate_every=2) as proxy:
        assert get(proxy)[2] == BODY
        with pytest.raises(http.client.IncompleteRead) as caught:
            get(proxy)
        assert caught.value.partial == BODY[: len(BODY) // 2]


def test_every_nth_answer_has_another_byte(web):
    with proxied(web.server_port, http=True, flip_every=2) as proxy:
        assert get(proxy)[2] == BODY
        other = get(proxy)[2]
        assert sum(one != two for one, two in zip(other, BODY, strict=True)) == 1
        assert proxy.traffic.damaged == 1


def test_latency_and_bandwidth(echo):
    with proxied(echo, latency=0.1) as proxy:
        began = time.monotonic()
        assert talk(proxy, b"x") == b"x"
        assert time.monotonic() - began >= 0.2
    with proxied(echo, bandwidth=1 << 20) as proxy:
        began = time.monotonic()
        assert talk(proxy, bytes(200_000)) == bytes(200_000)
        assert time.monotonic() - began >= 0.3


def test_cuts_after_so_many_bytes_and_so_many_times(echo):
    with proxied(echo, cut_every=100_000, cuts=2) as proxy:
        failed = 0
        for _ in range(6):
            try:
                assert talk(proxy, bytes(50_000)) == bytes(50_000)
            except OSError:
                failed += 1
        assert failed == proxy.traffic.resets == 2


def test_refused_and_swallowed_connections(echo):
    with proxied(echo, refuse=True) as proxy:
        with pytest.raises(ConnectionError):
            talk(proxy, b"x")
        proxy.faults.refuse = False
        assert talk(proxy, b"x") == b"x"
        proxy.faults.black_hole = True
        with pytest.raises(TimeoutError):
            talk(proxy, b"x", timeout=0.2)


def test_half_closed(echo):
    with proxied(echo, half_close=1000) as proxy:
        assert talk(proxy, b"x" * 500) == b"x" * 500
        assert len(talk(proxy, b"x" * 100_000)) < 100_000
