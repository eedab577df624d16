"""The contract of remotes for the fsspec bridge over WebDAV, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest

from kist.abc import Capabilities, Remote, RemoteURL
from kist.remotes.fsspec import FsspecOptions, FsspecRemote
from kist.testing.remote import StrictRemoteContract
from servers.processes import free_port
from servers.webdav import Raw, webdav  # noqa: F401 (a fixture)


def remote_at(name, arguments) -> Remote:
    options = FsspecOptions(storage_options=json.dumps(arguments))
    facts = Capabilities(cheap_list=False, atomic_put=False)
    url = RemoteURL.parse(f"webdav://{name}")
    return FsspecRemote("webdav", url, options, capabilities=facts, move=rename)


def rename(filesystem, source, target) -> None:
    filesystem.client.move(source, target, overwrite=True)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:webdav4")
class TestFsspecWebdav(StrictRemoteContract):
    many = 120

    @pytest.fixture
    def folder(self, webdav) -> str:  # noqa: F811
        return webdav.make_folder()

    @pytest.fixture
    def remote(self, webdav, folder) -> Iterator[Remote]:  # noqa: F811
        with closing(remote_at(folder, webdav.arguments())) as remote:
            yield remote

    @pytest.fixture
    def second(self, webdav, folder) -> Iterator[Remote]:  # noqa: F811
        with closing(remote_at(folder, webdav.arguments())) as remote:
            yield remote

    @pytest.fixture
    def raw(self, webdav, folder) -> Raw:  # noqa: F811
        return Raw(webdav.folder / folder)

    @pytest.fixture
    def broken_credentials(self, webdav, folder) -> Iterator[Remote]:  # noqa: F811
        with closing(remote_at(folder, webdav.arguments(password="wrong-4711"))) as remote:
            yield remote

    @pytest.fixture
    def unreachable(self, webdav, folder) -> Iterator[Remote]:  # noqa: F811
        with closing(remote_at(folder, webdav.arguments(port=free_port()))) as remote:
            yield remote

    @pytest.fixture
    def secrets(self, webdav) -> tuple[str, ...]:  # noqa: F811
        return (webdav.password, "wrong-4711")
