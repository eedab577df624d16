"""The cipher that is asked for first, and whose choice is left alone."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path

import pytest

from kist_ssh import ciphers
from kist_ssh.command import Address, Command
from kist_ssh.options import SSHOptions
from servers.sshd import running

CHACHA, GCM = "chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com,aes256-gcm@openssh.com"
CTR = "aes128-ctr,aes192-ctr,aes256-ctr"
OLDER, NEWER = f"{CHACHA},{CTR},{GCM}", f"{CHACHA},{GCM},{CTR}"


@pytest.fixture(autouse=True)
def has_aes(monkeypatch):
    monkeypatch.setattr(ciphers, "_has_aes", lambda: True)


def told(listed: str) -> list[str]:
    """A command that prints settings as ssh does."""
    return ["printf", r"user ann\nciphers %s\nmacs none\n", listed]


def used(config: Path) -> str:
    """The cipher that a connection begins with."""
    command = Command(Address("server", "/x"), SSHOptions(config_file=str(config)), interactive=False)
    words = command.subsystem(verbose=True)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    found = re.search(r"kex: client->server cipher: (\S+)", done.stderr)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("listed", [OLDER, NEWER])
def test_the_usual_list_is_reordered(listed):
    assert list(ciphers.setting(told(listed))) == ["-o", f"Ciphers={GCM},{CHACHA},{CTR}"]


@pytest.mark.parametrize(
    "listed",
    [
        OLDER.replace("aes128-ctr,", ""),
        f"{OLDER},aes256-cbc",
        "aes256-ctr," + OLDER.replace(",aes256-ctr", ""),
        "aes256-gcm@openssh.com",
        "",
    ],
)
def test_a_list_that_somebody_chose_is_left_alone(listed):
    assert ciphers.setting(told(listed)) == ()


def test_without_instructions_for_aes_nothing_is_asked(monkeypatch):
    monkeypatch.setattr(ciphers, "_has_aes", lambda: False)
    monkeypatch.setattr(subprocess, "run", None)
    assert ciphers.setting(told(OLDER)) == ()


@pytest.mark.parametrize(
    "command", [["sh", "-c", f"echo ciphers {OLDER}; exit 255"], ["/nonexistent/ssh", "-G"], ["cat"], ["sleep", "60"]]
)
def test_an_ssh_that_tells_nothing_is_used_as_it_is(command, monkeypatch):
    monkeypatch.setattr(ciphers, "_LIMIT", 0.2)
    began = time.monotonic()
    assert ciphers.setting(command) == ()
    assert time.monotonic() - began < 10


def test_a_connection_uses_it(sshd):
    assert used(sshd.config) == "aes128-gcm@openssh.com"


def test_a_configuration_wins(sshd):
    assert used(sshd.write_config("config-ciphers", Ciphers="aes256-ctr")) == "aes256-ctr"


def test_a_server_without_it_is_reached(tmp_path):
    with running(tmp_path, "Ciphers chacha20-poly1305@openssh.com") as server:
        assert used(server.config) == "chacha20-poly1305@openssh.com"
