"""WsgiDAV, a WebDAV server over a folder, with one user; and a small plugin that makes a remote of it over fsspec."""

import base64
import contextlib
import json
import secrets
from pathlib import Path

import pytest

from servers.processes import free_port, python_module, served

USER = "kist"


class WebDav:
    """A running server.

    Args:
        port: where it listens.
        folder: what it serves.
        password: of its one user.
    """

    def __init__(self, port, folder, password):
        self.port, self.folder, self.password = port, folder, password

    def make_folder(self):
        """A fresh folder on the server: its name."""
        name = f"store-{secrets.token_hex(6)}"
        (self.folder / name).mkdir()
        return name

    def arguments(self, port=None, password=None):
        """The arguments of the fsspec filesystem.

        Args:
            port: another port that leads to the server.
            password: another password.
        """
        token = base64.b64encode(f"{USER}:{password or self.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}"}
        return {"base_url": f"http://127.0.0.1:{port or self.port}", "headers": headers, "timeout": 5}


class Raw:
    """A back door to a folder on the server."""

    def __init__(self, folder):
        self._folder = folder

    def write(self, key, data):
        """Store an object."""
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def read(self, key):
        """The object's bytes."""
        return (self._folder / key).read_bytes()

    def keys(self):
        """Every key, also of what is being written."""
        return [one.relative_to(self._folder).as_posix() for one in self._folder.rglob("*") if one.is_file()]


@contextlib.contextmanager
def running(folder):
    """A server while the block runs, over a new folder inside *folder*."""
    command = python_module("wsgidav.server.server_cli", "wsgidav cheroot")
    root, config, port = Path(folder, "root"), Path(folder, "wsgidav.json"), free_port()
    root.mkdir()
    password = secrets.token_hex(12)
    settings = {
        "host": "127.0.0.1",
        "port": port,
        "server": "cheroot",
        "provider_mapping": {"/": str(root)},
        "simple_dc": {"user_mapping": {"*": {USER: {"password": password}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "logging": {"enable": False},
        "verbose": 1,
    }
    config.write_text(json.dumps(settings))
    with served([*command, "--config", config], folder, port):
        yield WebDav(port, root, password)


@pytest.fixture(scope="session")
def webdav(tmp_path_factory):
    """The server of this session."""
    python_module("webdav4", "webdav4[fsspec]")
    with running(tmp_path_factory.mktemp("webdav")) as server:
        yield server


PLUGIN = '''\
"""webdav:// over fsspec: what a third party's plugin for it looks like."""

from kist import hookimpl


@hookimpl
def kist_remote_options(scheme):
    if scheme == "webdav":
        from kist.remotes.fsspec import FsspecOptions

        return FsspecOptions


@hookimpl
def kist_open_remote(url, options):
    if url.scheme == "webdav":
        from kist.abc import Capabilities
        from kist.remotes.fsspec import FsspecRemote

        facts = Capabilities(cheap_list=False, atomic_put=False)
        return FsspecRemote("webdav", url, options, capabilities=facts, move=rename)


def rename(filesystem, source, target):
    filesystem.client.move(source, target, overwrite=True)
'''


def install_plugin(folder):
    """Install the plugin into a folder that is to stand on ``PYTHONPATH``."""
    info = Path(folder, "kist_testdav-1.0.dist-info")
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kist-testdav\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kist.remotes]\nwebdav = kist_testdav\n")
    Path(folder, "kist_testdav.py").write_text(PLUGIN)
    return folder
