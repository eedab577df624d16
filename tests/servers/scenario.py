"""What two people do with a remote, through the command line: the same story for every kind of remote.

A plugin's whole test of it::

    from servers.scenario import EndToEnd, Place

    class TestBox(EndToEnd):
        @pytest.fixture
        def place(self, box_server):      # a fresh, empty place
            return Place("box://folder", local={"password": box_server.password}, secrets=[box_server.password])
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from users import OTHERS, environment

NO_OP = 3
"""Requests that a push of nothing new may cost."""


@dataclass
class Place:
    """Where a remote keeps its objects, and how to get there.

    Args:
        url: the remote's URL; the place behind it is empty.
        options: options that the repository may hold for everybody.
        local: options that each clone sets for itself, such as secrets.
        env: environment variables of every command.
        raw: a back door with keys(), write(key, data) and read(key); without it nothing is damaged.
        secrets: texts that no output and no tracked file may show.
        patience: seconds that one command may take.
    """

    url: str
    options: dict[str, str] = field(default_factory=dict)
    local: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    raw: object = None
    secrets: Sequence[str] = ()
    patience: float = 120


class Result:
    """What one command gave."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    @property
    def data(self):
        """The data of its JSON."""
        return json.loads(self.out)["data"]

    @property
    def errors(self):
        """The errors of its JSON."""
        return json.loads(self.out)["errors"]


class Team:
    """People with clones of one repository, all on this machine.

    Args:
        folder: an empty folder for everything.
        place: where the remote is.
    """

    def __init__(self, folder, place):
        self.folder, self.place = Path(folder), place
        self.shown = []
        home = self.folder / "home"
        home.mkdir(parents=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OTHERS)}
        self.env = {**kept, **environment(home), **place.env}

    def kist(self, clone, *words, code=0):
        """Run ``kist`` in a clone.

        Args:
            clone: the clone's name.
            words: the words of the command.
            code: the exit code that it must have, None for any.
        """
        command = [sys.executable, "-P", "-m", "kist", *(str(word) for word in words)]
        how = {"cwd": self.folder / clone, "env": self.env, "timeout": self.place.patience}
        done = subprocess.run(command, check=False, capture_output=True, text=True, **how)
        self.shown.append(done.stdout + done.stderr)
        assert code in (None, done.returncode), f"kist {words} returned {done.returncode}:\n{self.shown[-1]}"
        assert "--debug" in words or "Traceback" not in self.shown[-1]
        return Result(done.returncode, done.stdout, done.stderr)

    def json(self, clone, *words, code=0):
        """Run ``kist … --json``."""
        return self.kist(clone, *words, "--json", code=code)

    def start(self, clone, *words):
        """Start ``kist`` in a clone and do not wait for it."""
        command = [sys.executable, "-P", "-m", "kist", *(str(word) for word in words)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=self.folder / clone, env=self.env, start_new_session=True, **quiet)

    def git(self, clone, *words):
        """Run Git in a clone."""
        done = subprocess.run(
            ["git", *words], cwd=self.folder / clone, env=self.env, check=True, capture_output=True, text=True
        )
        return done.stdout

    def found(self, clone="first"):
        """Make the first repository, with the remote ``store`` as the default."""
        (self.folder / clone).mkdir()
        self.git(clone, "init", "-q", "-b", "main")
        self.kist(clone, "init")
        self.kist(clone, "remote", "add", "-d", "store", self.place.url)
        for name, value in self.place.options.items():
            self.kist(clone, "remote", "modify", "--tracked", "store", name, value)
        self._settle(clone)

    def clone(self, name, source="first"):
        """Clone a repository, as somebody else would."""
        self.git(".", "clone", "-q", source, name)
        self._settle(name)

    def _settle(self, clone):
        self.kist(clone, "remote", "trust", "store")
        for name, value in self.place.local.items():
            self.kist(clone, "remote", "modify", "--local", "store", name, value)

    def record(self, clone, files, message):
        """Write files below ``data``, record and commit them.

        Args:
            clone: the clone's name.
            files: name to bytes, or None to remove the file.
            message: Git's message.
        """
        for name, content in files.items():
            path = self.folder / clone / "data" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)
        self.kist(clone, "add", "data")
        self.git(clone, "add", "-A")
        self.git(clone, "commit", "-q", "-m", message)

    def files(self, clone):
        """Name to bytes of what lies below ``data``."""
        root = self.folder / clone / "data"
        return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def check_secrets(self):
        """No secret was shown, and none is in what Git keeps."""
        for clone in [path for path in self.folder.iterdir() if (path / ".git").is_dir()]:
            self.shown.append(self.git(clone.name, "log", "-p", "--all"))
            self.shown.append((clone / ".kist" / "config.yaml").read_text())
        for secret in self.place.secrets:
            assert not [text for text in self.shown if secret in text], "a secret was shown"


def some_files(count=40, large=2_500_000, seed=1):
    """Small files in a few folders and a large one, the same in every run."""
    dice = random.Random(seed)
    small = {f"part{number % 4}/{number}.bin": dice.randbytes(dice.randrange(3000)) for number in range(count)}
    return {**small, "large.bin": dice.randbytes(large), "empty": b""}


class EndToEnd:
    """The story. A subclass gives the fixture ``place``, a fresh and empty one."""

    __test__ = False

    def __init_subclass__(cls):
        cls.__test__ = True

    @pytest.fixture
    def place(self):
        """Where the remote is."""
        raise TypeError("a subclass of EndToEnd must have a fixture 'place'")

    @pytest.fixture
    def team(self, place, tmp_path):
        """People who share a repository; at the end nothing secret was shown."""
        team = Team(tmp_path / "team", place)
        team.found()
        yield team
        team.check_secrets()

    def test_share(self, team):
        """What one pushes the other pulls, in both directions, and an old version comes back."""
        first = some_files()
        team.record("first", first, "one")
        pushed = team.json("first", "push").data
        assert pushed["objects"] > 0
        assert pushed["failures"] == []
        team.clone("second")
        team.json("second", "pull")
        assert team.files("second") == first
        changed = {"part1/1.bin": b"changed", "part0/0.bin": None, "new/one.bin": b"n" * 70_000}
        team.record("second", changed, "two")
        team.json("second", "push")
        team.git("first", "pull", "-q", "../second", "main")
        team.json("first", "pull")
        assert team.files("first") == team.files("second")
        team.clone("third")
        team.git("third", "checkout", "-q", "HEAD~1")
        team.json("third", "pull")
        assert team.files("third") == first

    @pytest.mark.parametrize("count", [3, 300])
    def test_push_of_nothing_new(self, team, count):
        """A push of what is there costs few requests, however many files there are."""
        team.record("first", some_files(count, 1000), "one")
        team.json("first", "push")
        again = team.json("first", "push").data
        assert (again["objects"], again["bytes"]) == (0, 0)
        assert again["requests"] <= NO_OP
        team.clone("second")
        team.json("second", "pull")
        assert team.json("second", "push").data["requests"] <= NO_OP

    def test_doctor(self, team):
        """The doctor reads, writes, lists and deletes, and finds nothing wrong with the remote."""
        found = team.json("first", "doctor", "--remote", "store").data["findings"]
        mine = {one["label"]: one for one in found if one["label"].startswith("remote store")}
        assert not [one for one in mine.values() if one["state"] == "error"]
        steps = {"write", "read", "range", "size", "list", "delete"}
        assert steps <= {label.partition(": ")[2] for label in mine}

    def test_verify_and_repair(self, team):
        """Damage on the remote is found, told with the paths it hits, and repaired from the cache."""
        raw = self._raw(team)
        team.record("first", some_files(), "one")
        team.json("first", "push")
        assert team.json("first", "verify", "--remote", "store").data["damaged"] == []
        for prefix in ("objects/", "packs/"):
            _damage(raw, prefix)
        broken = team.json("first", "verify", "--remote", "store", code=8).data
        paths = {path for one in [*broken["damaged"], *broken["missing"]] for path in one["paths"]}
        assert "data/large.bin" in paths
        assert len(paths) > 1
        team.clone("second")
        assert team.kist("second", "pull", code=None).code in (8, 11)
        kept = some_files()
        assert all(kept[name] == content for name, content in team.files("second").items()), "damage was taken for good"
        team.json("first", "verify", "--remote", "store", "--repair")
        assert team.json("first", "verify", "--remote", "store").data["damaged"] == []
        team.json("second", "pull")
        assert team.files("second") == kept

    def test_gc(self, team):
        """Garbage collection condemns what nobody needs, and what is needed stays."""
        team.record("first", some_files(seed=1), "one")
        team.json("first", "push")
        team.record("first", some_files(seed=2), "two")
        team.json("first", "push")
        team.json("first", "gc", "-r", "store", "-A", "-f")
        team.clone("old")
        team.git("old", "checkout", "-q", "HEAD~1")
        team.json("old", "pull")
        assert team.files("old") == some_files(seed=1)
        assert team.json("first", "gc", "-r", "store", "-w", "-f").data["bytes"] > 2_000_000
        team.json("first", "verify", "--remote", "store")
        team.clone("second")
        team.json("second", "pull")
        assert team.files("second") == some_files(seed=2)

    def test_killed_push(self, team):
        """A push that was killed is finished by the next one, and until then its version is not taken for complete."""
        raw = self._raw(team)
        files = {f"{number}.bin": random.Random(number).randbytes(2_000_000) for number in range(12)}
        team.record("first", files, "one")
        running = team.start("first", "push", "-j", "1")
        deadline = time.monotonic() + team.place.patience
        while running.poll() is None and not _arrived(raw) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        team.clone("second")
        if not _complete(raw):
            assert team.kist("second", "pull", code=None).code != 0
        rest = team.json("first", "push").data
        assert rest["bytes"] < sum(map(len, files.values())) + 500_000
        team.json("second", "pull")
        assert team.files("second") == files
        team.json("first", "verify", "--remote", "store")

    def _raw(self, team):
        if team.place.raw is None:
            pytest.skip("the place has no back door")
        return team.place.raw


def _damage(raw, prefix):
    """Flip one bit of the largest object below a prefix."""
    sizes = {key: len(raw.read(key)) for key in list(raw.keys()) if key.startswith(prefix)}
    key = max(sizes, key=sizes.get)
    data = bytearray(raw.read(key))
    data[len(data) // 2] ^= 1
    raw.write(key, bytes(data))


def _arrived(raw):
    return any(key.startswith(("objects/", "packs/", "segments/", "parts/")) for key in list(raw.keys()))


def _complete(raw):
    return any(key.startswith("roots/") for key in list(raw.keys()))
