"""The servers that remotes are measured against: a fresh one on loopback for each tool's turn."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.places import Unsuitable

FOLDER = "folder"
"""No server: a folder on the same disk."""


@dataclass(frozen=True)
class Site:
    """A running server with an empty place on it.

    Args:
        url: of the place, as kist and DVC take it.
        environment: where the server is and how to get in, for the tools that look there.
        options: what kist is told beside the URL.
        ssh: the command that reaches an SSH server.
        count: tells the requests that the server got so far, where it logs them.
        files: what belongs into the home of who goes there: name -> text.
    """

    url: str
    environment: dict[str, str]
    options: dict[str, str] = field(default_factory=dict)
    ssh: tuple[str, ...] = ()
    count: Callable[[], int] | None = None
    files: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The place without scheme and host; for stores of objects it begins with the bucket."""
        scheme, _, rest = self.url.partition("://")
        return rest[rest.index("/") :] if scheme == "ssh" else rest


@contextlib.contextmanager
def site_of(remote: str, folder: Path) -> Iterator[Site | None]:
    """Run the server of one kind of remote while the block runs; None for a folder, which needs none.

    Args:
        remote: the kind.
        folder: an empty folder for what the server keeps.

    Raises:
        Unsuitable: the server is not to be had here.
    """
    import pytest

    with contextlib.ExitStack() as running:
        try:
            site = running.enter_context(KINDS[remote](folder)) if remote != FOLDER else None
        except (pytest.skip.Exception, pytest.fail.Exception, RuntimeError) as error:
            raise Unsuitable(" ".join(str(error).split())[-600:]) from None
        yield site


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[Site]:
    """Ceph's gateway, with all data in memory."""
    from servers.radosgw import running_radosgw

    with running_radosgw(folder) as server:
        bucket, log = server.make_bucket(), folder / "client.rgw.log"
        environment = {
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_S3": server.endpoint,
            "S3_ENDPOINT_URL": server.endpoint,
            **rclone("s3", provider="Ceph", env_auth="true", endpoint=server.endpoint),
        }
        yield Site(f"s3://{bucket}/store", environment, count=lambda: log.read_bytes().count(b" beast: "))


@contextlib.contextmanager
def ssh(folder: Path) -> Iterator[Site]:
    """OpenSSH's server, on the same disk as all else."""
    from servers.sshd import running

    with running(folder) as server:
        store = folder / "store"
        store.mkdir()
        environment = rclone(
            "sftp",
            host="127.0.0.1",
            port=str(server.port),
            user=server.user,
            key_file=str(server.key),
            known_hosts_file=str(server.known_hosts),
            disable_hashcheck="true",  # it would start a program on the server for each file
        )
        yield Site(
            f"ssh://server{store}",
            environment,
            options={"config_file": str(server.config)},
            ssh=("ssh", "-F", str(server.config)),
            files={".ssh/config": server.config.read_text()},
        )


@contextlib.contextmanager
def azure(folder: Path) -> Iterator[Site]:
    """Microsoft's emulator, with all data in memory."""
    from servers.azurite import ACCOUNT, KEY, azurite_server

    with azurite_server(folder, silent=False) as server:
        container, log = server.make_container(), folder / "azurite-blob.log"
        environment = {
            "AZURE_STORAGE_CONNECTION_STRING": server.connection_string,
            **rclone("azureblob", account=ACCOUNT, key=KEY, endpoint=server.endpoint),
        }
        yield Site(f"azure://{container}/store", environment, count=lambda: log.read_bytes().count(b" HTTP/1.1"))


KINDS: dict[str, Callable[[Path], contextlib.AbstractContextManager[Site]]] = {"s3": s3, "ssh": ssh, "azure": azure}


def rclone(kind: str, **settings: str) -> dict[str, str]:
    """The variables that make a server rclone's remote ``store``."""
    told = {"type": kind, **settings}
    return {f"RCLONE_CONFIG_STORE_{name.upper()}": value for name, value in told.items()}
