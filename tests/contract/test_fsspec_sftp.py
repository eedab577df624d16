"""The contract of remotes for the fsspec bridge over SFTP, on a real OpenSSH server."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kist.abc import Capabilities, Remote, RemoteURL
from kist.remotes.fsspec import FsspecOptions, FsspecRemote
from kist.testing.overrides import overrides_contract
from kist.testing.remote import StrictRemoteContract
from servers import sshd
from servers.processes import python_module


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[sshd.Server]:
    python_module("paramiko", "paramiko")
    with sshd.running(tmp_path_factory.mktemp("sshd")) as found:
        yield found


def rename(filesystem, source, target) -> None:
    filesystem.ftp.posix_rename(source, target)


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:paramiko")
class TestFsspecSftp(StrictRemoteContract):
    many = 120

    @overrides_contract("one connection bears one thread, so who reads has a connection of its own")
    def test_replacing_is_one_step(self, remote, second, tmp_path) -> None:
        versions = [secrets.token_bytes(200_000) for _ in range(2)]
        for number, data in enumerate(versions):
            (tmp_path / str(number)).write_bytes(data)
        remote.put_file("objects/one", tmp_path / "0")
        seen = []

        def look() -> None:
            for _ in range(12):
                with second.open("objects/one") as reader:
                    seen.append(reader.read() in versions)

        looking = threading.Thread(target=look)
        looking.start()
        for number in range(1, 9):
            remote.put_file("objects/one", tmp_path / str(number % 2))
        looking.join()
        assert seen == [True] * 12

    @pytest.fixture
    def folder(self, tmp_path_factory) -> Path:
        return tmp_path_factory.mktemp(f"store-{secrets.token_hex(4)}")

    def at(self, server, folder) -> FsspecRemote:
        found = {"key_filename": str(server.key), "look_for_keys": False, "allow_agent": False}
        url = RemoteURL("sftp", "127.0.0.1", str(folder), server.user, server.port)
        facts = Capabilities(max_concurrency=1, cheap_list=False)  # its threads would share one channel
        options = FsspecOptions(storage_options=json.dumps(found))
        return FsspecRemote("sftp", url, options, capabilities=facts, move=rename)

    @pytest.fixture
    def remote(self, server, folder) -> Iterator[Remote]:
        with closing(self.at(server, folder)) as remote:
            yield remote

    @pytest.fixture
    def second(self, server, folder) -> Iterator[Remote]:
        with closing(self.at(server, folder)) as remote:
            yield remote
