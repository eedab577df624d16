"""Unsaved work: whatever is done with kist, no content of the workspace vanishes that is in neither cache nor trash."""

import contextlib
import io
import itertools
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from cli_support import cache_of, commit, git, write
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kist.cli.main import main
from kist.engine.checkout import apply
from kist.engine.storage.packs import PackReader
from kist.errors import ObjectCorrupt
from walking import walk

WHOLE = os.environ.get("KIST_DAMAGE") == "whole"
EXAMPLES = 1500 if WHOLE else 30

V1 = {"data/a": b"1\n", "data/b": b"2\n", "data/sub/c": b"3\n", "data/sub/big": b"x" * 9_000, "one.bin": b"4\n"}
V2 = {"data/a": b"1, second\n", "data/b": None, "data/new/d": b"5\n", "one.bin": b"4, second\n"}
PATHS = ["data/a", "data/b", "data/sub/c", "data/sub/big", "data/new", "data/mine", "data/sub", "one.bin", "free.txt"]
TARGETS = [*PATHS, "data", "."]
LINKS = ["copy", "hardlink", "symlink", "reflink,copy"]

# ── what is done ─────────────────────────────────────────────────────────────────────────────────────────────────────

paths, targets = st.sampled_from(PATHS), st.sampled_from(TARGETS)
revisions = st.sampled_from(["v1", "v2"])
flag = lambda name: st.sampled_from([(), (name,)])  # noqa: E731
some = st.lists(targets, max_size=2).map(tuple)


def words(*parts):
    """A command of fixed words and drawn ones, as one tuple."""
    drawn = [part if isinstance(part, st.SearchStrategy) else st.just((part,)) for part in parts]
    return st.tuples(*drawn).map(lambda found: tuple(itertools.chain.from_iterable(found)))


one = targets.map(lambda target: (target,))
rev = st.one_of(st.just(()), revisions.map(lambda name: ("--rev", name)))
dry = st.sampled_from([(), (), (), ("--dry-run",)])
COMMANDS = {
    "add": words("add", dry, one, some),
    "commit": words("commit", dry),
    "status": words("status", some),
    "diff": words("diff"),
    "checkout": words("checkout", flag("--force"), rev, dry, some),
    "move": words("move", dry, one, paths.map(lambda path: (f"{path}-moved",))),
    "remove": words("remove", flag("--force"), flag("--keep"), dry, one, some),
    "push": words("push", flag("--repair")),
    "fetch": words("fetch", flag("-A")),
    "pull": words("pull", flag("--force"), dry, some),
    "verify": words("verify", flag("--repair"), some),
    "gc": words("gc", "-f", flag("--now"), flag("-w")),
    "gc, undo": words("gc", "--undo"),
    "gc, remote": words("gc", "-r", "store", "-f"),
    "trash, restore": words("trash", "restore", one),
    "trash, restore elsewhere": words("trash", "restore", one, "--to", paths.map(lambda path: (f"{path}-back",))),
    "doctor": words("doctor", "--fix"),
    "links": words("config", "--local", "cache.type", st.sampled_from(LINKS).map(lambda name: (name,))),
    "hash": words("config", "core.hash", st.sampled_from([("sha256",), ("blake3",)])),
    "list": words("list", "-r"),
}
numbers = st.integers(0, 10_000)
EDITS = st.one_of(
    *(st.tuples(st.just(what), paths, numbers) for what in ("write", "in place", "link", "folder", "delete", "mode"))
)
GIT = st.one_of(
    revisions.map(lambda name: ("git", name, "data.kist")), revisions.map(lambda name: ("git", name, "one.bin.kist"))
)
STEPS = st.one_of(EDITS, EDITS, GIT, *COMMANDS.values(), COMMANDS["checkout"], COMMANDS["remove"], COMMANDS["pull"])


def edit(root, what, path, number):
    """A change by hand; what stands in the way of it stays."""
    place = Path(root, path)
    text = b"%d, by hand\n" % number
    with contextlib.suppress(OSError):
        if what == "delete":
            shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
        elif what == "in place":  # through a link, too, as root can
            if place.is_file() and place.stat().st_size < 5_000:
                place.chmod(0o644)
                place.write_bytes(text)
        elif what == "mode":
            place.chmod(0o755)
        elif what == "folder":
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.is_symlink() or place.is_file():
                place.unlink()
            place.symlink_to(f"target{number}") if what == "link" else place.write_bytes(text)


# ── what must be there afterwards ────────────────────────────────────────────────────────────────────────────────────


def user_content(root):
    """Contents and link targets of the workspace that are the user's: no metafiles, no links into the cache."""
    found = set()
    for path, (kind, content) in walk(root).items():
        if path.split(os.sep)[0] in (".git", ".kist") or path.endswith((".kist", ".gitignore")) or kind == "directory":
            continue
        if kind != "symlink":
            found.add(content)
        elif "/kist/cache/objects/" in content:
            with contextlib.suppress(OSError):
                found.add(Path(root, path).read_bytes())
        else:
            found.add(os.fsencode(content))
    return found


class Saved:
    """Everything that cache and trash hold, as bytes on the disk, whatever their names say."""

    def __init__(self, root):
        cache, private = cache_of(root), Path(root, ".git", "kist")
        self.contents, nodes = set(), []
        for folder in (cache / "objects", cache / "quarantine", cache / "trash", private / "trash"):
            for kind, content in walk(folder).values() if folder.is_dir() else ():
                self.contents.add(os.fsencode(content) if kind == "symlink" else content)
        for path in [*(cache / "packs").glob("*"), *(cache / "trash").glob("*/[0-9]*")]:
            with contextlib.suppress(ObjectCorrupt), PackReader.open(path) as pack:  # in the trash, loose objects too
                read = [data for _, data in pack.read_many(pack.members.in_offset_order(), pack.members)]
                (nodes.extend if pack.kind else self.contents.update)(read)
        self._nodes = b"\0".join(nodes)

    def lacks(self, content):
        """Whether it is neither a content nor, as a link's target, recorded in a manifest."""
        return content not in self.contents and not (len(content) < 4096 and content in self._nodes)


def lost_by(root, command):
    """(exit code, what it said, contents that are nowhere after it)."""
    before = user_content(root)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = main(list(command))
    gone = before - user_content(root)
    return code, said.getvalue(), [content for content in gone if Saved(root).lacks(content)] if gone else []


class Workspaces:
    """Copies of one prepared repository, in memory where there is one."""

    def __init__(self, folder):
        self.folder, self.count = Path(folder), 0
        self.template = self.folder / "template"
        self.tried = self.lost = self.displaced = 0
        work = self.template / "work"
        work.mkdir(parents=True)
        git(work, "init", "-q", "-b", "main", "--template=")
        with contextlib.chdir(work), contextlib.redirect_stdout(io.StringIO()):
            write(work, V1)
            for command in (["init"], ["add", "data", "one.bin"], ["remote", "add", "-d", "store", "../store"]):
                assert main(command) == 0
            commit(work, "v1")
            write(work, V2)
            assert main(["commit"]) == 0
            assert main(["push", "-A"]) == 0
            commit(work, "v2")
            assert main(["push"]) == 0

    @contextlib.contextmanager
    def fresh(self):
        self.count += 1
        site = self.folder / str(self.count)
        shutil.copytree(self.template, site, symlinks=True)
        try:
            with contextlib.chdir(site / "work"):
                yield site / "work"
        finally:
            shutil.rmtree(site)

    def play(self, steps):
        """Do steps in a fresh copy; raises where content is lost."""
        with self.fresh() as root:
            for at, step in enumerate(steps):
                if step[0] == "git":
                    with contextlib.suppress(Exception):
                        git(root, "checkout", "-q", step[1], "--", step[2])
                elif len(step) == 3 and step[0] in ("write", "in place", "link", "folder", "delete", "mode"):
                    edit(root, *step)
                else:
                    code, said, lost = lost_by(root, step)
                    self.tried += 1
                    self.lost += len(lost)
                    self.displaced += "moved to the trash" in said
                    assert not lost, f"after {steps[:at]}, kist {step} lost {lost} (code {code}): {said}"
                    assert "Traceback" not in said, said


@pytest.fixture(scope="module")
def workspaces(fresh_user):
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="kist-unsaved-", dir=memory) as folder:
        yield Workspaces(folder)


def test_no_command_loses_unsaved_work(workspaces, record_property):
    """Random edits and commands with all of their flags; the one that deletes on purpose, `trash empty`, is left out."""

    @settings(max_examples=EXAMPLES)
    @given(st.lists(STEPS, min_size=2, max_size=6))
    @example([("write", "data/a", 1), ("checkout", "--force"), ("trash", "restore", "data/a", "--to", "data/a-back")])
    @example([("write", "data/mine", 1), ("write", "data/a", 2), ("remove", "--force", "data")])
    @example(
        [("config", "--local", "cache.type", "hardlink"), ("checkout",), ("in place", "data/a", 7), ("pull", "--force")]
    )
    @example([("delete", "data/sub", 0), ("write", "data/sub", 3), ("checkout", "--force", "--rev", "v1")])
    @example([("link", "data/a", 3), ("link", "one.bin", 4), ("checkout", "--force"), ("gc", "-f", "--now", "-w")])
    def run(steps):
        workspaces.play(steps)

    run()
    record_property(
        "figures",
        f"unsaved work: {workspaces.tried} commands on random workspaces, {workspaces.displaced} displaced something, "
        f"{workspaces.lost} contents lost",
    )
    assert workspaces.displaced
    assert not workspaces.lost


@pytest.mark.parametrize("command", [("checkout", "--force"), ("pull", "--force")])
def test_force_says_where(workspaces, command):
    with workspaces.fresh() as root:
        edit(root, "write", "data/a", 1)
        code, said, lost = lost_by(root, command)
        assert (code, lost) == (0, [])
        assert "moved to the trash: data/a → " in said
        place = said.partition("data/a → ")[2].splitlines()[0]
        assert Path(place).read_bytes() == b"1, by hand\n"


def make_old(root):
    """Let the only entry of the trash be from long ago, and commands have looked at it since; returns where it is."""
    (entry,) = (root / ".git" / "kist" / "trash").iterdir()
    for day in ("08", "15"):
        entry.with_name(f"202001{day}T000000-seen").touch()
    return entry.rename(entry.with_name("20200101T000000-00000000-displaced"))


@pytest.mark.parametrize("command", [("checkout", "--force"), ("pull", "--force")])
def test_a_full_trash_refuses(workspaces, command):
    """What would be too much stays in the workspace, all of it; what is old makes room."""
    with workspaces.fresh() as root:
        edit(root, "write", "data/a", 1)
        lost_by(root, ("checkout", "--force"))
        lost_by(root, ("config", "--local", "trash.limit", "40"))
        edit(root, "write", "data/a", 2)
        edit(root, "in place", "data/sub/c", 2)
        (root / "data" / "mine").write_bytes(b"m" * 30)
        (root / "data" / "sub" / "big").write_bytes(b"y" * 30)
        before = walk(root / "data")
        code, said, lost = lost_by(root, command)
        assert (code, lost) == (6, []), said
        assert "may hold 40 B" in said
        assert walk(root / "data") == before
        old = make_old(root)
        (root / "data" / "sub" / "big").write_bytes(V1["data/sub/big"])
        (root / "data" / "sub" / "big").chmod(0o644)
        code, said, lost = lost_by(root, command)
        assert (code, lost) == (0, []), said
        assert not old.exists()


def test_gc_cleans_the_trash_by_age(workspaces):
    with workspaces.fresh() as root:
        edit(root, "write", "data/a", 1)
        lost_by(root, ("checkout", "--force"))
        lost_by(root, ("gc", "-f"))
        old = make_old(root)
        edit(root, "write", "data/new/d", 3)
        lost_by(root, ("add", "data"))
        edit(root, "write", "data/new/d", 4)
        lost_by(root, ("add", "data"))
        lost_by(root, ("gc", "-f"))
        assert list(old.parent.iterdir()) == []


# ── what the test must catch ─────────────────────────────────────────────────────────────────────────────────────────


def force_deletes(patch):
    """A --force that does not move anything to the trash."""
    patch.setattr(apply._Checkout, "_displace", lambda _self, _paths: None)


def nothing_is_checked(patch):
    """A checkout that takes every file for saved."""
    from kist.operations import checkout

    patch.setattr(checkout, "saved_in_cache", lambda _context, _algorithm: lambda digests: [True] * len(digests))


@pytest.mark.parametrize(
    ("mutant", "steps"),
    [
        (force_deletes, [("write", "data/a", 1), ("checkout", "--force")]),
        (nothing_is_checked, [("write", "data/a", 1), ("checkout",)]),
    ],
)
def test_what_is_broken_is_caught(workspaces, mutant, steps, monkeypatch):
    mutant(monkeypatch)
    with pytest.raises(AssertionError, match="lost"):
        workspaces.play(steps)
    workspaces.lost = 0
