"""The story of two people and a remote, through the command line, on Google Drive."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.drive import DriveServer, RawFolder
from servers.scenario import EndToEnd, Place


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
        assert len(asked) <= 6, "\n".join(asked)
