"""An S3 server for files larger than its memory: of a large object it keeps the length and how it begins.

What it hands out again is that beginning and the rest of one known block, so that a file whose segments are such blocks
(see ``block``) comes back as it went. It checks no signature.
"""

import contextlib
import random
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from servers.serving import serving

KEPT = 1 << 20
"""Bytes up to which an object is kept as it is."""
LONGEST = 16 << 20
_HEAD = 8
_BASE = random.Random(8).randbytes(LONGEST)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def block(number, length):
    """The bytes of a block, different for each number; only what consists of such is handed out as it came."""
    return number.to_bytes(_HEAD, "big") + _BASE[_HEAD:length]


@dataclass
class Sink:
    """A running sink.

    Attributes:
        endpoint: its URL.
        objects: key -> the bytes, or how they begin and how many there are.
        received: bytes of all that was put.
        sent: bytes of all that was got.
    """

    endpoint: str
    objects: dict = field(default_factory=dict)
    received: int = 0
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_PUT(self):
        length = int(self.headers["Content-Length"])
        kept, left = bytearray(), length
        while left and (piece := self.rfile.read(min(left, 1 << 18))):
            left -= len(piece)
            if length <= KEPT or len(kept) < _HEAD:
                kept += piece
        self.server.sink.objects[self._key()] = bytes(kept) if length <= KEPT else (bytes(kept[:_HEAD]), length)
        self.server.sink.received += length
        self._answer(200, ETag='"none"')

    def do_GET(self):
        if "list-type" in parse_qs(urlsplit(self.path).query):
            self._answer(200, _listing(sorted(self.server.sink.objects)))
            return
        found = self.server.sink.objects.get(self._key())
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        size = len(found) if isinstance(found, bytes) else found[1]
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start, stop = (int(asked[1]), min(size, int(asked[2] or size) + 1)) if asked else (0, size)
        told = {"Content-Range": f"bytes {start}-{stop - 1}/{size}"} if asked else {}
        self._head(206 if asked else 200, stop - start, told)
        if isinstance(found, bytes):
            self.wfile.write(found[start:stop])
        else:
            self.wfile.write(found[0][start:stop])
            self.wfile.write(memoryview(_BASE)[max(start, _HEAD) : stop])
        self.server.sink.sent += stop - start

    def do_HEAD(self):
        found = self.server.sink.objects.get(self._key())
        if found is None:
            self._head(404, 0, {})
        else:
            self._head(200, len(found) if isinstance(found, bytes) else found[1], {})

    def _key(self):
        return unquote(urlsplit(self.path).path).partition("/bucket/")[2]

    def _answer(self, status, body=b"", **headers):
        self._head(status, len(body), headers)
        self.wfile.write(body)

    def _head(self, status, length, headers):
        self.send_response(status)
        told = {"Last-Modified": "Sun, 01 Feb 2026 00:00:00 GMT", "ETag": '"none"', "Content-Length": length}
        for name, value in {**told, **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()

    def log_message(self, *words):
        """Nothing is logged."""


@contextlib.contextmanager
def running_sink():
    """A sink with a bucket ``bucket`` while the block runs."""
    with serving(_Handler) as server:
        server.sink = Sink(f"http://127.0.0.1:{server.server_port}")
        yield server.sink


def _listing(keys):
    contents = "".join(
        f"<Contents><Key>{key}</Key><LastModified>2026-02-01T00:00:00.000Z</LastModified>"
        '<ETag>"none"</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>'
        for key in keys
    )
    told = f"<Name>bucket</Name><KeyCount>{len(keys)}</KeyCount><IsTruncated>false</IsTruncated>{contents}"
    return f"<ListBucketResult>{told}</ListBucketResult>".encode()
