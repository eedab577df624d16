"""What the gates share: repositories of seeded files, and commands as processes whose work is counted."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measure import Command, measure

GIT = {
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.invalid",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.invalid",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}
PER_FOLDER = 100
PYTHON = [sys.executable, "-P"]
"""Without the current folder in the path of modules, as the installed script: else the index of plugins is never settled."""
KIST = [*PYTHON, "-m", "kist"]


class Repository:
    """A repository in Git with a remote beside it, in which commands run as processes.

    Args:
        place: an empty folder for all of it.
        cache_home: where the plugin index is kept.
    """

    def __init__(self, place, cache_home):
        self.place, self.folder, self.clone = place, place / "work", place / "clone"
        home = place / "home"
        home.mkdir(parents=True)
        self.folder.mkdir()
        self.environment = GIT | {
            "HOME": str(home),
            "KIST_CACHE_HOME": str(cache_home),
            "KIST_SYSTEM_CONFIG": str(home / "none.yaml"),
            "KIST_FSYNC": "off",
        }
        self.git("init", "-q", "-b", "main")
        self.run("init")
        self.run("remote", "add", "-d", "store", "../store")

    def variables(self):
        """The variables of all processes; modules are compiled before and kept."""
        left_out = ("KIST_", "GIT_", "XDG_", "PYTHONDONTWRITEBYTECODE")
        return {name: value for name, value in os.environ.items() if not name.startswith(left_out)} | self.environment

    def run(self, *words, folder=None, before=()):
        """Run a command to its end; gives its JSON data."""
        done = subprocess.run(
            [*before, *KIST, *words, "--json"],
            cwd=folder or self.folder,
            env=self.variables(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout)["data"]

    def measured(self, *words, folder=None):
        """Run a command; gives bytes read and written, requests and the like."""
        command = Command([*KIST, *words, "--json"], folder or self.folder)
        return measure(command, self.environment, self.place, 300)

    def git(self, *words):
        """Run Git in the repository."""
        subprocess.run(["git", *words], cwd=self.folder, env=self.variables(), check=True, capture_output=True)

    def share(self):
        """Commit the metafiles and clone them."""
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "data")
        self.git("clone", "-q", str(self.folder), str(self.clone))

    def let_age(self):
        """Wait until no file is so young that it could have changed within the grain of its times."""
        time.sleep(2.1)

    def take_data_away(self):
        """Let all data of the workspace be missing."""
        shutil.rmtree(self.folder / "data")


def make_files(folder, files, size):
    """Make *files* different files of *size* bytes; returns their bytes together."""
    chance = random.Random(5)
    pool = chance.randbytes(size * 2)
    for number in range(files):
        place = Path(folder, f"part{number // PER_FOLDER:03}", f"{number:06}.bin")
        if number % PER_FOLDER == 0:
            place.parent.mkdir(parents=True)
        start = chance.randrange(size)
        place.write_bytes((b"%d " % number + pool[start : start + size])[:size])
    return files * size
