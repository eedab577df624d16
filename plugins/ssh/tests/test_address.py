"""What is taken from URLs and options, and what never reaches a command line."""

from __future__ import annotations

import pytest

from kist.abc import Options, RemoteScope, RemoteURL
from kist.errors import InvalidOption, RemoteError
from kist_ssh import kist_open_remote, kist_remote_options
from kist_ssh.command import Address, Command, may_ask
from kist_ssh.failures import Talk, of_ssh, shown
from kist_ssh.options import SSHOptions


def parse(text: str, **options) -> Address:
    return Address.parse(RemoteURL.parse(text), SSHOptions(**options))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://host/srv/store", Address("host", "/srv/store")),
        ("sftp://ann@data.example.org:2222/srv/store/", Address("data.example.org", "/srv/store", "ann", 2222)),
        ("ssh://host/~/store", Address("host", "store")),
        ("ssh://host/~", Address("host", ".")),
        ("ssh://host/", Address("host", "/")),
        ("ssh://host/a%20b", Address("host", "/a b")),
        ("ssh://[::1]:22/x", Address("::1", "/x", None, 22)),
        ("ssh://[fe80::1%25eth0]/x", Address("fe80::1%eth0", "/x")),
        ("ssh://DOMAIN%5Cann@host/x", Address("host", "/x", "DOMAIN\\ann")),
    ],
)
def test_addresses(text, address):
    assert parse(text) == address


@pytest.mark.parametrize(
    "text",
    [
        "ssh:///folder",
        "ssh://host",
        "ssh://host/x?query",
        "ssh://host/~other/x",
        "ssh://-oProxyCommand=touch%20x/folder",
        "ssh://-oProxyCommand=x@host/folder",
        "ssh://-l@host/folder",
        "ssh://host;touch x/folder",
        "ssh://`touch`/folder",
        "ssh://$(touch)/folder",
        "ssh://a'b@host/folder",
        "ssh://a%20b@host/folder",
        "ssh://a%0Ab@host/folder",
        "ssh://$(x)@host/folder",
        "ssh://host:0/folder",
        "ssh://[::1;x]/folder",
    ],
)
def test_bad_addresses(text):
    with pytest.raises(InvalidOption):
        parse(text)


@pytest.mark.parametrize("options", [{"user": "-oX"}, {"user": "a b"}, {"port": 0}, {"port": 70000}])
def test_bad_options(options):
    with pytest.raises(InvalidOption):
        parse("ssh://host/folder", **options)


@pytest.mark.parametrize(
    "values", [{"connections": "0"}, {"connections": "17"}, {"connect_timeout": "-1"}, {"keepalive": "-1"}, {"port": 0}]
)
def test_values_that_never_fit(values):
    with pytest.raises(InvalidOption):
        SSHOptions.from_mapping(values)


def test_options_fill_what_the_url_leaves_out():
    assert parse("ssh://host/x", user="ann", port=2222) == Address("host", "/x", "ann", 2222)
    assert parse("ssh://bob@host:22/x", user="ann", port=2222) == Address("host", "/x", "bob", 22)


def test_only_harmless_options_count_in_a_clone():
    shared = {name for name, one in SSHOptions.__dataclass_fields__.items() if one.metadata["shared"]}
    assert shared == {"shared"}


def test_other_schemes_are_left_alone():
    assert kist_remote_options("box") is None
    assert kist_open_remote(RemoteURL.parse("box://x"), Options(), RemoteScope()) is None


def test_opening_starts_nothing(monkeypatch):
    monkeypatch.setattr("subprocess.Popen", None)
    remote = kist_open_remote(RemoteURL.parse("ssh://ann@host/x"), Options(), RemoteScope())
    assert repr(remote) == "SSHRemote('ann@host:/x')"
    remote.close()


def test_command_line():
    """The host comes behind ``--``, and nothing of ours needs a shell."""
    options = SSHOptions(program="sh", identity_file="/k", config_file="/c", connect_timeout=3, keepalive=0)
    words = Command(Address("host", "/x", "ann", 22), options, interactive=False).subsystem()
    assert words[-4:] == ["-s", "--", "host", "sftp"]
    text = " ".join(words)
    for part in ("-F /c", "-i /k", "-p 22", "-l ann", "BatchMode=yes", "ConnectTimeout=3", "ForwardAgent=no"):
        assert part in text
    assert "ServerAlive" not in text


@pytest.mark.parametrize(
    ("terminal", "environment", "may"),
    [
        (True, {}, True),
        (False, {}, False),
        (False, {"SSH_ASKPASS": "x"}, False),
        (False, {"SSH_ASKPASS": "x", "DISPLAY": ":0"}, True),
        (False, {"SSH_ASKPASS": "x", "DISPLAY": ":0", "SSH_ASKPASS_REQUIRE": "never"}, False),
        (False, {"SSH_ASKPASS": "x", "SSH_ASKPASS_REQUIRE": "force"}, True),
    ],
)
def test_who_may_ask(terminal, environment, may):
    assert may_ask(terminal=terminal, environment=environment) is may


def test_what_ssh_says_is_bounded_and_harmless():
    talk = Talk()
    for number in range(1000):
        talk.add(f"line {number} \x1b[31m{'x' * 2000}\n".encode())
    talk.add(b"no end of line" * 5000)
    lines = talk.lines()
    assert len(lines) <= 21
    assert all(len(line) < 400 and "\x1b" not in line for line in lines)
    assert shown("a\x00b\u202ec") == "a\\x00b\\x202ec"


@pytest.mark.parametrize(
    ("said", "kind", "retryable"),
    [
        ("kex_exchange_identification: Connection closed by remote host", "RemoteUnavailable", True),
        ("ssh: Could not resolve hostname x: Name or service not known", "RemoteUnavailable", False),
        ("ssh: Could not resolve hostname x: Temporary failure in name resolution", "RemoteUnavailable", True),
        ("client_loop: send disconnect: Broken pipe", "RemoteUnavailable", True),
        ("Timeout, server x not responding.", "RemoteUnavailable", True),
        ("Received disconnect from x port 22:2: Too many authentication failures", "RemoteAuthError", False),
        ("ann@host: Permission denied (publickey,password).", "RemoteAuthError", False),
        ("Unable to negotiate with x port 22: no matching host key type found.", "RemoteError", False),
        ("Bad owner or permissions on /home/ann/.ssh/config", "RemoteError", False),
        ("something new", "RemoteUnavailable", True),
        ("", "RemoteUnavailable", True),
    ],
)
def test_what_ssh_means(said, kind, retryable):
    command = Command(Address("host", "/x", "ann"), SSHOptions(), interactive=False, name="store")
    error = of_ssh(command, [said] if said else [], "ssh ended with code 255").error()
    assert isinstance(error, RemoteError)
    assert (type(error).__name__, error.retryable) == (kind, retryable)
    assert said in str(error)
    assert "the remote store (ssh to ann@host)" in str(error)
    assert error.hint
