"""A line that half-closes and a credential that is revoked in mid-transfer: the same story for every kind of server.

A plugin's whole test of it::

    class TestBox(Misbehaving):
        @pytest.fixture
        def line(self, box_server):
            with proxied(box_server.port) as proxy:
                yield Line(Place(f"box://127.0.0.1:{proxy.port}"), proxy, box_server.revoke, box_server.grant)
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from servers.faultproxy import FaultProxy, Faults
from servers.scenario import Place, Team

FILES = {f"{number}.bin": random.Random(number).randbytes(1_500_000) for number in range(6)}
SMALL = {f"small/{number}": random.Random(number).randbytes(900) for number in range(30)}
CLEAR = {"RemoteUnavailable", "RemoteAuthError", "RemotePermissionError", "RemoteError", "TransferError"}


@dataclass
class Line:
    """A remote behind a proxy, and who may use it.

    Args:
        place: where the remote is, through the proxy.
        proxy: the proxy; it relays bytes.
        revoke: take the credential's rights away.
        grant: give them back.
    """

    place: Place
    proxy: FaultProxy
    revoke: Callable[[], None]
    grant: Callable[[], None]


class Misbehaving:
    """The story. A subclass gives the fixture ``line``."""

    __test__ = False

    def __init_subclass__(cls):
        cls.__test__ = True

    @pytest.fixture
    def line(self):
        """The remote and its line."""
        raise TypeError("a subclass of Misbehaving must have a fixture 'line'")

    @pytest.fixture
    def team(self, line, tmp_path):
        """One who has something to push, and a clone."""
        team = Team(tmp_path / "team", replace(line.place, local={**line.place.local, "retries": "1"}))
        team.found()
        team.record("first", {**FILES, **SMALL}, "one")
        team.clone("second")
        yield team
        team.check_secrets()

    def _ends_clearly(self, team, clone, verb):
        result = team.json(clone, verb, code=None)
        assert result.code in (0, 8, 10, 11)
        if result.code:
            assert {error["class"] for error in result.errors} <= CLEAR
            assert result.code != 8, "what the line does is no damage of the remote"
        return result

    def _all_is_there(self, team):
        team.kist("first", "push")
        assert team.json("first", "verify", "--remote", "store").data["damaged"] == []
        team.kist("second", "pull")
        assert team.files("second") == {**FILES, **SMALL}

    @pytest.mark.parametrize(
        ("verb", "faults"),
        [("push", {"half_close_up": 700_000}), ("push", {"half_close": 300}), ("pull", {"half_close": 700_000})],
    )
    def test_5_half_closed_connections(self, team, line, verb, faults):
        """Each connection ends in one direction after some bytes: all of it, or a clear error and then all of it."""
        clone = "first" if verb == "push" else "second"
        if verb == "pull":
            team.kist("first", "push")
        line.proxy.faults = Faults(**faults)
        line.proxy.cut()
        result = self._ends_clearly(team, clone, verb)
        line.proxy.faults = Faults()
        line.proxy.cut()
        if not result.code and verb == "pull":
            assert team.files("second") == {**FILES, **SMALL}
        elif verb == "pull":
            assert team.files("second").items() <= {**FILES, **SMALL}.items()
        self._all_is_there(team)

    @pytest.mark.parametrize("verb", ["push", "pull"])
    def test_5_a_credential_is_revoked_half_way(self, team, line, verb):
        """What was allowed when it began is refused in the middle: a clear error, and with the right again all of it."""
        clone = "first" if verb == "push" else "second"
        if verb == "pull":
            team.kist("first", "push")
        before, line.proxy.faults = line.proxy.traffic.moved, Faults(bandwidth=5e5)
        running = team.start(clone, verb, "-j", "1")
        deadline = time.monotonic() + line.place.patience
        while line.proxy.traffic.moved - before < 2_000_000 and running.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert running.poll() is None, "it was done before it could be revoked"
        line.revoke()
        try:
            code = running.wait(line.place.patience)
            assert code in (10, 11), f"exit {code}"
            line.proxy.faults = Faults()
            assert self._ends_clearly(team, clone, verb).code == 10
            assert team.files("second").items() <= {**FILES, **SMALL}.items()
        finally:
            line.grant()
        self._all_is_there(team)
