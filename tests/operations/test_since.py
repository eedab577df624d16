"""Recording and showing what changed since a version that is known: the same as from a scan of everything."""

import os
import random
import shutil
from contextlib import suppress

import pytest

from kist.api import Repo
from kist.cli.main import main
from kist.engine.process.clock import FileClock
from kist.engine.storage.packs import DATA, PackReader
from kist.engine.workspace import since as since_module
from kist.engine.workspace.since import Since
from kist.errors import ObjectMissing, PathConflict, UnsavedChanges
from kist.operations import checkout as checkout_module
from kist.operations import status as status_module
from kist.repo.context import RepoContext

HOUR = 3_600_000_000_000


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    """A clock that runs an hour ahead: what was just written counts as left alone for long."""
    at = FileClock.at
    monkeypatch.setattr(FileClock, "at", lambda self, directory: (at(self, directory) or 0) + HOUR)


@pytest.fixture
def looked(monkeypatch):
    """The answers of ``Since.look``: whether only what changed was to be read."""
    answers = []
    look = Since.look

    def spy(self, large=None):
        answers.append(look(self, large))
        return answers[-1]

    monkeypatch.setattr(Since, "look", spy)
    return answers


@pytest.fixture
def repo(tmp_path):
    folder = tmp_path / "repo"
    folder.mkdir()
    Repo.init(folder)
    for number in range(400):
        write(folder, f"d{number % 5}/s{number % 3}/file-{number:03}", b"%d\n" % number)
    write(folder, "top", b"top\n")
    write(folder, "d1-/x", b"x\n")
    write(folder, "d1.bin", b"y\n")
    (folder / "data/empty").mkdir()
    (folder / "data/empty-").mkdir()
    (folder / "data/d0/link").symlink_to("s0")
    Repo(folder).add([str(folder / "data")])
    return folder


def write(folder, name, content):
    path = folder / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def root(folder):
    (tracked,) = Repo(folder).context.tracked()
    return tracked.output.digest


def add(folder):
    return Repo(folder).add([str(folder / "data")])


def from_nothing(folder, tmp_path):
    """The root of the same files in a repository that knows nothing, with what lies in each path."""
    fresh = tmp_path / f"fresh{random.random()}"
    fresh.mkdir()
    Repo.init(fresh)
    shutil.copytree(folder / "data", fresh / "data", symlinks=True)
    add(fresh)
    return root(fresh)


def told(folder):
    """What status says, as plain values."""
    return [
        (change.path, change.change, change.old, change.new, change.old_path)
        for one in Repo(folder).status().outputs
        for change in one.changes
    ]


def told_by_a_scan(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(status_module, "_since", lambda *_: None)
        patch.setattr(RepoContext, "save_fingerprints", lambda self: None)
        return told(folder)


def test_one_change(repo, tmp_path, looked):
    write(repo, "d2/s2/file-002", b"changed\n")
    report = add(repo)
    assert looked == [True]
    assert report.bytes_read == len(b"changed\n")
    assert root(repo) == from_nothing(repo, tmp_path)
    assert Repo(repo).status().clean


def test_nothing_changed(repo, looked):
    before = root(repo)
    assert add(repo).bytes_read == 0
    assert looked == [True]
    assert root(repo) == before


def test_again_and_again(repo, tmp_path, looked):
    for number in range(4):
        write(repo, f"d{number}/new{number}", b"new %d\n" % number)
        add(repo)
    assert looked == [True] * 4
    assert root(repo) == from_nothing(repo, tmp_path)


EDITS = {
    "a folder goes": lambda data: shutil.rmtree(data / "d1"),
    "a folder inside goes": lambda data: shutil.rmtree(data / "d1/s1"),
    "all in a folder goes": lambda data: [one.unlink() for one in (data / "d1/s1").iterdir()],
    "a new folder": lambda data: shutil.copytree(data / "d1", data / "d9"),
    "an empty folder goes": lambda data: (data / "empty").rmdir(),
    "an empty folder comes": lambda data: (data / "d1/none").mkdir(),
    "an empty folder is filled": lambda data: (data / "empty/x").write_bytes(b"1"),
    "a folder becomes a file": lambda data: (shutil.rmtree(data / "d1"), (data / "d1").write_bytes(b"1")),
    "a file becomes a folder": lambda data: ((data / "top").unlink(), (data / "top").mkdir(), (data / "top/x").touch()),
    "a file becomes an empty folder": lambda data: ((data / "top").unlink(), (data / "top").mkdir()),
    "an empty folder becomes a file": lambda data: ((data / "empty").rmdir(), (data / "empty").write_bytes(b"1")),
    "a link turns": lambda data: ((data / "d0/link").unlink(), (data / "d0/link").symlink_to("s1")),
    "a link becomes a file": lambda data: ((data / "d0/link").unlink(), (data / "d0/link").write_bytes(b"1")),
    "a file becomes a link": lambda data: ((data / "top").unlink(), (data / "top").symlink_to("d0")),
    "a file may be run": lambda data: (data / "d1.bin").chmod(0o755),
    "a file moves": lambda data: (data / "top").rename(data / "d0/top"),
    "a folder moves": lambda data: (data / "d2").rename(data / "d1-/d2"),
    "all goes": lambda data: [shutil.rmtree(one) if one.is_dir() else one.unlink() for one in data.iterdir()],
    "the same again": lambda data: (data / "top").write_bytes(b"top\n"),
    "something is ignored": lambda data: (data / ".kistignore").write_bytes(b"s1\n"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_each_edit_is_recorded_and_shown_as_from_a_scan(edit, repo, tmp_path, looked, monkeypatch):
    edit(repo / "data")
    assert told(repo) == told_by_a_scan(repo, monkeypatch)
    assert looked == [True]
    add(repo)
    assert looked == [True, True]
    assert root(repo) == from_nothing(repo, tmp_path)
    assert Repo(repo).status().clean


def test_many_edits_at_random(repo, tmp_path, looked, monkeypatch):
    chance = random.Random(11)
    for _ in range(6):
        for _ in range(12):
            name, edit = chance.choice(list(EDITS.items()))
            try:
                edit(repo / "data")
            except OSError:
                continue  # an earlier one took its file
            if name == "all goes" and chance.random() < 0.8:
                write(repo, f"d{chance.randrange(4)}/{chance.random()}", b"more\n")
        assert told(repo) == told_by_a_scan(repo, monkeypatch)
        add(repo)
        assert root(repo) == from_nothing(repo, tmp_path)
    assert all(looked)


def test_many_changes_are_compared_in_one_walk(repo, looked, monkeypatch):
    monkeypatch.setattr(since_module, "_FEW", 3)
    for number in range(0, 400, 20):
        write(repo, f"d{number % 5}/s{number % 3}/file-{number:03}", b"changed\n")
    shutil.rmtree(repo / "data/d1/s1")
    assert told(repo) == told_by_a_scan(repo, monkeypatch)
    assert looked == [True]


def test_with_too_many_changes_everything_is_scanned(repo, tmp_path, looked, monkeypatch):
    monkeypatch.setattr(since_module, "LIMIT", 100)
    shutil.rmtree(repo / "data/d1")
    write(repo, "d2/s2/file-002", b"changed\n")
    add(repo)
    assert looked == [False]
    assert root(repo) == from_nothing(repo, tmp_path)


def test_a_row_that_is_lost_is_no_folder_that_is_new(repo, tmp_path, looked):
    """What the version has in a folder that nobody knows anything of could not be missed."""
    context = Repo(repo).context
    context.fingerprints.forget_rows([b"data/d1/s1/"])
    context.fingerprints.set_base(b"data", root(repo))
    context.fingerprints.save()
    context.close()
    next((repo / "data/d1/s1").iterdir()).unlink()
    add(repo)
    assert looked == [False]
    assert root(repo) == from_nothing(repo, tmp_path)


def test_rows_that_another_process_saves_meanwhile_are_a_mixture(repo, looked, monkeypatch):
    write(repo, "d2/s2/file-002", b"changed\n")
    walk = Since._walk

    def crossed(self, large):
        found = walk(self, large)
        monkeypatch.setattr(Since, "_walk", walk)
        write(repo, "top", b"other\n")
        Repo(repo).add([str(repo / "data/top")])
        return found

    monkeypatch.setattr(Since, "_walk", crossed)
    assert [(path, kind) for path, kind, *_ in told(repo)] == [
        (b"data/d2/s2/file-002", "modified"), (b"data/top", "modified"),
    ]  # fmt: skip
    assert looked == [False]


def test_what_is_dear_to_read_is_kept_by_status(repo, looked, monkeypatch):
    write(repo, "d2/s2/file-002", b"changed\n")
    told(repo)
    told(repo)
    assert looked == [True, True]
    monkeypatch.setattr(since_module, "CHEAP", 4)
    told(repo)
    told(repo)
    assert looked == [True, True, True, False]


def test_what_the_cache_lost_is_read_again(repo, looked):
    """A pack that is gone takes its index out of use: then every object is looked for, as without a memory."""
    cache = Repo(repo).context.cache
    (pack,) = [name for name in cache.folder.pack_ids() if PackReader.open(cache.folder.packs / name).kind == DATA]
    (cache.folder.packs / pack).unlink()
    report = add(repo)
    assert looked == []
    assert report.bytes_read > 1000
    shutil.rmtree(repo / "data")
    Repo(repo).checkout()
    assert (repo / "data/top").read_bytes() == b"top\n"


def test_a_small_object_that_is_loose_is_looked_for(repo, looked, monkeypatch):
    """It is in no index, so nothing remembered would tell that it went."""
    write(repo, "big", b"b" * 5000)
    monkeypatch.setenv("KIST_PACK_THRESHOLD", "4096")
    add(repo)
    assert looked == []  # another threshold than the one under which the version was found whole
    add(repo)
    assert looked == [True]
    monkeypatch.delenv("KIST_PACK_THRESHOLD")
    add(repo)
    add(repo)
    assert looked == [True]


def test_a_large_object_that_went_is_stored_again(repo, looked, tmp_path):
    write(repo, "big", b"b" * (1 << 20))
    add(repo)
    objects = [path for path in Repo(repo).context.cache.objects_folder.rglob("*") if path.is_file()]
    assert len(objects) == 1
    objects[0].unlink()
    write(repo, "d2/s2/file-002", b"changed\n")
    add(repo)
    assert looked == [True, True]
    assert [path for path in Repo(repo).context.cache.objects_folder.rglob("*") if path.is_file()] == objects
    assert root(repo) == from_nothing(repo, tmp_path)


def test_a_fifo_is_refused_each_time(repo):
    os.mkfifo(repo / "data/d1/pipe")
    for _ in range(2):
        with pytest.raises(PathConflict, match="FIFO"):
            add(repo)


def configure(folder, key, value):
    assert main(["-C", str(folder), "config", "--tracked", key, value]) == 0


def test_what_a_link_stands_for_is_asked_each_time(repo, looked):
    """The same link is another entry by another setting, and where the object that it leads to has gone."""
    configure(repo, "core.symlinks", "follow")
    (repo / "data/d0/link").unlink()
    (repo / "data/d0/link").symlink_to("../top")
    add(repo)
    configure(repo, "core.symlinks", "keep")
    assert [(path, kind) for path, kind, *_ in told(repo)] == [(b"data/d0/link", "modified")]
    assert looked[-1]


def test_an_ignore_file_that_became_a_link_to_its_object_still_counts(repo, tmp_path):
    write(repo, ".kistignore", b"*.tmp\n")
    write(repo, "d2/seen.tmp", b"1\n")
    configure(repo, "cache.type", "symlink")
    add(repo)
    assert (repo / "data/.kistignore").is_symlink()
    before = root(repo)
    assert told(repo) == []
    add(repo)
    assert root(repo) == before
    (repo / "data/.kistignore").unlink()
    (tmp_path / "rules").write_text("*.tmp\n")
    (repo / "data/.kistignore").symlink_to(tmp_path / "rules")
    assert [path for path, kind, *_ in told(repo) if kind == "added"] == [b"data/d2/seen.tmp"]


def test_links_to_objects_that_have_gone_are_told_and_replaced(repo, looked):
    configure(repo, "cache.type", "symlink")
    add(repo)
    add(repo)
    assert told(repo) == []
    (repo / "data/top").readlink().unlink()
    assert [(path, kind) for path, kind, *_ in told(repo)] == [(b"data/top", "modified")]
    assert looked[-1]


def test_a_part_that_leaves_a_folder_with_what_is_ignored_alone(repo, tmp_path):
    """The folder is an empty one of the version, whether the part is recorded or all."""
    (repo / ".kistignore").write_text("*.tmp\n")
    write(repo, "d3/only/one", b"1\n")
    write(repo, "d3/only/seen.tmp", b"2\n")
    add(repo)
    (repo / "data/d3/only/one").unlink()
    Repo(repo).add([str(repo / "data/d3/only/one")])
    assert told(repo) == []
    by_part = root(repo)
    add(repo)
    assert root(repo) == by_part


def test_links_that_lead_outside_are_told_each_time(repo, looked):
    (repo / "data/d1/out").symlink_to("/etc/passwd")
    add(repo)
    write(repo, "d2/s2/file-002", b"changed\n")
    assert any("outside" in text for text in add(repo).warnings)
    assert looked == [True, True]


def test_a_version_that_is_not_here_is_no_base(repo, looked):
    shutil.rmtree(Repo(repo).context.cache.folder.root)
    write(repo, "d2/s2/file-002", b"changed\n")
    with pytest.raises(ObjectMissing):
        Repo(repo).context.view(root(repo))
    assert [one[1] for one in told(repo)] == ["modified"]
    add(repo)
    assert Repo(repo).status().clean


# ── from one version to another ──────────────────────────────────────────────────────────────────────────────────────


def state(folder):
    """All that lies in the data: path -> kind and content."""
    found = {}
    for path in sorted((folder / "data").rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = ("link", os.readlink(path))
        elif path.is_dir():
            found[name] = ("folder", None)
        else:
            found[name] = ("run" if path.stat().st_mode & 0o100 else "file", path.read_bytes())
    return found


@pytest.fixture
def switched(monkeypatch):
    """Whether each plan was made of what differs between two versions alone."""
    answers = []
    plan = checkout_module.plan_switch
    monkeypatch.setattr(checkout_module, "plan_switch", lambda *args: answers.append(made := plan(*args)) or made)
    return answers


# A version with files that the workspace's own rules hide now is refused, whoever plans.
@pytest.mark.parametrize("name", [name for name in EDITS if name != "something is ignored"])
def test_there_and_back(name, repo, switched):
    metafile, states, texts = repo / "data.kist", [state(repo)], [(repo / "data.kist").read_bytes()]
    EDITS[name](repo / "data")
    add(repo)
    states.append(state(repo))
    texts.append(metafile.read_bytes())
    for which in (0, 1, 0, 1):
        metafile.write_bytes(texts[which])
        Repo(repo).checkout()
        assert state(repo) == states[which]
        assert Repo(repo).status().clean
    assert None not in switched
    assert len(switched) == (4 if texts[0] != texts[1] else 0)


def test_unsaved_changes_are_seen_on_the_way(repo, switched):
    text = (repo / "data.kist").read_bytes()
    write(repo, "top", b"second\n")
    add(repo)
    write(repo, "top", b"third, nowhere saved\n")
    (repo / "data.kist").write_bytes(text)
    with pytest.raises(UnsavedChanges):
        Repo(repo).checkout()
    assert None not in switched
    assert (repo / "data/top").read_bytes() == b"third, nowhere saved\n"


def test_what_nobody_recorded_stays(repo, switched):
    text = (repo / "data.kist").read_bytes()
    write(repo, "top", b"second\n")
    add(repo)
    write(repo, "d1/mine", b"mine\n")
    (repo / "data.kist").write_bytes(text)
    Repo(repo).checkout()
    assert (repo / "data/d1/mine").read_bytes() == b"mine\n"
    assert (repo / "data/top").read_bytes() == b"top\n"
    assert None not in switched


def test_what_a_checkout_made_and_somebody_takes_away_is_missed(repo):
    """Then the folder looks as it did before the checkout, and as its row says."""
    before = (repo / "data.kist").read_bytes()
    write(repo, "d1/s1/more", b"more\n")
    add(repo)
    after = (repo / "data.kist").read_bytes()
    (repo / "data/d1/s1/more").unlink()
    (repo / "data.kist").write_bytes(before)
    assert told(repo) == []
    (repo / "data.kist").write_bytes(after)
    Repo(repo).checkout()
    (repo / "data/d1/s1/more").unlink()
    assert [(path, kind) for path, kind, *_ in told(repo)] == [(b"data/d1/s1/more", "deleted")]


@pytest.mark.parametrize("gone", ["d1/s1/more", "d1/new/deep/file", "d1/new", "d1/link", "bare"])
def test_each_kind_of_new_entry_is_missed_when_it_goes(repo, gone):
    before = (repo / "data.kist").read_bytes()
    write(repo, "d1/s1/more", b"more\n")
    write(repo, "d1/new/deep/file", b"file\n")
    (repo / "data/d1/link").symlink_to("s1")
    (repo / "data/bare").mkdir()
    add(repo)
    after = (repo / "data.kist").read_bytes()
    (repo / "data.kist").write_bytes(before)
    Repo(repo).checkout()
    assert told(repo) == []
    (repo / "data.kist").write_bytes(after)
    Repo(repo).checkout()
    place = repo / "data" / gone
    expected = [path for path in ("d1/new/deep/file",) if gone == "d1/new"] or [gone]
    shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    found = {path: kind for path, kind, *_ in told(repo)}
    assert all(found[b"data/" + path.encode()] == "deleted" for path in expected)
    add(repo)
    assert told(repo) == []
    Repo(repo).verify()


def test_files_just_written_are_read_before_the_next_switch(repo, switched, monkeypatch):
    """Nobody trusts what is younger than two seconds; few of them are no reason to compare everything."""
    monkeypatch.undo()
    plan, answers = checkout_module.plan_switch, []
    monkeypatch.setattr(checkout_module, "plan_switch", lambda *args: answers.append(made := plan(*args)) or made)
    texts = [(repo / "data.kist").read_bytes()]
    write(repo, "top", b"second\n")
    add(repo)
    texts.append((repo / "data.kist").read_bytes())
    for which in (0, 1, 0):
        (repo / "data.kist").write_bytes(texts[which])
        Repo(repo).checkout()
        assert (repo / "data/top").read_bytes() == (b"top\n", b"second\n")[which]
    assert len(answers) == 3
    assert None not in answers


def test_any_edits_and_any_two_versions_are_planned_as_from_a_scan(repo, monkeypatch):
    """What would happen, told once by what differs and once by a comparison of everything."""
    chance, metafile = random.Random(5), repo / "data.kist"
    texts = [metafile.read_bytes()]
    for _ in range(4):
        for _ in range(5):
            name, edit = chance.choice(list(EDITS.items()))
            if name not in ("something is ignored", "all goes"):
                with suppress(OSError):
                    edit(repo / "data")
        add(repo)
        texts.append(metafile.read_bytes())
    made = []
    for _ in range(25):
        for _ in range(2):
            name, edit = chance.choice(list(EDITS.items()))
            if name not in ("something is ignored", "all goes"):
                with suppress(OSError):
                    edit(repo / "data")
        metafile.write_bytes(chance.choice(texts))
        fast = Repo(repo).checkout(dry_run=True, force=True)
        with monkeypatch.context() as patch:
            patch.setattr(checkout_module, "plan_switch", lambda *_: made.append(1))
            slow = Repo(repo).checkout(dry_run=True, force=True)
        assert fast == slow
        if chance.random() < 0.3:
            Repo(repo).checkout(force=True)
    assert made


def test_an_edit_after_the_look_is_not_lost(repo, switched, monkeypatch):
    text = (repo / "data.kist").read_bytes()
    write(repo, "top", b"second\n")
    add(repo)
    (repo / "data.kist").write_bytes(text)
    look = Since.look

    def crossed(self, large=None):
        found = look(self, large)
        write(repo, "top", b"just now\n")
        return found

    monkeypatch.setattr(Since, "look", crossed)
    report = Repo(repo).checkout()
    assert switched != [None]
    assert report.warnings or report.kept
    assert (repo / "data/top").read_bytes() == b"just now\n"
