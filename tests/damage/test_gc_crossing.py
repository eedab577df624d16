"""gc of a cache against add, checkout and push: one runs whole at each step of the other, and nothing that lives is lost."""

import os
import shutil
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import pytest
from cli_support import cache_of, commit, git, tree, write
from damage_support import WHOLE

sys.path.insert(0, str(Path(__file__).parents[1] / "concurrency"))

from concurrency_support import kist, well

from children import code_of, forked
from kist.engine.cache.folder import CacheFolder

STEPS = frozenset({"open", "os.rename", "os.remove", "os.link", "os.mkdir", "os.rmdir", "os.listdir", "fcntl.flock"})
"""What counts as a step, wherever it touches the site: calls after which somebody else may see another state."""
SAMPLE = 5
BLOCKED = 12

LIVING = {f"data/{at}.txt": b"living %d\n" % at for at in range(4)} | {"data/big.bin": bytes(range(256)) * 90}
DEAD = {f"data/{at}.txt": b"dead %d\n" % at for at in range(4)} | {"data/big.bin": bytes(range(255, -1, -1)) * 90}


@pytest.fixture(scope="module")
def place(fresh_user):
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kist-crossing-", dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def template(place):
    """A repository whose cache has the living version, and a dead one that nothing names."""
    work = place / "site" / "work"  # where the copies will be: what the cache keeps of a worktree goes by its path
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main", "--template=")
    well(work, "init")
    well(work, "config", "--local", "cache.pack_threshold", "10k")
    well(work, "remote", "add", "-d", "store", "../store")
    write(work, DEAD)
    well(work, "add", "data")
    write(work, LIVING)
    well(work, "add", "data")
    commit(work, "living")
    assert "6 objects that nothing needs" in well(work, "gc", "--plan")
    return work.parent.rename(place / "template")


class Crossing:
    """One command that stops at a step, another that runs whole meanwhile, in fresh copies of the template."""

    def __init__(self, template, place, tell):
        self._template, self._place, self._tell = template, place, tell

    def fresh(self):
        site = self._place / "site"
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(self._template, site, symlinks=True)
        return site / "work"

    def run(self, work, first, second, at):
        """Run *first* and, before its step number *at*, *second*; who is locked out runs when the other has ended.

        Returns:
            How many steps the first one took, and what both returned.
        """
        told, tell = os.pipe()
        wait, go = os.pipe()

        def stopping():
            steps = 0

            def step(event, arguments):
                nonlocal steps
                if event not in STEPS or (
                    isinstance(arguments[0], (str, bytes)) and b"site-packages" in os.fsencode(arguments[0])
                ):
                    return
                steps += 1
                if steps == at:
                    os.write(tell, b"stopped\n")
                    os.read(wait, 1)

            sys.addaudithook(step)
            code, said = kist(work, *first)
            os.write(tell, f"{steps} {code} {said}".encode())

        child = forked(stopping)
        os.close(tell)
        os.close(wait)
        with open(told, "rb", buffering=0) as answers:
            heard = answers.read(8)
            if heard == b"stopped\n":
                other = kist(work, *second, "--lock-timeout", "0")
                os.write(go, b"g")
                heard = answers.read()
            else:
                other = (BLOCKED, "")
                heard += answers.read()
            while more := answers.read():
                heard += more
        os.close(go)
        assert code_of(child) == 0
        if other[0] == BLOCKED:
            other = kist(work, *second)
        steps, code, said = heard.decode().split(" ", 2)
        return int(steps), (int(code), said), other

    def each(self, first, second, prepare, check, *, until_lost=False):
        """Cross two commands at every step of the first, or at a few; *until_lost*: at all up to a loss.

        Raises:
            AssertionError: something was lost at some step.
        """
        work = self.fresh()
        prepare(work)
        total, *_ = self.run(work, first, second, 0)
        steps = range(1 + total // (2 * SAMPLE), total + 1, max(1, total // SAMPLE))
        if WHOLE or until_lost:
            steps = range(total, 0, -1)  # what a command relies on is most at its end
        wrong = []
        for at in steps:
            work = self.fresh()
            prepare(work)
            _, one, other = self.run(work, first, second, at)
            try:
                check(work, one, other)
            except AssertionError as error:
                wrong.append(f"step {at} of {total}: {str(error)[:1000]}")
            if until_lost and wrong:
                break
        self._tell(
            f"kist {first[0]} and kist {second[0]} in one cache: {len(steps)} crossings, {len(wrong)} lost something"
        )
        assert not wrong, f"{len(wrong)} of {len(steps)}:\n" + "\n".join(wrong)


@pytest.fixture
def crossing(template, place, record_property):
    return Crossing(template, place, lambda figures: record_property("figures", figures))


GC = ("gc", "-f", "--now")


def whole(work, files):
    """The recorded version is these files, and all of it is there."""
    well(work, "verify")
    shutil.rmtree(work / "data")
    well(work, "checkout")
    found = {f"data/{name}": content for name, content in tree(work / "data").items()}
    assert found == files


def dead_files_come_back(work):
    """The workspace has again what only dead objects hold: an add finds them all in the cache."""
    write(work, DEAD)


def added(work, one, other):
    assert (one[0], other[0]) == (0, 0), (one, other)
    whole(work, DEAD)


def nothing_there(work):
    shutil.rmtree(work / "data")


def checked_out(work, one, other):
    assert (one[0], other[0]) == (0, 0), (one, other)
    assert {f"data/{name}": content for name, content in tree(work / "data").items()} == LIVING
    whole(work, LIVING)


def nothing(work):
    """The template as it is."""


def pushed(work, one, other):
    assert (one[0], other[0]) == (0, 0), (one, other)
    well(work, "verify", "--remote", "store")
    shutil.rmtree(cache_of(work))
    well(work, "fetch")
    whole(work, LIVING)


def another_version(work):
    """A version of the dead files is committed, and the workspace is back at the living one."""
    write(work, DEAD)
    well(work, "add", "data")
    commit(work, "dead")
    git(work, "checkout", "-q", "living", "--", "data.kist")
    well(work, "checkout")


def all_or_told(work, one, other):
    """A push of a version that gc takes away at the same time: complete, or an error."""
    assert other[0] == 0, other
    assert one[0] in (0, 8, 11), one
    if one[0] == 0:
        git(work, "checkout", "-q", "dead", "--", "data.kist")
        well(work, "verify", "--remote", "store")
        git(work, "checkout", "-q", "living", "--", "data.kist")
    whole(work, LIVING)


def placed_or_told(work, one, other):
    """A checkout of such a version: right, or the paths are listed; what it displaces is recorded."""
    assert other[0] == 0, other
    assert one[0] in (0, 8), one
    found = {f"data/{name}": content for name, content in tree(work / "data").items()}
    assert all(content in (DEAD[path], LIVING[path]) for path, content in found.items())
    if one[0] == 0:
        whole(work, DEAD)
    git(work, "checkout", "-q", "living", "--", "data.kist")
    well(work, "checkout", "--force")
    whole(work, LIVING)


CASES = {
    "add": (("add", "data"), GC, dead_files_come_back, added),
    "checkout": (("checkout",), GC, nothing_there, checked_out),
    "push": (("push", "-j", "1"), GC, nothing, pushed),
    "push of a dead version": (("push", "-j", "1", "--rev", "dead"), (*GC, "-w"), another_version, all_or_told),
    "checkout of a dead version": (
        ("checkout", "--rev", "dead"),
        (*GC, "-w", "--rev", "living"),
        another_version,
        placed_or_told,
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("inside", ["gc inside", "inside gc"])
def test_1_1_gc_of_a_cache_takes_nothing_that_lives(crossing, case, inside):
    command, collect, prepare, check = CASES[case]
    if inside == "gc inside":
        crossing.each(command, collect, prepare, check)
    else:
        crossing.each(collect, command, prepare, lambda work, one, other: check(work, other, one))


# ── what the test must catch ─────────────────────────────────────────────────────────────────────────────────────────


def test_commands_that_keep_no_gc_out_are_caught(crossing, monkeypatch):
    lock = CacheFolder.lock

    def careless(self, name, **how):
        return nullcontext() if how.get("shared") else lock(self, name, **how)

    monkeypatch.setattr(CacheFolder, "lock", careless)
    command, collect, prepare, check = CASES["add"]
    with pytest.raises(AssertionError, match="step"):
        crossing.each(command, collect, prepare, check, until_lost=True)
