"""The story of two people and a remote, through the command line, on Google Drive."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from servers.drive import DriveServer, RawFolder
from servers.scenario import EndToEnd, Place, Team


class TestServiceAccount(EndToEnd):
    @pytest.fixture
    def place(self, drive_server: DriveServer, folder: str, tmp_path: Path) -> Place:
        key = tmp_path / "key.json"
        key.write_text(drive_server.service_account())
        return Place(
            f"gdrive://{folder}",
            local={"credentials_file": str(key)},
            env=drive_server.env,
            raw=RawFolder(drive_server, folder),
            secrets=drive_server.secrets,
        )

    def test_push_of_nothing_new_asks_google_little(self, team, drive_server: DriveServer) -> None:
        """Counted where they arrive, with the question whether the folders are still there."""
        team.record("first", {f"{number}.bin": bytes([number]) * 100 for number in range(50)}, "one")
        team.json("first", "push")
        drive_server.requests()
        team.json("first", "push")
        asked = drive_server.requests()
        assert len(asked) <= 3, "\n".join(asked)


def test_consent_at_a_terminal(drive_server: DriveServer, folder: str, tmp_path: Path) -> None:
    """A person consents once, through the doctor; later commands need no terminal."""
    place = Place(f"gdrive://{folder}", local=drive_server.client, env=drive_server.env, secrets=drive_server.secrets)
    team = Team(tmp_path / "team", place)
    team.found()
    team.record("first", {"one.bin": b"one"}, "one")
    refused = team.json("first", "push", code=10).errors[0]
    assert "nobody has consented" in refused["message"]
    assert "kist doctor --remote store" in refused["hint"]
    terminal, other = os.openpty()
    command = [sys.executable, "-P", "-m", "kist", "doctor", "--remote", "store"]
    with subprocess.Popen(
        command, cwd=team.folder / "first", env=team.env, stdin=other, stdout=subprocess.PIPE, stderr=other
    ) as doctor:
        os.close(other)
        shown = b""
        while b"paste that page's" not in shown:
            shown += os.read(terminal, 4096)
        (url,) = re.findall(rb"https://\S+", shown)
        drive_server.browse(url.decode())
        os.write(terminal, b"\n")
        told = doctor.communicate(timeout=60)[0].decode()
    os.close(terminal)
    assert doctor.returncode == 0, told
    assert "person@example.com" in told
    assert team.json("first", "push").data["objects"] > 0
    team.shown += [told, shown.decode()]
    team.check_secrets()
