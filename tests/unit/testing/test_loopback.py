"""The suite's own guard: connections and look-ups beyond this machine fail at once, those on it work."""

import errno
import os
import socket
import urllib.error
import urllib.request

import pytest


@pytest.mark.parametrize("address", ["192.0.2.1", "8.8.8.8", "10.0.0.1"])
def test_other_machines_are_unreachable(address):
    with socket.socket() as one:
        one.settimeout(0.5)
        with pytest.raises(OSError, match="stay on loopback") as caught:
            one.connect((address, 80))
        assert caught.value.errno == errno.ENETUNREACH
        assert one.connect_ex((address, 80)) == errno.ENETUNREACH
    with pytest.raises(OSError, match="stay on loopback"):
        socket.create_connection((address, 80), timeout=0.5)


def test_datagrams_stay_here():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, pytest.raises(OSError, match="stay on loopback"):
        one.sendto(b"x", ("192.0.2.1", 53))
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as one, pytest.raises(OSError, match="stay on loopback"):
        one.connect(("2001:db8::1", 80))


def test_names_are_not_looked_up():
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("example.invalid", 80)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen("http://example.invalid/", timeout=1)


def test_this_machine_can_be_reached(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with socket.create_connection((host, port), timeout=5):
                server.accept()[0].close()
    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as one:
            server.bind("here")
            server.listen()
            one.connect("here")
            server.accept()[0].close()
    finally:
        os.chdir(before)
