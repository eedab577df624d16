"""Secrets planted wherever one can stand, and a look for them in everything that kist then says and leaves behind.

A plugin's whole test of one place where its secret may stand::

    def test_option(box_server, tmp_path):
        planted = Planted("box://folder", [SECRET], local={"password": SECRET})
        nothing_shows(tmp_path, planted)
"""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote

from users import OTHERS, environment

RUNNER = """
import json, logging, os, subprocess, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, force=True)
from kist.cli.main import main
codes, home = [], os.getcwd()
for tool, *words in json.load(sys.stdin):
    code = main(words) if tool == "kist" else subprocess.run([tool, *words]).returncode
    codes.append(code)
    os.chdir(home)
    sys.stdout.flush()
open("codes.json", "w").write(json.dumps(codes))
"""
"""Many commands in one process, with everything logged that any library logs."""

WORKS, REFUSED = (0,), (10, 11)


@dataclass
class Planted:
    """One way in which somebody gives a secret.

    Args:
        url: the remote's URL.
        secrets: texts that must not show, in any spelling.
        options: options that are no secrets.
        local: secret options, set by a command in each clone.
        user: secret options that stand in the user's configuration.
        env: environment variables of every command.
        codes: exit codes that a push may have.
        told: texts that the doctor must tell, such as whose credentials they are.
        files: files that hold the secret because the test put it there.
        keeps: pattern of the names of files that may keep it, readable for nobody else.
        brief: do only what asks for the secret: configuration, doctor and push.
    """

    url: str
    secrets: Sequence[str]
    options: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    user: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    codes: Sequence[int] = WORKS
    told: Sequence[str] = ()
    files: Sequence[Path] = ()
    keeps: str = ""
    brief: bool = False


def nothing_shows(folder, planted):
    """Do everything that can be done with a remote, and look for the secret in all that is said, logged and written.

    Args:
        folder: an empty folder for everything.
        planted: how the secret is given.

    Returns:
        All that was said.

    Raises:
        AssertionError: a secret showed, or the commands did not go as the test wants.
    """
    folder = Path(folder, "planted")
    first, user = folder / "first", folder / "user.yaml"
    (first / "data").mkdir(parents=True)
    (first / "data" / "small").write_bytes(b"small")
    (first / "data" / "large").write_bytes(bytes(range(256)) * 1000)
    if planted.user:
        values = "".join(f"    {name}: {json.dumps(value)}\n" for name, value in planted.user.items())
        user.write_text(f"remote:\n  store:\n{values}")
        user.chmod(0o600)
    steps = [*_beginning(planted), *(_few_uses() if planted.brief else [*_uses(planted), *_sharing(planted)])]
    codes, said = _run(folder, planted, user, steps)
    failed = {
        " ".join(step[:3]): code
        for step, code in zip(steps, codes, strict=True)
        if code not in _expected(step, planted)
    }
    assert not failed, f"{failed}\n{said}"
    for text in planted.told:
        assert text in said
    _check(folder, planted, [user, *planted.files], said)
    return said


def refused_words(folder, planted, *commands):
    """Run commands that kist must refuse, such as one that would put a secret where it must not stand.

    Args:
        folder: an empty folder for everything.
        planted: where the remote is, and the secrets.
        commands: words of each.

    Returns:
        All that was said.

    Raises:
        AssertionError: a command went well, or a secret showed.
    """
    folder = Path(folder, "refused")
    (folder / "first").mkdir(parents=True)
    steps = _beginning(planted)[:-2]
    wrong = [["kist", "-C", "first", *words, *more] for words in commands for more in ((), ("--json",), ("--debug",))]
    codes, said = _run(folder, planted, folder / "none", [*steps, *wrong])
    assert not any(codes[: len(steps)]), said
    well = [step[3:] for step, code in zip(wrong, codes[len(steps) :], strict=True) if not code]
    assert not well, f"{well}\n{said}"
    _check(folder, planted, [], said)
    return said


def _beginning(planted):
    """A repository with the remote, and data that is recorded."""
    modify = ["kist", "-C", "first", "remote", "modify"]
    return [
        ["git", "-C", "first", "init", "-q", "-b", "main"],
        ["kist", "-C", "first", "init"],
        ["kist", "-C", "first", "remote", "add", "-d", "store", planted.url],
        *([*modify, "store", name, value] for name, value in planted.options.items()),
        ["kist", "-C", "first", "remote", "trust", "store"],
        *([*modify, "--local", "store", *more] for more in _settings(planted)),
        ["kist", "-C", "first", "add", "data"],
    ]


def _settings(planted):
    """Each secret option as it is set: tried, set, and set again with all that can be said about it."""
    for name, value in planted.local.items():
        yield from ([name, value, "--dry-run", "-v"], [name, value, "--json", "--debug"], [name, value])


def _uses(planted):
    """What looks at the remote, uses it, and mends it; for people and for programs."""
    secret = next(iter([*planted.local, *planted.user]), "retries")
    looks = [["remote", "list"], ["config", "list", "--show-origin"], ["config", f"remote.store.{secret}"]]
    uses = [
        [*words, *more, "--debug"] for words in [*looks, ["push", "--progress", "log"]] for more in (["-v"], ["--json"])
    ]
    uses += [
        ["help", "remotes"],
        ["plugins", "--json", "--debug"],
        ["doctor", "-v", "--debug"],
        ["doctor", "--remote", "store", "--json", "--debug"],
        ["verify", "--remote", "store", "--json", "--debug"],
        ["doctor", "--remote", "store", "--fix", "-v", "--debug"],
        ["gc", "-r", "store", "-w", "-f", "-v", "--debug"],
    ]
    return [["kist", "-C", "first", *words] for words in uses]


def _few_uses():
    """What asks for the secret once, and shows settings."""
    uses = [["config", "list"], ["doctor", "--remote", "store", "-v", "--debug"], ["push", "--json", "--debug"]]
    return [["kist", "-C", "first", *words] for words in uses]


def _sharing(planted):
    """Somebody else who pulls."""
    modify = ["kist", "-C", "second", "remote", "modify", "--local", "store"]
    yield ["git", "-C", "first", "add", "-A"]
    yield ["git", "-C", "first", "commit", "-q", "-m", "data"]
    yield ["git", "clone", "-q", "first", "second"]
    yield ["kist", "-C", "second", "remote", "trust", "store"]
    yield from ([*modify, name, value] for name, value in planted.local.items())
    yield ["kist", "-C", "second", "fetch", "--debug"]
    yield ["kist", "-C", "second", "pull", "--json", "--debug"]


_MAY_FAIL = {"config": (0, 1, 3), "doctor": (0, 1, 10)}


def _expected(step, planted):
    """The exit codes that a step may have."""
    word = step[3] if step[0] == "kist" else ""
    if word in ("push", "fetch", "pull", "verify", "gc"):
        return planted.codes
    if word == "doctor" and planted.codes == WORKS:
        return WORKS
    return _MAY_FAIL.get(word, WORKS)


def _run(folder, planted, user, steps):
    home = folder / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
    told = {"KIST_TRACE_PLUGINS": "1", "KIST_USER_CONFIG": str(user)}
    env = {**kept, **environment(home), **told, **planted.env}
    done = subprocess.run(
        [sys.executable, "-P", "-c", RUNNER],
        cwd=folder,
        env=env,
        input=json.dumps(steps),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    codes = folder / "codes.json"
    return json.loads(codes.read_text()), said


def spellings(secret):
    """A secret as it is, as in a URL, in JSON, and in base 64."""
    coded = base64.b64encode(secret.encode()).decode()
    return {secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1], coded}


def _check(folder, planted, files, said):
    private = {path.resolve() for path in [*files, *folder.glob("*/.git/kist/*/config.yaml")]}
    for secret in planted.secrets:
        for text in spellings(secret):
            shown = [line for line in said.splitlines() if text in line]
            assert not shown, f"a secret was shown: {shown}"
            files = [path for path in folder.rglob("*") if path.is_file() and path.resolve() not in private]
            left = [path for path in files if text.encode() in path.read_bytes() and not _may_keep(path, planted.keeps)]
            assert not left, f"a secret was left behind: {left}"


def _may_keep(path, pattern):
    return fnmatch(path.name, pattern) and path.stat().st_mode & 0o077 == 0
