"""The user's consent: a page of Google's in the browser, and an answer that comes back to this machine."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oauth2client.client import OAuth2WebServerFlow

from kist.errors import RemoteAuthError

_WAIT = 10.0
"""Seconds that the answer may take after the user said at the terminal that it was given."""

_PAGE = b"<html><body><p>Thank you. Go back to the terminal and press Enter.</p></body></html>"

_QUESTION = """To let kist use your Google Drive, open this address in a browser and allow it:

  {url}

Then come back and press Enter. If the browser is on another machine, its last page will not load: paste that page's
address here. > """

Answer = dict[str, str]


class _Loopback(HTTPServer):
    """Waits on this machine for the browser to come back."""

    allow_reuse_address = False

    def __init__(self) -> None:
        self.answers: queue.Queue[Answer] = queue.Queue()
        super().__init__(("127.0.0.1", 0), _Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answer = _answer_in(self.path)
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if answer and isinstance(self.server, _Loopback):
            self.wfile.write(_PAGE)
            self.server.answers.put(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address holds a code."""


def ask_for_consent(client_id: str, client_secret: str, scope: str, prompt: Callable[[str], str], http: Any) -> Any:
    """Ask the user at the terminal to consent in a browser.

    Args:
        client_id: the OAuth client's id.
        client_secret: its secret.
        scope: what to ask for.
        prompt: shows a text and returns what is typed.
        http: for the exchange of the code.

    Returns:
        The OAuth2Credentials.

    Raises:
        RemoteAuthError: no answer, a refusal, or an answer to another question.
        FlowExchangeError: the code was not accepted.
    """
    server = _Loopback()
    try:
        state = secrets.token_urlsafe(24)
        flow = OAuth2WebServerFlow(
            client_id,
            client_secret,
            scope,
            redirect_uri=f"http://127.0.0.1:{server.server_port}/",
            pkce=True,
            access_type="offline",
            prompt="consent",
        )
        typed = prompt(_QUESTION.format(url=flow.step1_get_authorize_url(state=state))).strip()
        answer = _pasted(typed) if typed else _waited(server)
    finally:
        server.stop()
    if answer.get("state") != state:
        raise RemoteAuthError("the answer of the browser belongs to another question", hint="start again")
    if "code" not in answer:
        raise RemoteAuthError(f"the consent was not given: {answer.get('error', 'no code')}", hint="start again")
    return flow.step2_exchange(answer["code"], http=http)


def _waited(server: _Loopback) -> Answer:
    try:
        return server.answers.get(timeout=_WAIT)
    except queue.Empty:
        hint = "start again, and press Enter when the browser says so, or paste the address of its last page"
        raise RemoteAuthError("no answer came from the browser", hint=hint) from None


def _pasted(typed: str) -> Answer:
    answer = _answer_in(typed)
    if not answer:
        raise RemoteAuthError("what was pasted is not the address of the browser's last page", hint="start again")
    return answer


def _answer_in(address: str) -> Answer:
    """The answer in an address; empty where it has none, as when a browser asks for an icon."""
    found = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    return found if "state" in found or "error" in found else {}
