"""Two people and a remote in Azure, through the command line, against Azurite."""

from __future__ import annotations

import pytest

from servers.azurite import ACCOUNT, KEY, Azurite, Container
from servers.scenario import EndToEnd, Place


class TestCommandLine(EndToEnd):
    @pytest.fixture
    def place(self, azurite: Azurite) -> Place:
        name = azurite.make_container()
        return Place(
            f"az://{name}/team/store",
            options={"account_name": ACCOUNT, "endpoint": azurite.endpoint},
            local={"account_key": KEY},
            raw=Container(azurite, name, "team/store"),
            secrets=[KEY],
        )
