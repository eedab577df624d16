"""A fake of Google Drive's API v2 on loopback, for clients that are not changed for it.

``python -m servers.drive_server PORT FOLDER`` answers as a proxy: a client with ``https_proxy=http://127.0.0.1:PORT``
and ``HTTPLIB2_CA_CERTS=FOLDER/ca.pem`` believes to speak with ``*.googleapis.com`` and ``accounts.google.com``. Tests
command it by plain HTTP (``POST /control``).

It is a fake: written after Google's documentation, and not checked against Google.
"""

import base64
import json
import re
import secrets
import socket
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from servers.drive_login import Login
from servers.drive_store import FOLDER, MY_DRIVE, USAGE, ApiError, Item, Store, not_found

LOCK = threading.RLock()


class State:
    """What all connections share."""

    store = login = context = None
    sessions, faults, log, recent = {}, [], [], []
    rate = None


class Proxy(BaseHTTPRequestHandler):
    """Plain HTTP: tunnels for clients, commands of tests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *_):
        pass

    def send(self, code, body=b"", headers=()):
        """Answer with bytes, or with anything else as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_CONNECT(self):
        self.send_response(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        try:
            with State.context.wrap_socket(self.connection, server_side=True) as inside:
                Drive(inside, self.client_address, self.server)
        except OSError:
            pass  # the client went away

    def do_POST(self):
        told = json.loads(self.body())
        with LOCK:
            self.send(200, getattr(Control, told.pop("do"))(**told))


class Control:
    """What tests may command."""

    @staticmethod
    def folder(parent=MY_DRIVE, title="place"):
        return State.store.add(Item(new_id(), title, FOLDER, parent, State.store.items[parent].drive)).id

    @staticmethod
    def drive(roles):
        return State.store.new_drive("shared", roles).id

    @staticmethod
    def tree(folder):
        found, pending = [], [("", folder)]
        while pending:
            path, name = pending.pop()
            for one in State.store.children.get(name, {}).values():
                if one.is_folder:
                    pending.append((f"{path}{one.title}/", one.id))
                found.append([f"{path}{one.title}", one.id, one.is_folder, one.trashed])
        return found

    @staticmethod
    def write(parent, title, data, kind="application/octet-stream", modified=None):
        made = Item(new_id(), title, kind, parent, State.store.items[parent].drive, base64.b64decode(data))
        made.modified = modified or made.modified
        return State.store.add(made).id

    @staticmethod
    def replace(name, data):
        State.store.update(State.store.items[name], base64.b64decode(data))

    @staticmethod
    def read(name):
        return base64.b64encode(State.store.items[name].data).decode()

    @staticmethod
    def remove(name):
        State.store.remove(State.store.items[name])

    @staticmethod
    def trash(name):
        State.store.trash(State.store.items[name])

    @staticmethod
    def move(name, parent):
        item = State.store.items[name]
        del State.store.children[item.parent][name]
        item.parent = parent
        State.store.children.setdefault(parent, {})[name] = item

    @staticmethod
    def faults(faults):
        State.faults[:] = faults

    @staticmethod
    def rate(limit):
        State.rate = limit

    @staticmethod
    def limits(**limits):
        State.store.limits.update(limits)

    @staticmethod
    def log():
        lines, State.log[:] = list(State.log), []
        return lines

    @staticmethod
    def living(seconds):
        State.login.living = seconds

    @staticmethod
    def answer(asked):
        return State.login.answered(asked)

    @staticmethod
    def forget(refresh=False):
        State.login.tokens.clear()
        if refresh:
            State.login.refreshing.clear()


class Drive(Proxy):
    """Inside a tunnel: the API, the token endpoint, and the page of consent."""

    def do_ANY(self):
        # Behind a proxy the client sends headers and body apart, and waits with the second until the first is known.
        if hasattr(socket, "TCP_QUICKACK"):
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        url = urllib.parse.urlsplit(self.path)
        asked = dict(urllib.parse.parse_qsl(url.query))
        line = f"{self.command} {self.headers.get('Host', '')}{self.path}"
        fault = self._fault(line)
        if self.headers.get("X-HTTP-Method-Override") == "GET":  # an address that was too long
            asked |= dict(urllib.parse.parse_qsl(self.body().decode()))
            self.command = "GET"
        try:
            if fault.get("drop"):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
            elif fault.get("status"):
                self.body()
                reason, headers = fault.get("reason", "backendError"), fault.get("headers", ())
                raise ApiError(fault["status"], reason, "planted", USAGE, headers)
            elif url.path == "/token":
                self.send(*State.login.grant(dict(urllib.parse.parse_qsl(self.body().decode()))))
            elif url.path.startswith("/o/oauth2/"):
                self._consent(url.path, asked)
            else:
                self._api(url.path, asked, fault)
        except ApiError as error:
            self.send(error.code, error.body, error.headers)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_ANY

    def _fault(self, line):
        with LOCK:
            State.log.append(line)
            for one in State.faults:
                if re.search(one["match"], line) and one.get("times", 1) > 0:
                    if one.get("skip", 0) > 0:
                        one["skip"] -= 1
                        continue
                    one["times"] = one.get("times", 1) - 1
                    return one
        return {}

    def _consent(self, path, asked):
        with LOCK:
            if path.endswith("/answer"):
                self.send(302, headers=[("Location", State.login.answered(asked))])
            else:
                code, text = State.login.page(asked)
                self.send(code, text.encode(), [("Content-Type", "text/html")])

    def _check(self):
        with LOCK:
            who = State.login.who(self.headers.get("Authorization"))
            now = time.monotonic()
            State.recent[:] = [one for one in State.recent if one > now - 1] + [now]
            over = State.rate is not None and len(State.recent) > State.rate
        if who is None:
            challenge = 'Bearer realm="https://accounts.google.com/", error="invalid_token"'
            raise ApiError(401, "authError", "Invalid Credentials", headers=[("WWW-Authenticate", challenge)])
        if over:
            raise ApiError(403, "userRateLimitExceeded", "User Rate Limit Exceeded", USAGE)
        return who

    def _api(self, path, asked, fault):
        try:
            who = self._check()
        except ApiError:
            self.body()
            raise
        match = re.fullmatch(r"(/upload)?/drive/v2/(files|about)(?:/([^/]+))?(?:/(trash|copy))?", path)
        if not match:
            self.body()
            raise ApiError(404, "notFound", "Not Found")
        upload, what, name, verb = match.groups()
        if what == "about":
            used = sum(len(one.data) for one in State.store.items.values())
            total = State.store.limits["bytes"] or 15 << 30
            told = {"user": {"emailAddress": who}, "quotaBytesTotal": str(total), "quotaBytesUsed": str(used)}
            self.send(200, told)
        elif upload:
            self._upload(name, asked, who)
        elif self.command == "GET" and asked.get("alt") == "media":
            self._media(name, asked, who, fault)
        else:
            body = self.body()
            with LOCK:
                told = self._metadata(name, verb, asked, json.loads(body or b"{}"), who)
            self.send(204 if told is None else 200, b"" if told is None else told)

    def _metadata(self, name, verb, asked, body, who):
        store, all_drives = State.store, asked.get("supportsAllDrives") == "true"
        if name is None:
            if self.command == "GET":
                return store.list(asked, who)
            return store.insert(body, b"", who, all_drives=all_drives).show()
        if verb == "trash":
            return store.trash(store.get_for_writing(name, who, all_drives=all_drives)).show()
        if verb == "copy":
            data = store.get(name, who, all_drives=all_drives).data
            return store.insert(body, data, who, all_drives=all_drives).show()
        if self.command == "DELETE":
            store.remove(store.get_for_writing(name, who, all_drives=all_drives, last=True))
            return None
        return store.get(name, who, all_drives=all_drives).show()

    def _media(self, name, asked, who, fault):
        with LOCK:
            item = State.store.get(name, who, all_drives=asked.get("supportsAllDrives") == "true")
            data = item.data
        if item.is_folder:
            raise ApiError(403, "fileNotDownloadable", "Only files with binary content can be downloaded.")
        if item.title.startswith("abusive") and asked.get("acknowledgeAbuse") != "true":
            raise ApiError(403, "cannotDownloadAbusiveFile", "This file has been identified as malware or spam.")
        if fault.get("corrupt") and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if not match:
            self.send(200, data)
            return
        start, last = int(match[1]), min(int(match[2]), len(data) - 1)
        if start > last:
            self.send(416, headers=[("Content-Range", f"bytes */{len(data)}")])
        else:
            self.send(206, data[start : last + 1], [("Content-Range", f"bytes {start}-{last}/{len(data)}")])

    # ── uploads ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _upload(self, name, asked, who):
        body = self.body()
        all_drives = asked.get("supportsAllDrives") == "true"
        if "upload_id" in asked:
            self._chunk(asked["upload_id"], body)
        elif asked.get("uploadType") == "resumable":
            with LOCK:
                told = json.loads(body or b"{}")
                self._may(name, told, who, all_drives)
                session = secrets.token_urlsafe(16)
                State.sessions[session] = [name, told, bytearray(), who]
            self.send(200, headers=[("Location", f"https://{self.headers['Host']}{self.path}&upload_id={session}")])
        else:
            told, data = parts_of(body, self.headers["Content-Type"])
            with LOCK:
                self._may(name, json.loads(told), who, all_drives)
                shown = self._store(name, json.loads(told), data, who).show()
            self.send(200, shown)

    def _may(self, name, told, who, all_drives):
        parent = (told.get("parents") or [{"id": MY_DRIVE}])[0]["id"]
        State.store.get_for_writing(name or parent, who, all_drives=all_drives)

    def _store(self, name, told, data, who):
        if name is None:
            return State.store.insert(told, data, who)
        return State.store.update(State.store.get(name, who), data)

    def _chunk(self, session, body):
        with LOCK:
            if session not in State.sessions:
                raise not_found("upload session")
            name, told, data, who = State.sessions[session]
            match = re.fullmatch(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)", self.headers["Content-Range"])
            if body and int(match[1]) != len(data):
                raise ApiError(400, "badRequest", "Bytes are missing before this range.")
            if body and len(body) % 262144 and len(data) + len(body) != int(match[3]):
                raise ApiError(400, "badRequest", "Chunks must be multiples of 256 KiB.")
            data += body
            if len(data) < int(match[3]):
                self.send(308, headers=[("Range", f"bytes=0-{len(data) - 1}")] if data else [])
                return
            del State.sessions[session]
            shown = self._store(name, told, bytes(data), who).show()
        self.send(200, shown)


def new_id():
    return "1" + secrets.token_urlsafe(16)


def parts_of(body, kind):
    """The contents of the two parts of a body, byte for byte."""
    boundary = re.search(r'boundary="?([^";]+)', kind)[1].encode()
    found = []
    for part in body.split(b"--" + boundary)[1:-1]:
        start = re.search(rb"\r?\n\r?\n", part).end()
        found.append(part[start:-2] if part.endswith(b"\r\n") and b"\r\n" in part[:start] else part[start:-1])
    return found


def certificates(folder):
    """A throw-away authority and a certificate of it for Google's hosts; returns the server's side of TLS."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    def made(subject, issuer, key, signing, *extensions):
        name = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, one)]) for one in (subject, issuer)]
        builder = x509.CertificateBuilder(name[1], name[0], key.public_key(), x509.random_serial_number())
        now = datetime.now(UTC)
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=2))
        for one, critical in extensions:
            builder = builder.add_extension(one, critical)
        return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    root, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key())
    names = x509.SubjectAlternativeName([x509.DNSName(one) for one in ("*.googleapis.com", "accounts.google.com")])
    identity = x509.SubjectKeyIdentifier.from_public_key(root.public_key())
    basic = x509.BasicConstraints(True, 0)
    authority = made("tests", "tests", root, root, (basic, True), (usage, True), (identity, False))
    (folder / "ca.pem").write_bytes(authority)
    plain = serialization.NoEncryption()
    key = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (folder / "server.pem").write_bytes(key + made("fake", "tests", own, root, (names, False), (known, False)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    place = Path(sys.argv[2])
    State.store, State.login, State.context = Store(), Login(place), certificates(place)
    Server(("127.0.0.1", int(sys.argv[1])), Proxy).serve_forever()
