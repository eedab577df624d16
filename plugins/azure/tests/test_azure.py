"""What is special about remotes in Azure, against Azurite."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kist.abc import Options, RemoteScope, RemoteURL
from kist.errors import RemoteAuthError, RemoteError, RemoteExists, RemoteObjectNotFound, RemotePermissionError
from kist.remotes.wrappers import RetryingRemote, RetryPolicy
from kist_azure import kist_open_remote, kist_remote_options
from kist_azure.connection import Connection
from kist_azure.options import AzureOptions
from kist_azure.remote import AzureRemote
from servers.azurite import ACCOUNT, KEY, Azurite, Container, FakeCredential, azurite_server
from servers.tls import self_signed

MIB = 1 << 20


@pytest.fixture
def container(azurite: Azurite) -> str:
    return azurite.make_container()


@pytest.fixture
def remote(azurite: Azurite, container: str) -> Iterator[AzureRemote]:
    remote = opened(azurite, container, account_key=KEY)
    yield remote
    remote.close()


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(20 * MIB + 5))
    return path


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods of all requests that are sent."""
    from azure.core.pipeline.transport import AioHttpTransport

    sent: list[str] = []
    send = AioHttpTransport.send

    async def observed(self: Any, request: Any, **options: Any) -> Any:
        sent.append(request.method)
        return await send(self, request, **options)

    monkeypatch.setattr(AioHttpTransport, "send", observed)
    return sent


def opened(server: Azurite, container: str, prefix: str = "", **options: Any) -> AzureRemote:
    chosen = AzureOptions(endpoint=server.endpoint, **options)
    return AzureRemote.from_url(RemoteURL.parse(f"az://{container}/{prefix}"), chosen, RemoteScope("store"))


class TestHooks:
    def test_other_schemes_are_left_alone(self) -> None:
        assert kist_remote_options("box") is None
        assert kist_open_remote(RemoteURL.parse("box://x"), Options(), RemoteScope()) is None

    @pytest.mark.parametrize("scheme", ["az", "azure", "abfs"])
    def test_own_schemes(self, scheme) -> None:
        assert kist_remote_options(scheme) is AzureOptions
        url = RemoteURL.parse(f"{scheme}://box@account1.dfs.core.windows.net/a/b")
        found = kist_open_remote(url, AzureOptions(), RemoteScope())
        assert repr(found) == "AzureRemote('box', 'a/b', 'https://account1.blob.core.windows.net')"

    def test_opening_imports_no_sdk_and_asks_nothing(self) -> None:
        import subprocess
        import sys

        code = (
            "import sys\n"
            "from kist.abc import RemoteURL\n"
            "from kist_azure.options import AzureOptions\n"
            "from kist_azure.remote import AzureRemote\n"
            "url = RemoteURL.parse('az://box')\n"
            "remote = AzureRemote.from_url(url, AzureOptions(account_name='account1', account_key='a2V5'))\n"
            "remote.close()\n"
            "print([one for one in sys.modules if one.split('.')[0] in ('azure', 'adlfs', 'aiohttp', 'fsspec')])\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


class TestRequests:
    """What costs how many requests."""

    def test_small_put_is_one(self, remote, requests, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"x" * 8 * MIB)
        remote.put_file("one", tmp_path / "source")
        assert requests == ["PUT"]

    def test_large_put_is_one_a_block_and_one_more(self, remote, requests, large) -> None:
        remote.put_file("one", large)
        assert requests == ["PUT"] * 4

    def test_range_is_one(self, remote, requests, large) -> None:
        remote.put_file("one", large)
        requests.clear()
        with remote.open("one", start=MIB, length=MIB) as reader:
            assert reader.read() == large.read_bytes()[MIB : 2 * MIB]
        assert requests == ["GET"]

    def test_opening_large_and_leaving_brings_one_block(self, remote, requests, large) -> None:
        remote.put_file("one", large)
        requests.clear()
        with remote.open("one") as reader:
            reader.read(10)
        assert requests == ["GET"]

    def test_deleting_many_is_one_for_256(self, remote, requests, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        keys = [f"objects/{number:03}" for number in range(300)]
        remote.put_many((key, tmp_path / "source") for key in keys)
        requests.clear()
        assert remote.delete_many([*keys, "objects/none"]) == {}
        assert requests == ["POST", "POST"]
        assert list(remote.list()) == []

    def test_listing_is_one_for_5000(self, remote, requests, tmp_path) -> None:
        (tmp_path / "source").write_bytes(b"x")
        items = [(f"objects/{number:04}", tmp_path / "source") for number in range(100)]
        assert RetryingRemote(remote).put_many(items) == {}
        requests.clear()
        assert len(list(remote.list("objects/"))) == 100
        assert requests == ["GET"]


class TestLargeObjects:
    def test_blocks_come_back(self, remote, large, tmp_path) -> None:
        remote.put_file("one", large)
        remote.get_file("one", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == large.read_bytes()

    def test_if_absent_holds_for_blocks(self, remote, large) -> None:
        remote.put_file("one", large, if_absent=True)
        with pytest.raises(RemoteExists):
            remote.put_file("one", large, if_absent=True)

    def test_two_uploads_of_one_object_at_once_both_end_well(self, remote, azurite, container, large) -> None:
        """The service forgets the blocks of the second when the first is done: that may pass, and is repeated."""
        from concurrent.futures import ThreadPoolExecutor

        other = opened(azurite, container, account_key=KEY)
        quick = RetryPolicy(base_delay=0.01)
        wrapped = [RetryingRemote(one, quick) for one in (remote, other)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: wrapped[number % 2].put_file("one", large), range(4)))
        other.close()
        assert remote.stat("one").size == large.stat().st_size

    def test_block_that_was_damaged_on_the_way_is_refused(self, remote, monkeypatch, tmp_path) -> None:
        from azure.core.pipeline.transport import AioHttpTransport

        send = AioHttpTransport.send

        async def damaged(self: Any, request: Any, **options: Any) -> Any:
            if request.method == "PUT":
                request.data = b"X" + request.data[1:]
            return await send(self, request, **options)

        monkeypatch.setattr(AioHttpTransport, "send", damaged)
        (tmp_path / "source").write_bytes(b"some bytes")
        with pytest.raises(RemoteError):
            remote.put_file("one", tmp_path / "source")
        assert list(remote.list()) == []


class TestFolders:
    """Accounts with a hierarchical namespace list folders as blobs."""

    def test_folders_are_no_objects(self, remote, azurite, container) -> None:
        Container(azurite, container).write("objects/ab/cd", b"x")
        with azurite.client() as client:
            box = client.get_container_client(container)
            for name in ("objects", "objects/ab"):
                box.upload_blob(name, b"", metadata={"hdi_isfolder": "true"})
        assert [info.key for info in remote.list()] == ["objects/ab/cd"]
        with pytest.raises(RemoteObjectNotFound):
            remote.stat("objects/ab")
        assert remote.exists_many(["objects"]) == {"objects": False}


class TestCredentials:
    def test_connection_string(self, azurite, container, tmp_path) -> None:
        chosen = AzureOptions(connection_string=azurite.connection_string)
        remote = AzureRemote.from_url(RemoteURL.parse(f"az://{container}"), chosen, RemoteScope("s", trusted=False))
        (tmp_path / "source").write_bytes(b"x")
        remote.put_file("one", tmp_path / "source")
        assert remote.stat("one").size == 1
        assert ("identity", f"account key of {ACCOUNT}") in remote.describe_access()
        remote.close()

    def test_connection_string_of_the_environment(self, azurite, container, monkeypatch) -> None:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", azurite.connection_string)
        chosen = AzureOptions.from_mapping({}, env=os.environ)
        remote = AzureRemote.from_url(RemoteURL.parse(f"az://{container}"), chosen)
        assert list(remote.list()) == []
        assert ("credentials, variable AZURE_STORAGE_CONNECTION_STRING", "taken") in remote.describe_access()
        remote.close()

    def test_connection_string_with_a_signature(self, azurite, container) -> None:
        text = f"BlobEndpoint={azurite.endpoint};SharedAccessSignature={azurite.sas(container)}"
        remote = AzureRemote.from_url(RemoteURL.parse(f"az://{container}"), AzureOptions(connection_string=text))
        assert list(remote.list()) == []
        remote.close()

    def test_anonymous_reads_a_public_container_and_cannot_write(self, azurite, tmp_path) -> None:
        container = azurite.make_container(public="container")
        Container(azurite, container, "kist").write("objects/one", b"public")
        remote = opened(azurite, container, "kist", anonymous=True)
        with remote.open("objects/one") as reader:
            assert reader.read() == b"public"
        assert [info.key for info in remote.list()] == ["objects/one"]
        (tmp_path / "source").write_bytes(b"x")
        with pytest.raises((RemoteAuthError, RemotePermissionError)):
            remote.put_file("two", tmp_path / "source")
        assert remote.describe_access()[-1] == ("identity", "anonymous")
        remote.close()

    def test_anonymous_finds_a_private_container_closed(self, azurite, container) -> None:
        remote = opened(azurite, container, anonymous=True)
        with pytest.raises((RemoteAuthError, RemotePermissionError)):
            list(remote.list())
        remote.close()

    def test_missing_container(self, azurite, tmp_path) -> None:
        remote = opened(azurite, "not-there", account_key=KEY)
        (tmp_path / "source").write_bytes(b"x")
        for call in (
            lambda: list(remote.list()),
            lambda: remote.put_file("one", tmp_path / "source"),
            lambda: remote.delete("one"),
            lambda: remote.open("one"),
        ):
            with pytest.raises(RemoteError, match="no such container") as caught:
                call()
            assert type(caught.value) is RemoteError
        assert set(remote.delete_many(["one"])) == {"one"}
        remote.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Azurite, Path]]:
    """An emulator that speaks HTTPS, with its certificate."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = self_signed(folder)
    with azurite_server(folder, certificate=certificate, key=key) as server:
        yield server, certificate


class TestTls:
    """Against an emulator with a certificate that nobody signed; it takes access tokens too."""

    def open(self, place: tuple[Azurite, Path], ca_bundle: str | None, **options: Any) -> AzureRemote:
        server, certificate = place
        return opened(server, self.container(server, certificate), ca_bundle=ca_bundle, **options)

    def container(self, server: Azurite, certificate: Path) -> str:
        from azure.storage.blob import BlobServiceClient

        credential = {"account_name": ACCOUNT, "account_key": KEY}
        with BlobServiceClient(server.endpoint, credential=credential, connection_verify=str(certificate)) as client:
            name = f"kist-{os.urandom(6).hex()}"
            client.create_container(name)
        return name

    def test_4_6_unknown_certificate_is_refused(self, place) -> None:
        remote = self.open(place, None, account_key=KEY)
        with pytest.raises(RemoteError, match="certificate that is not trusted") as caught:
            list(remote.list())
        assert not caught.value.retryable
        assert "ca_bundle" in (caught.value.hint or "")
        remote.close()

    def test_named_certificate_is_trusted(self, place) -> None:
        remote = self.open(place, str(place[1]), account_key=KEY)
        assert list(remote.list()) == []
        remote.close()

    def test_access_token(self, place, monkeypatch, tmp_path) -> None:
        """A fake credential with a token that nobody signed: the emulator looks at its claims only."""
        monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", FakeCredential)
        remote = self.open(place, str(place[1]))
        (tmp_path / "source").write_bytes(b"x")
        remote.put_file("one", tmp_path / "source")
        assert remote.delete_many(["one"]) == {}
        assert remote.describe_access()[-1] == ("identity", "somebody@example.invalid of tenant fake-tenant")
        remote.close()


def test_connection_survives_an_interruption(azurite, container, monkeypatch) -> None:
    """Control-C in the thread that waits cancels the request; the next one works."""
    remote = opened(azurite, container, account_key=KEY)
    list(remote.list())
    run = Connection.run

    def interrupted(self: Connection, work: Any) -> Any:
        work.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(Connection, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(remote.list())
    monkeypatch.setattr(Connection, "run", run)
    assert list(remote.list()) == []
    remote.close()
