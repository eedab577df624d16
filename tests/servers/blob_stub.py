"""A stub of Azure Blob Storage that refuses everything with one of the replies that Microsoft documents.

For what an emulator cannot answer. It was written from the documentation, and not checked against Azure.
"""

import contextlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Reply:
    """What the service answers.

    Args:
        status: HTTP status.
        code: error code of the service.
        text: its message.
        headers: further headers.
        details: further elements of the body, by name.
    """

    status: int
    code: str
    text: str
    headers: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)

    def body(self):
        """The XML that comes with it."""
        rest = "".join(f"<{name}>{value}</{name}>" for name, value in self.details.items())
        text = f"{self.text}\nRequestId:00000000-0000-0000-0000-000000000000\nTime:2026-01-01T00:00:00.0000000Z"
        error = f"<Error><Code>{self.code}</Code><Message>{text}</Message>{rest}</Error>"
        return f'<?xml version="1.0" encoding="utf-8"?>{error}'.encode()


_AUTHENTICATE = (
    "Server failed to authenticate the request. Make sure the value of Authorization header is formed correctly "
    "including the signature."
)

REPLIES = {
    "wrong key": Reply(
        403,
        "AuthenticationFailed",
        _AUTHENTICATE,
        details={"AuthenticationErrorDetail": "The MAC signature found in the HTTP request is not the same as any."},
    ),
    "expired SAS": Reply(
        403,
        "AuthenticationFailed",
        _AUTHENTICATE,
        details={"AuthenticationErrorDetail": "Signature not valid in the specified time frame: Start - Expiry"},
    ),
    "no credentials": Reply(401, "NoAuthenticationInformation", _AUTHENTICATE),
    "anonymous forbidden": Reply(
        409, "PublicAccessNotPermitted", "Public access is not permitted on this storage account."
    ),
    "anonymous, private container": Reply(404, "ResourceNotFound", "The specified resource does not exist."),
    "no role": Reply(
        403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation."
    ),
    "firewall": Reply(403, "AuthorizationFailure", "This request is not authorized to perform this operation."),
    "keys forbidden": Reply(
        403, "KeyBasedAuthenticationNotPermitted", "Key based authentication is not permitted on this storage account."
    ),
    "disabled account": Reply(403, "AccountIsDisabled", "The specified account is disabled."),
    "no container": Reply(404, "ContainerNotFound", "The specified container does not exist."),
    "container being deleted": Reply(
        409, "ContainerBeingDeleted", "The specified container is being deleted. Try operation later."
    ),
    "busy": Reply(503, "ServerBusy", "The server is busy.", headers={"Retry-After": "7"}),
    "damaged on the way": Reply(
        400, "Md5Mismatch", "The MD5 value specified in the request did not match the MD5 calculated by the server."
    ),
    "internal error": Reply(500, "InternalError", "The server encountered an internal error. Please retry."),
    "unknown": Reply(418, "SomethingNew", "What was not documented when this was written."),
}
"""The replies, by what is wrong."""


class BlobStub:
    """A running stub.

    Attributes:
        reply: what everything is answered with.
        requests: (method, path) of all that was asked.
    """

    def __init__(self, reply):
        self.reply = reply
        self.requests = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self):
                stub.requests.append((self.command, self.path))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = stub.reply.body()
                self.send_response(stub.reply.status, stub.reply.text)
                self.send_header("x-ms-error-code", stub.reply.code)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                for name, value in stub.reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer

            def log_message(self, *_arguments):
                """Tell nobody."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}/account1"


@contextlib.contextmanager
def blob_stub(reply):
    """Run a stub while the block runs."""
    stub = BlobStub(reply)
    thread = threading.Thread(target=stub.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        stub.server.shutdown()
        stub.server.server_close()
        thread.join()
