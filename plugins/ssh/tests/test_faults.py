"""An SSH server whose line half-closes, and that accepts a key no longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from servers.faultproxy import proxied
from servers.misbehaving import Line, Misbehaving
from servers.scenario import Place


class TestSSH(Misbehaving):
    @pytest.fixture
    def line(self, sshd, tmp_path) -> Iterator[Line]:
        accepted = sshd.folder / "authorized_keys"
        text = accepted.read_text()
        with proxied(sshd.port) as proxy:
            config = sshd.write_config(
                f"config-{proxy.port}", Port=proxy.port, UserKnownHostsFile=sshd.know(proxy.port, f"known-{proxy.port}")
            )

            def revoke() -> None:
                accepted.write_text("")
                proxy.cut()

            place = Place(f"ssh://server{tmp_path / 'remote'}", local={"config_file": str(config)})
            yield Line(place, proxy, revoke, lambda: accepted.write_text(text))
            accepted.write_text(text)
