"""The server that the tests share."""

from servers.sshd import sshd

__all__ = ["sshd"]
