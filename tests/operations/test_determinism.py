"""The same content has the same root digest: whatever the order of the edits, whatever was known before."""

import random
import shutil
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kist.api import Repo


def start(folder, count=700):
    """A tracked directory with enough entries for several leaves, and its twin made by copying the workspace."""
    first, second = folder / "first", folder / "second"
    first.mkdir()
    Repo.init(first)
    for number in range(count):
        path = first / "data" / f"d{number % 7}" / f"file-{number:04}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d\n" % number)
    Repo(first).add([str(first / "data")])
    shutil.copytree(first, second, symlinks=True, ignore=shutil.ignore_patterns("private"))
    Repo(second).add([str(second / "data")])
    assert root(first) == root(second)
    return first, second


def root(repository):
    (tracked,) = Repo(repository).context.tracked()
    return tracked.output.digest


def edit(repository, one):
    """Do one edit: (path, content); content None deletes."""
    name, content = one
    path = repository / "data" / name
    if content is None:
        path.unlink()
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


EDITS = (
    [(f"d{number % 7}/file-{number:04}.bin", None) for number in range(0, 700, 50)]
    + [(f"d{number % 7}/file-{number:04}.bin", b"changed\n") for number in range(3, 700, 61)]
    + [(f"new/{number}.bin", b"new %d\n" % number) for number in range(60)]
)


def test_the_order_of_edits_does_not_matter(tmp_path):
    """One clone records after every few edits, by parts; the other all at once, in another order."""
    first, second = start(tmp_path)
    forwards, shuffled = list(EDITS), list(EDITS)
    random.Random(3).shuffle(shuffled)
    for position, one in enumerate(forwards):
        edit(first, one)
        if position % 9 == 0:
            Repo(first).add([str(first / "data" / one[0])])
        elif position % 20 == 0:
            Repo(first).commit()
    Repo(first).commit()
    for position, one in enumerate(shuffled):
        edit(second, one)
        if position % 13 == 0:
            Repo(second).add([str(second / "data" / one[0])])
    Repo(second).add([str(second / "data")])
    assert root(first) == root(second)
    assert Repo(first).status().clean


def test_each_edit_on_its_own_gives_the_same_as_all_at_once(tmp_path):
    first, second = start(tmp_path, 120)
    edits = [(name, content) for name, content in EDITS if content is not None][:14]
    for one in edits:
        edit(first, one)
        Repo(first).add([str(first / "data" / one[0])])
    for one in reversed(edits):
        edit(second, one)
    Repo(second).commit()
    assert root(first) == root(second)


def test_cold_and_warm_fingerprints_give_the_same(tmp_path):
    first, second = start(tmp_path)
    time.sleep(2.1)  # files that are younger are never trusted
    Repo(first).status()
    Repo(second).status()
    for one in EDITS:
        edit(first, one)
        edit(second, one)
    (fingerprints,) = (second / ".kist").rglob("fingerprints.sqlite")
    fingerprints.unlink()
    # Not commit: its status would warm the cold one first.
    warm, cold = Repo(first).add([str(first / "data")]), Repo(second).add([str(second / "data")])
    assert root(first) == root(second)
    assert warm.bytes_read < cold.bytes_read, "the warm one did not use its fingerprints, so that nothing was compared"


def test_what_was_undone_leaves_no_trace(tmp_path):
    first, _ = start(tmp_path, 200)
    before = root(first)
    Path(first, "data/d1/more").write_bytes(b"more\n")
    Repo(first).commit()
    assert root(first) != before
    Path(first, "data/d1/more").unlink()
    Repo(first).commit()
    assert root(first) == before


NAMES = st.sampled_from([f"{folder}/{name}" for folder in ("a", "b", "a/c") for name in "wxyz"])
STEPS = st.lists(st.tuples(NAMES, st.integers(0, 5)), max_size=12)


@settings(max_examples=15)
@given(steps=STEPS)
def test_any_way_to_a_state_gives_its_digest(tmp_path_factory, steps):
    """Recorded after every step by parts, or built once from the end state: one digest."""
    folder = tmp_path_factory.mktemp("way")
    stepwise, direct = folder / "stepwise", folder / "direct"
    for one in (stepwise, direct):
        one.mkdir()
        Repo.init(one)
        edit(one, ("keep", b"keep\n"))
    Repo(stepwise).add([str(stepwise / "data")])
    state = {}
    for name, number in steps:
        content = b"%d\n" % number if number else None
        if content is None and name not in state:
            continue
        state[name] = content
        edit(stepwise, (name, content))
        Repo(stepwise).add([str(stepwise / "data" / name)])
        if content is None:
            del state[name]
    shutil.rmtree(direct / "data")
    shutil.copytree(stepwise / "data", direct / "data")
    Repo(direct).add([str(direct / "data")])
    assert root(stepwise) == root(direct)


def test_a_manifest_that_depends_on_history_is_caught(tmp_path, monkeypatch):
    """The comparison can fail: a product whose partial edits forget a deletion."""
    from kist.operations import add

    plain = add.settle_folders
    monkeypatch.setattr(
        add, "settle_folders", lambda *args: [change for change in plain(*args) if change.new is not None]
    )
    first, second = start(tmp_path, 50)
    gone = ("d0/file-0000.bin", None)
    edit(first, gone)
    edit(second, gone)
    Repo(first).add([str(first / "data" / gone[0])])
    Repo(second).commit()
    assert root(first) != root(second)
