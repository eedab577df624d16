"""A server that gives the answers that S3's documentation tells of, for those that no server here can be brought to."""

import contextlib
from http.server import BaseHTTPRequestHandler

import pytest

from servers.serving import serving

KEY_NOT_FOUND = "NoSuchKey"


class Stub:
    """A running stub: ``reply`` says what every request gets.

    Attributes:
        endpoint: its URL.
        status: the HTTP status of every answer.
        code: the code of the XML body; "" for none.
        more: further XML in the body.
        headers: further headers.
        requests: (method, path) of every request so far.
        seen: the headers of every request so far.
        pages: path to text: what is answered there, whatever else is set.
    """

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.requests, self.seen, self.pages = [], [], {}
        self.reply(404, KEY_NOT_FOUND)

    def reply(self, status, code="", more="", **headers):
        """Answer like this from now on; underscores in the names of headers are hyphens."""
        self.status, self.code, self.more = status, code, more
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.statuses = {}

    def by_method(self, statuses, **headers):
        """Answer with a status for each method, without a body."""
        self.reply(500, **headers)
        self.statuses = statuses

    def body(self):
        """The XML of the answer."""
        if not self.code:
            return b""
        told = f"<Code>{self.code}</Code><Message>told by the documentation</Message>{self.more}"
        request = "<RequestId>4442587FB7D0A2F9</RequestId>"
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{told}{request}</Error>'.encode()


@contextlib.contextmanager
def running_stub():
    """A stub while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            stub.requests.append((self.command, self.path))
            stub.seen.append(dict(self.headers))
            page = stub.pages.get(self.path)
            body = stub.body() if page is None else page.encode()
            self.send_response(stub.statuses.get(self.command, stub.status) if page is None else 200)
            for name, value in {**stub.headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *words):
            """Nothing is logged."""

    with serving(Handler) as server:
        stub = Stub(f"http://127.0.0.1:{server.server_port}")
        yield stub


@pytest.fixture
def s3_stub():
    """A stub for one test."""
    with running_stub() as stub:
        yield stub
