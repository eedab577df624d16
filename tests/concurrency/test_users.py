"""Two unprivileged users on one shared cache, both with umask 022."""

import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from concurrency_support import Job, Stopped, all_at_once, failures, git, stop_at, tree, well, write

from kist.engine.cache import publish
from kist.engine.cache.session import CacheSession
from users import environment

USERS = (65533, 65532)
GROUP = 65531

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become two other users")


class User:
    """An unprivileged user of the group that shares the cache, with a home and a repository of his own."""

    def __init__(self, site, number):
        self.number = number
        self.home = site / f"home-{number}"
        self.home.mkdir()
        os.chown(self.home, number, number)
        self.root = self.home / "work"
        self._store = site / f"store-{number}"

    def job(self, work):
        """What a job is to do, done as this user; who changes the mode of what is not his is found out."""

        def as_user(run):
            os.setgroups([GROUP])
            os.setgid(self.number)
            os.setuid(self.number)
            os.umask(0o022)
            os.environ.update(environment(self.home))
            for name in ("chmod", "fchmod"):
                setattr(os, name, _owner_only(getattr(os, name)))
            work(run)

        return as_user

    def do(self, work):
        """Do it now; nothing may fail."""
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder, "log")
            ran = Job(self.job(work), log).wait()
        assert failures(ran) == []
        return ran

    def begin(self, cache, *links):
        def work(_run):
            self.root.mkdir()
            git(self.root, "init", "-q", "-b", "main", "--template=")
            well(self.root, "init")
            well(self.root, "config", "--local", "cache.dir", cache)
            well(self.root, "config", "--local", "cache.shared", "group")
            if links:
                well(self.root, "config", "--local", "cache.type", ",".join(links))
            well(self.root, "remote", "add", "-d", "store", "../store")

        self.do(work)
        return self


def _owner_only(original):
    def call(path, *args, **options):
        assert os.stat(path).st_uid == os.geteuid(), f"{path} is not ours, and its mode was to be changed"
        return original(path, *args, **options)

    return call


@pytest.fixture
def site():
    """A folder that every user can come to, with a cache for the group as an administrator makes it."""
    folder = Path(tempfile.mkdtemp(prefix="kist-users-"))
    try:
        folder.chmod(0o755)
        cache = folder / "cache"
        cache.mkdir()
        os.chown(cache, 0, GROUP)
        cache.chmod(0o2775)
        yield folder
    finally:
        shutil.rmtree(folder)


def contents(number):
    """Files of which one user's are the other's too."""
    files = {"both.txt": b"both have this\n", "large.bin": b"both have this too\n" * (1 << 17)}
    return files | {f"{at}.txt": b"%d of %d\n" % (at, number) for at in range(8)}


def working(user, rounds=1):
    """Add, check out, change, collect, undo, verify."""

    def work(run):
        for number in range(rounds):
            write(user.root, {f"data/{name}": content for name, content in contents(user.number + number).items()})
            run(user.root, "add", "data")
            shutil.rmtree(user.root / "data")
            run(user.root, "checkout")
            run(user.root, "push")
            (user.root / "data" / "0.txt").unlink()
            write(user.root, {"data/0.txt": b"newer %d, round %d\n" % (user.number, number)})
            run(user.root, "add", "data")
            run(user.root, "gc", "-w", "-f")
            run(user.root, "verify")
            run(user.root, "status")

    return work


@pytest.mark.parametrize(
    "links", [(), ("hardlink", "copy"), ("symlink",)], ids=["reflink or copy", "hardlink", "symlink"]
)
def test_3_4_two_users_one_after_the_other(site, links):
    one, two = (User(site, number).begin(site / "cache", *links) for number in USERS)
    for user in (one, two, one, two):
        user.do(working(user))
    undone = two.do(lambda run: run(two.root, "gc", "--undo"))
    assert "back" in undone[0].said
    for user in (one, two):
        user.do(lambda run, user=user: run(user.root, "verify"))
        assert tree(user.root / "data")["large.bin"] == contents(0)["large.bin"]
        assert tree(user.root / "data")["0.txt"] == b"newer %d, round 0\n" % user.number


def test_3_4_two_users_at_once(site, tmp_path):
    one, two = (User(site, number).begin(site / "cache") for number in USERS)
    ran = all_at_once(tmp_path / "logs", [user.job(working(user, 3)) for user in (one, two)])
    assert failures(ran) == []
    for user in (one, two):
        user.do(lambda run, user=user: run(user.root, "verify"))
    packs = [path for path in (site / "cache").rglob("*") if path.is_file()]
    assert {path.stat().st_uid for path in packs} == set(USERS)
    writable = [
        str(path) for path in (site / "cache" / "objects").rglob("*") if path.stat().st_mode & 0o022 and path.is_file()
    ]
    assert writable == []


def test_3_4_damage_to_what_the_other_owns_is_set_aside_and_mended(site):
    one, two = (User(site, number).begin(site / "cache") for number in USERS)
    for user in (one, two):
        user.do(working(user))
    [large] = (path for path in (site / "cache" / "objects").rglob("*") if path.is_file())
    owner = large.stat().st_uid
    other = two if owner == one.number else one
    mode = stat.S_IMODE(large.stat().st_mode)
    large.chmod(0o644)
    large.write_bytes(b"damaged" + large.read_bytes()[7:])
    large.chmod(mode)
    other.do(lambda run: run(other.root, "verify", "--repair"))
    assert large.stat().st_uid == other.number
    for user in (one, two):
        user.do(lambda run, user=user: run(user.root, "verify"))


def test_3_4_each_is_told_who_has_the_lock(site, tmp_path):
    one, two = (User(site, number).begin(site / "cache") for number in USERS)
    two.do(working(two))
    two.do(lambda run: (write(two.root, {"data/0.txt": b"once more\n"}), run(two.root, "add", "data")))

    def storing(run):
        write(one.root, {"data/x.txt": b"x\n"})
        stop_at(CacheSession, "put_small")
        run(one.root, "add", "data")

    with Stopped(one.job(storing), tmp_path / "one.log") as holder:
        [ran] = Job(
            two.job(lambda run: run(two.root, "gc", "-w", "-f", "--lock-timeout", "0")), tmp_path / "two.log"
        ).wait()
        assert ran.code == 12
        assert f"'add' (process {holder.pid} on " in ran.said
        assert failures(holder.go_on()) == []


def test_3_4_what_a_killed_process_of_one_left_does_not_stop_the_other(site, tmp_path):
    one, two = (User(site, number).begin(site / "cache") for number in USERS)

    def storing(run):
        write(one.root, {f"data/{name}": content for name, content in contents(1).items()})
        stop_at(publish, "write_index")
        run(one.root, "add", "data")

    with Stopped(one.job(storing), tmp_path / "one.log") as holder:
        holder.kill()
    two.do(working(two))
    one.do(working(one))
    for folder in (site / "cache" / "tmp", one.root / ".git" / "kist" / "tmp"):
        assert os.listdir(folder) == []
