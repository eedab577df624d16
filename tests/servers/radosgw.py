"""radosgw: Ceph's S3 gateway over a monitor and one in-memory disk, all in this session: a real implementation.

It checks signatures, policies and conditions. It takes about twelve seconds to start, so only few files should use it.
"""

import contextlib
import json
import subprocess
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

from servers.processes import free_port, program, served
from servers.s3 import S3Server

PACKAGES = "ceph-mon ceph-osd radosgw"
OWNER = ("kistowner0000000", "kist-owner-secret-access-key")
MEMORY = 3 << 30
"""Bytes that all objects together may take. A put that goes beyond nearly all of them is not refused: it waits for ever."""

_SETTINGS = """
[global]
fsid = {fsid}
mon host = v1:127.0.0.1:{port}
ms bind msgr2 = false
public network = 127.0.0.0/8
auth cluster required = none
auth service required = none
auth client required = none
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
mon data = {folder}/mon
mon cluster log file = {folder}/cluster.log
mon data avail warn = 1
mon data avail crit = 0
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = {memory}
osd crush update on start = false
osd class update on start = false
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
rgw data = {folder}/rgw
rgw dns name = localhost
rgw thread pool size = 64
"""


@dataclass(frozen=True)
class Ceph:
    """A cluster of one machine.

    Args:
        folder: where it keeps everything.
    """

    folder: Path

    def ask(self, tool, *words):
        """Run one of Ceph's tools; its output."""
        command = [program(tool, PACKAGES), "-c", str(self.folder / "ceph.conf"), *map(str, words)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=self.folder).stdout

    def insist(self, tool, *words):
        """Run a tool until it works: a young monitor refuses the first commands."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.ask(tool, *words)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{tool} {words}: {getattr(error, 'stderr', '')}") from error
                time.sleep(0.2)

    def add_user(self, name, access_key, secret_key):
        """A user of the gateway."""
        keys = ("--access-key", access_key, "--secret", secret_key)
        self.insist("radosgw-admin", "user", "create", "--uid", name, "--display-name", name, *keys)


@dataclass(frozen=True)
class Radosgw(S3Server):
    """A running gateway, and its cluster."""

    ceph: Ceph | None = None

    def user(self, name):
        """Another user, who may do nothing yet; returns the access key and the secret."""
        keys = (f"kist{name}00000000"[:16], f"kist-{name}-secret-access-key")
        self.ceph.add_user(name, *keys)
        return keys

    def allow(self, bucket, rights):
        """Give users rights to a bucket: name -> the actions."""
        statements = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:aws:iam:::user/{name}"]},
                "Action": list(actions),
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            }
            for name, actions in rights.items()
        ]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@contextlib.contextmanager
def running_radosgw(folder):
    """A gateway while the block runs."""
    names = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "radosgw-admin", "ceph-authtool", "monmaptool")
    tools = {name: program(name, PACKAGES) for name in names}
    folder = Path(folder)
    monitor, gateway, disk = free_port(), free_port(), str(uuid.uuid4())
    fsid = str(uuid.uuid4())
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    settings = _SETTINGS.format(fsid=fsid, port=monitor, folder=folder, memory=MEMORY)
    (folder / "ceph.conf").write_text(settings)
    ceph = Ceph(folder)
    configured = ("-c", str(folder / "ceph.conf"))
    _run(tools["ceph-authtool"], "--create-keyring", folder / "keyring", "--gen-key", "-n", "mon.")
    _run(tools["monmaptool"], "--create", "--fsid", fsid, "--addv", "a", f"[v1:127.0.0.1:{monitor}]", folder / "monmap")
    start = ("--mkfs", "-i", "a", "--monmap", folder / "monmap", "--keyring", folder / "keyring")
    _run(tools["ceph-mon"], *configured, *start)
    with contextlib.ExitStack() as running:
        running.enter_context(served([tools["ceph-mon"], *configured, "-f", "-i", "a"], folder, monitor))
        ceph.insist("ceph", "osd", "new", disk, 0)
        ceph.insist("ceph", "osd", "crush", "add", "osd.0", "1.0", "root=default", "host=localhost")
        _run(tools["ceph-osd"], *configured, "-i", "0", "--mkfs", "--osd-uuid", disk)
        running.enter_context(served([tools["ceph-osd"], *configured, "-f", "-i", "0"], folder))
        _wait(lambda: "1 up" in ceph.insist("ceph", "osd", "stat"), "disk")
        frontend = f"beast endpoint=127.0.0.1:{gateway} tcp_nodelay=1"
        command = [tools["radosgw"], *configured, "-f", "-n", "client.rgw", "--rgw-frontends", frontend]
        process = running.enter_context(served(command, folder))
        process.wait_for_port(gateway, 60)
        ceph.add_user("owner", *OWNER)
        yield Radosgw(f"http://127.0.0.1:{gateway}", *OWNER, ceph=ceph)


@pytest.fixture(scope="session")
def radosgw(tmp_path_factory):
    """A gateway for the whole session."""
    with running_radosgw(tmp_path_factory.mktemp("radosgw")) as server:
        yield server


def _run(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)


def _wait(ready, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise RuntimeError(f"no {what} after {seconds} s")
        time.sleep(0.1)
