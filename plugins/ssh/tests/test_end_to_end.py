"""What two people do with a remote on an SSH server, through the command line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from servers.scenario import EndToEnd, Place


class RawFolder:
    """The server's folder, which is on this machine too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def keys(self) -> list[str]:
        return [
            os.path.relpath(os.path.join(folder, name), self.root)
            for folder, _, names in os.walk(self.root)
            for name in names
        ]

    def write(self, key: str, data: bytes) -> None:
        (self.root / key).write_bytes(data)

    def read(self, key: str) -> bytes:
        return (self.root / key).read_bytes()


class TestSSH(EndToEnd):
    @pytest.fixture
    def place(self, sshd, tmp_path) -> Place:
        root = tmp_path / "remote"
        return Place(f"ssh://server{root}", local={"config_file": str(sshd.config)}, raw=RawFolder(root))

    def test_clone_needs_trust(self, team):
        """A clone offers no key to a server that only the cloned configuration names."""
        team.record("first", {"one": b"1"}, "one")
        team.kist("first", "push")
        (known,) = (team.folder / "home").rglob("trusted-endpoints.json")
        known.unlink()
        team.git(".", "clone", "-q", "first", "second")
        error = team.json("second", "pull", code=10).errors[0]
        assert error["class"] == "RemoteAuthError"
        assert "kist remote trust store" in error["hint"]
        team.clone("third")
        team.kist("third", "pull")

    def test_cloned_configuration_names_no_program(self, team, tmp_path):
        """What a tracked configuration says of programs and files is ignored."""
        proof = tmp_path / "proof"
        script = tmp_path / "script"
        script.write_text(f"#!/bin/sh\ntouch {proof}\n")
        script.chmod(0o755)
        evil = tmp_path / "evil"
        evil.write_text(f"Host server\n  ProxyCommand {script}\n")
        tracked = team.folder / "first" / ".kist" / "config.yaml"
        team.record("first", {"one": b"1"}, "one")
        team.kist("first", "push")
        extra = f"    program: {script}\n    config_file: {evil}\n    identity_file: {evil}\n"
        text = tracked.read_text()
        assert f"    url: ssh://server{tmp_path}/remote\n" in text
        tracked.write_text(text.replace(f"{tmp_path}/remote\n", f"{tmp_path}/remote\n{extra}"))
        team.git("first", "commit", "-qam", "evil")
        team.clone("second")
        team.kist("second", "pull")
        assert not proof.exists()
        team.git(".", "clone", "-q", "first", "third")
        team.kist("third", "remote", "trust", "store")
        team.kist("third", "pull", code=None)  # no such host for an ssh without our configuration
        assert not proof.exists()

    def test_doctor_tells_who_we_are(self, team, sshd):
        """The doctor tells the server, the key that was accepted, and what the server offers."""
        found = team.json("first", "doctor", "--remote", "store").data["findings"]
        told = {one["label"].partition(": ")[2]: one["detail"] for one in found if one["label"].startswith("remote")}
        assert told["server"] == f"{sshd.user}@127.0.0.1 port {sshd.port}"
        assert str(sshd.key) in told["key accepted"]
        assert "publickey" in told["logged in"]
        assert "posix-rename" in told["server offers"]
