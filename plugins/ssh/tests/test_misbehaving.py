"""Servers that say what they should not: nothing hangs, nothing foreign is raised, nothing outside is reached."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kist.errors import RemoteError, RemoteUnavailable
from kist_ssh import connection
from kist_ssh.command import Address
from kist_ssh.options import SSHOptions
from kist_ssh.remote import SSHRemote

CONTENT = bytes(range(256)) * 2000


@pytest.fixture
def served(tmp_path):
    """Opens a remote on a server that misbehaves in one way."""
    made: list[SSHRemote] = []

    def served(way: str) -> SSHRemote:
        script = tmp_path / "ssh"
        server = Path(__file__).with_name("fake_server.py")
        script.write_text(f"#!/bin/sh\nexec {sys.executable} -S {server} {way}\n")
        script.chmod(0o755)
        made.append(SSHRemote(Address("host", "/root"), SSHOptions(program=str(script))))
        return made[-1]

    yield served
    for one in made:
        one.close()


@pytest.mark.parametrize("way", ["well", "short-reads", "long-reads"])
def test_reads(served, way, tmp_path):
    remote = served(way)
    assert remote.open("one").read() == CONTENT
    assert remote.open("one", start=1000, length=300_000).read() == CONTENT[1000:301_000]
    remote.get_file("one", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == CONTENT


@pytest.mark.parametrize("way", ["empty-reads", "shrinks"])
def test_cut_short(served, way, tmp_path):
    with pytest.raises(RemoteUnavailable, match="changed meanwhile"):
        served(way).get_file("one", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("way", ["well", "names", "no-modes"])
def test_names(served, way):
    """Names that lead elsewhere, links and folders are no objects; types are found where only the listing tells."""
    listed = {info.key for info in served(way).list()}
    assert {"one"} <= listed <= {"one", "\udcff"}


@pytest.mark.parametrize("way", ["huge-packet", "wrong-kind", "refuses", "quits", "old"])
def test_typed_errors(served, way, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"x")
    for call in (
        lambda: served(way).stat("one"),
        lambda: served(way).open("one"),
        lambda: list(served(way).list()),
        lambda: served(way).put_file("one", source),
        lambda: served(way).put_file("one", source, if_absent=True),
        lambda: served(way).exists_many(["one"]),
        lambda: served(way).copy("one", "two"),
        lambda: served(way).sweep(),
    ):
        with pytest.raises(RemoteError) as caught:
            call()
        assert "\x1b" not in str(caught.value)
        assert len(str(caught.value)) < 1000
    assert isinstance(served(way).delete_many(["one"])["one"], RemoteError)
    assert served(way).describe_access()


def test_what_came_is_given_before_the_rest(served):
    """Blocks are waited for together, but not for ever."""
    with served("stalls").open("one", length=200_000) as reader:
        assert reader.read1(1 << 20) == CONTENT[: 2 * 32768]


def test_silence(served, monkeypatch):
    """A server that answers no more is given up."""
    monkeypatch.setattr(connection, "_SILENCE", 0.5)
    with pytest.raises(RemoteUnavailable, match="no answer"):
        served("silent").open("one")
