"""No passphrase and no password shows, whatever is done: kist never sees them, ssh asks for them itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from servers.planted import REFUSED, Planted, nothing_shows, refused_words

PASSPHRASE = "planted passphrase/of:a@key"


def asking(folder: Path, answer: str) -> dict[str, str]:
    """The environment in which ssh asks a program, which has one answer to everything."""
    path = folder / "askpass"
    path.write_text(f"#!/bin/sh\nprintf '%s\\n' '{answer}'\n")
    path.chmod(0o755)
    return {"SSH_ASKPASS": str(path), "SSH_ASKPASS_REQUIRE": "force"}


@pytest.fixture(scope="module")
def locked(sshd) -> Path:
    """A key with a passphrase, which the server accepts."""
    return sshd.make_key("planted", PASSPHRASE)


def private_part(key: Path) -> list[str]:
    """Lines of a private key."""
    return key.read_text().splitlines()[2:4]


@pytest.mark.parametrize(("answer", "codes"), [(PASSPHRASE, (0,)), ("another", REFUSED)])
def test_passphrase(sshd, locked, tmp_path, answer, codes):
    config = sshd.write_config(f"config-planted-{len(codes)}", IdentityFile=locked)
    local = {"config_file": str(config), "retries": "0"}
    secrets = [PASSPHRASE, *private_part(locked)]
    url, env = f"ssh://server{tmp_path}/remote", asking(tmp_path, answer)
    nothing_shows(tmp_path, Planted(url, secrets, local=local, env=env, codes=codes, told=[str(locked)]))


def test_agent(sshd, locked, tmp_path, agent):
    agent.add(locked, PASSPHRASE)
    config = sshd.write_config("config-planted-agent", IdentityFile=locked, IdentityAgent=agent.socket)
    local = {"config_file": str(config), "identity_file": str(locked)}
    secrets = [PASSPHRASE, *private_part(locked)]
    nothing_shows(tmp_path, Planted(f"ssh://server{tmp_path}/remote", secrets, local=local, brief=True))


def test_key_that_nobody_accepts(sshd, tmp_path):
    """A key without a passphrase lies open: not a line of it may show."""
    key = sshd.make_key("planted-stranger", accepted=False)
    local = {"config_file": str(sshd.config), "identity_file": str(key), "retries": "0"}
    config = sshd.write_config("config-planted-stranger", IdentityFile=key)
    local["config_file"] = str(config)
    planted = Planted(f"ssh://server{tmp_path}/remote", private_part(key), local=local, codes=REFUSED, brief=True)
    nothing_shows(tmp_path, planted)


def test_what_may_not_stand_there(tmp_path):
    """A password in a URL, or in options that nobody has."""
    hidden = "planted+password"
    words = [("remote", "add", "other", f"{scheme}://me:{hidden}@host:22/folder") for scheme in ("ssh", "sftp")]
    words += [
        ("remote", "modify", "store", "url", f"ssh://me:{hidden}@host/folder"),
        ("remote", "modify", "--local", "store", "password", hidden),
        ("remote", "modify", "--tracked", "store", "passphrase", hidden),
    ]
    refused_words(tmp_path, Planted("ssh://host/folder", [hidden]), *words)
