"""No test reaches beyond this machine: what a test would do on the network fails as it does on a machine without one."""

import errno
import ipaddress
import os
import socket
from contextlib import contextmanager

import pytest


def is_here(family, address):
    """Whether an address is on this machine."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return True  # Unix sockets and what the kernel offers to processes of this machine
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host in ("", "localhost", None):
        return True
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False  # a name, which somebody else would have to be asked for
    found = getattr(found, "ipv4_mapped", None) or found
    return found.is_loopback or found.is_unspecified


def _refusal(address):
    return OSError(errno.ENETUNREACH, f"{os.strerror(errno.ENETUNREACH)} (tests stay on loopback, not {address!r})")


@contextmanager
def only_loopback():
    """While it is open, sockets of this process connect and send to this machine alone, and names are not looked up."""
    connect, connect_ex, sendto = socket.socket.connect, socket.socket.connect_ex, socket.socket.sendto
    lookup = socket.getaddrinfo

    def checked_connect(self, address):
        if not is_here(self.family, address):
            raise _refusal(address)
        return connect(self, address)

    def checked_connect_ex(self, address):
        return connect_ex(self, address) if is_here(self.family, address) else errno.ENETUNREACH

    def checked_sendto(self, data, *rest):
        if not is_here(self.family, rest[-1]):
            raise _refusal(rest[-1])
        return sendto(self, data, *rest)

    def checked_lookup(host, *rest, **more):
        if not is_here(socket.AF_INET, (host,)) and not _is_number(host):
            raise socket.gaierror(
                socket.EAI_NONAME, f"Name or service not known (tests look up no names, not {host!r})"
            )
        return lookup(host, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", checked_connect)
        patch.setattr(socket.socket, "connect_ex", checked_connect_ex)
        patch.setattr(socket.socket, "sendto", checked_sendto)
        patch.setattr(socket, "getaddrinfo", checked_lookup)
        yield


def _is_number(host):
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
