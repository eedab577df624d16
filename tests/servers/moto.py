"""moto: an emulator of S3 in memory. It checks neither signatures nor rights; it honours If-None-Match."""

import contextlib
import sys
from pathlib import Path

import pytest

from servers.processes import free_port, python_module, served
from servers.s3 import S3Server


@contextlib.contextmanager
def running_moto(folder):
    """A server while the block runs."""
    port = free_port()
    python_module("moto.server", "moto[server]")
    command = [sys.executable, "-P", str(Path(__file__).with_name("moto_server.py")), str(port)]
    environment = {"MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(64 << 20)}
    with served(command, folder, port, environment):
        yield S3Server(f"http://127.0.0.1:{port}", "moto-access-key-id", "moto-secret-access-key")


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    """A server for the whole session."""
    with running_moto(tmp_path_factory.mktemp("moto")) as server:
        yield server
