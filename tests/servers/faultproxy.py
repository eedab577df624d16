"""A proxy between a client and a server on this machine that does harm on purpose: slow, cut, damaged, overloaded.

It relays any TCP connection; with ``http=True`` it understands requests and answers, so that it can also answer with an
error itself, cut an answer short or flip a byte in it. What it does stands in :class:`Faults` and may be changed while
it runs; what went through it is counted.
"""

import contextlib
import itertools
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

PIECE = 1 << 16


@dataclass
class Faults:
    """What goes wrong; by default nothing.

    Args:
        latency: seconds by which whatever goes up and whatever comes down is late.
        bandwidth: bytes a second of all connections and both directions together, None for no limit.
        cut_every: bytes of traffic after which all connections are reset, again and again; None for never.
        cuts: how many such cuts are left, None for any number.
        refuse: close every new connection at once.
        black_hole: take everything and answer nothing.
        half_close: after this many bytes from the server tell the client nothing more and end only our half.
        half_close_up: after this many bytes to the server tell it nothing more, and let it answer what it likes.
        status: (HTTP) the status that every nth request gets instead of an answer.
        status_every: (HTTP) that n; 0 for never.
        status_after: (HTTP) every request after so many gets that status, as when a credential is revoked; None for never.
        retry_after: (HTTP) the ``Retry-After`` header of such an answer, None for none.
        truncate_every: (HTTP) of every nth answer with more than 1 KiB only half comes; 0 for never.
        flip_every: (HTTP) in every nth answer with more than 1 KiB one byte is another; 0 for never.
        methods: (HTTP) the methods that the last six touch; None for all.
    """

    latency: float = 0.0
    bandwidth: float | None = None
    cut_every: int | None = None
    cuts: int | None = None
    refuse: bool = False
    black_hole: bool = False
    half_close: int | None = None
    half_close_up: int | None = None
    status: int = 503
    status_every: int = 0
    status_after: int | None = None
    retry_after: str | None = None
    truncate_every: int = 0
    flip_every: int = 0
    methods: tuple[str, ...] | None = None


class Cut(Exception):
    """This connection is to end now."""


@dataclass
class Traffic:
    """What went through.

    Attributes:
        up: bytes to the server.
        down: bytes from the server that were passed on.
        connections: accepted.
        requests: (HTTP) seen.
        resets: times at which all connections were cut.
        refusals: (HTTP) answers that were errors of ours.
        damaged: (HTTP) answers that were cut short or changed.
    """

    up: int = 0
    down: int = 0
    connections: int = 0
    requests: int = 0
    resets: int = 0
    refusals: int = 0
    damaged: int = 0

    @property
    def moved(self):
        """Bytes both ways."""
        return self.up + self.down


@dataclass
class FaultProxy:
    """Relays connections to a port of this machine.

    Args:
        target: the server's port.
        http: whether to understand HTTP/1.1.
        faults: what goes wrong.

    Attributes:
        port: where to connect to.
        traffic: what went through.
    """

    target: int
    http: bool = False
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self):
        self.traffic = Traffic()
        self._lock = threading.Lock()
        self._open = set()
        self._since_cut = 0
        self._cuts_made = 0
        self._free_at = 0.0
        self._bodies = itertools.count(1)
        self._ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="faultproxy").start()

    def close(self):
        """End all connections and take no more."""
        self._ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self):
        """Reset every connection."""
        with self._lock:
            ends, self._open = self._open, set()
            self._cuts_made += 1
        for end in ends:
            reset(end)

    def _accept(self):
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.traffic.connections += 1
            if self.faults.refuse:
                reset(client)
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True, name="faultproxy").start()

    def _serve(self, client):
        ends = [client]
        with self._lock:
            self._open.add(client)
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.faults.black_hole:
                while client.recv(PIECE):
                    pass
                return
            server = socket.create_connection(("127.0.0.1", self.target), 30)
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server.settimeout(None)
            ends.append(server)
            with self._lock:
                self._open.add(server)
            if self.http:
                HttpRelay(self, client, server).run()
            else:
                self._relay(client, server)
        except (OSError, Cut):
            pass
        finally:
            with self._lock:
                self._open.difference_update(ends)
            for end in ends:
                end.close()

    def _relay(self, client, server):
        before = self._cuts_made

        def pump(source, target, *, up):
            passed = 0
            with contextlib.suppress(OSError, Cut):
                while data := source.recv(PIECE):
                    passed += len(data)
                    if not up and self.faults.half_close is not None and passed > self.faults.half_close:
                        target.shutdown(socket.SHUT_WR)
                        self._ended.wait(3600)
                        return
                    if up and self.faults.half_close_up is not None and passed > self.faults.half_close_up:
                        target.shutdown(socket.SHUT_WR)
                        return
                    self.send(target, data, up=up)
                if self._cuts_made == before:
                    target.shutdown(socket.SHUT_WR)
                    return
            reset(source)
            reset(target)

        upward = threading.Thread(target=pump, args=(client, server), kwargs={"up": True}, daemon=True)
        upward.start()
        pump(server, client, up=False)
        upward.join()

    def send(self, target, data, *, up):
        """Pass bytes on, as late, slowly and incompletely as the faults say.

        Raises:
            Cut: now all connections are gone.
        """
        faults = self.faults
        if faults.latency:
            time.sleep(faults.latency)
        if faults.bandwidth:
            with self._lock:
                now = time.monotonic()
                self._free_at = max(self._free_at, now) + len(data) / faults.bandwidth
                wait = self._free_at - now
            time.sleep(wait)
        if self._is_cut(len(data)):
            self.cut()
            raise Cut
        with self._lock:  # before it goes: who has its answer may ask at once how much went
            if up:
                self.traffic.up += len(data)
            else:
                self.traffic.down += len(data)
        target.sendall(data)

    def _is_cut(self, amount):
        faults = self.faults
        with self._lock:
            if faults.cut_every is None or faults.cuts == 0:
                return False
            self._since_cut += amount
            if self._since_cut < faults.cut_every:
                return False
            self._since_cut = 0
            if faults.cuts is not None:
                faults.cuts -= 1
            self.traffic.resets += 1
            return True

    def next_body(self):
        """The number of the next answer that may be damaged."""
        with self._lock:
            return next(self._bodies)


class HttpRelay:
    """One HTTP/1.1 connection: a request up, an answer down, and again."""

    def __init__(self, proxy, client, server):
        self._proxy, self._client, self._server = proxy, client, server
        self._up, self._down = client.makefile("rb"), server.makefile("rb")

    def run(self):
        """Relay until one end has enough."""
        while (head := read_head(self._up)) is not None:
            method = head[0].split(b" ", 1)[0].decode("ascii", "replace")
            self._proxy.traffic.requests += 1
            if header(head, b"expect"):
                self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                head = [line for line in head if not line.lower().startswith(b"expect:")]
            if self._is_refused(method):
                for _ in body_of(self._up, head, b"0"):
                    pass
                self._refuse(method)
                continue
            self._pass(self._server, head, body_of(self._up, head, b"0"), up=True)
            if not self._answer(method):
                return

    def _is_refused(self, method):
        faults, traffic = self._proxy.faults, self._proxy.traffic
        touched = faults.methods is None or method in faults.methods
        late = faults.status_after is not None and traffic.requests > faults.status_after
        return touched and (late or (bool(faults.status_every) and traffic.requests % faults.status_every == 0))

    def _refuse(self, method):
        faults = self._proxy.faults
        self._proxy.traffic.refusals += 1
        text = b"" if method == "HEAD" else b"the proxy says no\n"
        after = f"Retry-After: {faults.retry_after}\r\n" if faults.retry_after is not None else ""
        head = f"HTTP/1.1 {faults.status} Refused\r\n{after}Content-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        self._proxy.send(self._client, head.encode() + text, up=False)

    def _answer(self, method):
        """Relay one answer; whether the connection goes on."""
        head = read_head(self._down)
        if head is None:
            return False
        status = int(head[0].split(b" ")[1])
        if status < 200:
            self._pass(self._client, head, (), up=False)
            return self._answer(method)
        empty = method == "HEAD" or status in (204, 304)
        length = header(head, b"content-length")
        chunked = b"chunked" in (header(head, b"transfer-encoding") or b"").lower()
        body = () if empty else self._harmed(method, body_of(self._down, head, None), int(length or 0), chunked=chunked)
        self._pass(self._client, head, body, up=False)
        endless = not empty and length is None and not chunked
        return not endless and (header(head, b"connection") or b"").lower() != b"close"

    def _harmed(self, method, pieces, length, *, chunked):
        faults = self._proxy.faults
        if length <= 1024 or chunked or (faults.methods is not None and method not in faults.methods):
            yield from pieces
            return
        number = self._proxy.next_body()
        short = faults.truncate_every and number % faults.truncate_every == 0
        flipped = faults.flip_every and number % faults.flip_every == 0
        self._proxy.traffic.damaged += bool(short or flipped)
        at, passed = length // 2, 0
        for piece in pieces:
            if flipped and passed <= at < passed + len(piece):
                changed = bytearray(piece)
                changed[at - passed] ^= 1
                piece = bytes(changed)
            if short and passed + len(piece) > at:
                self._proxy.send(self._client, piece[: at - passed], up=False)
                self._client.shutdown(socket.SHUT_WR)
                raise Cut
            passed += len(piece)
            yield piece

    def _pass(self, target, head, body, *, up):
        self._proxy.send(target, b"\r\n".join(head) + b"\r\n\r\n", up=up)
        for piece in body:
            self._proxy.send(target, piece, up=up)


def read_head(stream):
    """The lines of a request's or answer's head, None at the end of the connection."""
    lines = []
    while True:
        line = stream.readline(PIECE)
        if not line.endswith(b"\n"):
            return None
        line = line.rstrip(b"\r\n")
        if line:
            lines.append(line)
        elif lines:
            return lines


def header(head, name):
    """The value of a header, None if it is not there."""
    for line in head[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return None


def body_of(stream, head, default):
    """The pieces of a body as they stand on the wire; without any length it has *default* bytes, or goes to the end."""
    if b"chunked" in (header(head, b"transfer-encoding") or b"").lower():
        while True:
            line = stream.readline(PIECE)
            size = int(line.split(b";")[0], 16)
            yield line
            yield stream.read(size + 2) if size else stream.readline(PIECE)
            if not size:
                return
    length = header(head, b"content-length") or default
    left = int(length) if length is not None else 1 << 62
    while left and (piece := stream.read1(min(left, PIECE))):
        left -= len(piece)
        yield piece
    if left and length is not None:
        raise Cut


def reset(end):
    """End a connection by RST, as a broken line does."""
    with contextlib.suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RD)
    end.close()


@contextlib.contextmanager
def proxied(target, *, http=False, **faults):
    """A proxy to a port of this machine while the block runs.

    Args:
        target: the server's port.
        http: whether to understand HTTP/1.1.
        faults: the first values of :class:`Faults`.
    """
    proxy = FaultProxy(target, http, Faults(**faults))
    try:
        yield proxy
    finally:
        proxy.close()
