"""TLS in front of a plain server: a certificate that nobody signed, and a proxy that shows it."""

import contextlib
import datetime as dt
import ipaddress
import selectors
import socket
import ssl
import threading
from pathlib import Path

from servers.processes import unavailable


def self_signed(folder):
    """Make a key and a certificate for 127.0.0.1 that signs itself.

    It is marked as no authority: rustls takes none for a server's own.

    Args:
        folder: where they go.

    Returns:
        The paths of certificate and key, in PEM.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        unavailable("no module cryptography here: pip install cryptography")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    day = dt.timedelta(days=1)
    named = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(named, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    certificate, secret = Path(folder, "certificate.pem"), Path(folder, "key.pem")
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(key.private_bytes(*form, plain))
    return certificate, secret


@contextlib.contextmanager
def tls_proxy(port, certificate, key):
    """Pass TLS connections on to a plain port while the block runs; yields the proxy's own port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve():
        while not stop.is_set():
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=carry, args=(plain,), daemon=True).start()

    def carry(plain):
        with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
            opened.enter_context(plain)
            inner = opened.enter_context(context.wrap_socket(plain, server_side=True))
            outer = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            _join(inner, outer, stop)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _join(secure, plain, stop):
    """Carry bytes both ways until one side closes."""
    with selectors.DefaultSelector() as ready:
        ready.register(secure, selectors.EVENT_READ, plain)
        ready.register(plain, selectors.EVENT_READ, secure)
        while not stop.is_set():
            for chosen, _ in ready.select(0.5):
                while True:
                    data = chosen.fileobj.recv(1 << 16)
                    if not data:
                        return
                    chosen.data.sendall(data)
                    if chosen.fileobj is not secure or not secure.pending():
                        break
