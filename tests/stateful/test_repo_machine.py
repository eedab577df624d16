"""Random sequences of commands in two clones with one remote, compared with a dictionary model after every step."""

import contextlib
import os
import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from stateful_support import (
    at_or_below,
    delete,
    exchanged,
    git,
    part,
    prefixed,
    read_workspace,
    trash_contents,
    write_entry,
)

from kist.api import Repo
from kist.errors import KistError, PathConflict, PathNotTracked, TransferError, UnsavedChanges, UsageError

OUTPUTS = ("data", "more", "one.bin")
INSIDE = ("a", "b", "sub", "sub/a", "sub/b", "sub/deep/c", "sub/deep/er/d", "z z", "dot.txt")
PATHS = [f"{folder}/{name}" for folder in ("data", "more") for name in INSIDE]

numbers = st.integers(0, 999)
clones = st.integers(0, 1)
outputs = st.sampled_from(OUTPUTS)
paths = st.sampled_from(PATHS)
entries = st.one_of(
    st.tuples(st.sampled_from(["file", "file", "executable"]), st.integers(0, 40).map(lambda n: b"%d\n" % n)),
    st.tuples(st.just("file"), st.just(b"")),
    st.tuples(st.just("symlink"), st.sampled_from([b"a", b"sub", b"nowhere"])),
    st.just(("directory", b"")),
)


@dataclass
class Clone:
    """What the model knows of one clone.

    Args:
        root: its folder.
        recorded: output -> version, as its metafiles say.
        history: (Git commit, recorded versions).
        whole: versions of which the cache must have every content.
        saved: contents that were ever stored by this clone's commands.
        dirty: whether the metafiles changed since the last Git commit.
    """

    root: str
    recorded: dict = field(default_factory=dict)
    history: list = field(default_factory=list)
    whole: set = field(default_factory=set)
    saved: set = field(default_factory=set)
    dirty: bool = True
    _opened: Repo | None = None

    def at(self, path):
        return os.path.join(self.root, path)

    @property
    def repo(self):
        self.close()  # thousands are opened in one process
        self._opened = Repo(self.root, settings={"core.jobs": 2})
        return self._opened

    def close(self):
        """Close what the last command had open."""
        if self._opened is not None:
            self._opened.close()


def frozen(version):
    return frozenset(version.items())


def start_site(folder):
    """Two clones of one Git repository beside a remote that is empty."""
    from kist.operations.remote import add_remote

    one, two = os.path.join(folder, "one"), os.path.join(folder, "two")
    os.mkdir(one)
    git(one, "init", "-q", "-b", "main", "--template=")
    repo = Repo.init(one)
    add_remote(repo.context, "store", os.path.relpath(os.path.join(folder, "store")), default=True)
    for path, entry in START.items():
        write_entry(os.path.join(one, path), entry)
    Repo(one).add([os.path.join(one, output) for output in ("data", "one.bin")])
    list(Repo(one).push())
    git(one, "add", "-A")
    git(one, "commit", "-q", "-m", "start")
    git(folder, "clone", "-q", "--template=", "one", "two")
    Repo(two).pull()
    for clone in (one, two):  # each run has copies of them: the places noted there are no clones of its own
        shutil.rmtree(os.path.join(clone, ".git", "kist", "cache", "refs"))
    return git(one, "rev-parse", "HEAD")


START = {
    "data/a": ("file", b"1\n"),
    "data/b": ("executable", b"2\n"),
    "data/sub/a": ("file", b"1\n"),
    "data/sub/deep/c": ("file", b"3\n"),
    "data/z z": ("directory", b""),
    "one.bin": ("file", b"4\n"),
}
"""What both clones have at the start: tracked, in Git, pushed and pulled, so that every rule has something to do."""


class RepoMachine(RuleBasedStateMachine):
    """kist in two clones, and beside it dictionaries."""

    steps: ClassVar[Counter] = Counter()
    template = ""
    first = ""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="kist-machine-")
        site = os.path.join(self.folder, "site")
        shutil.copytree(self.template, site, symlinks=True)
        self.clones = [Clone(os.path.join(site, name)) for name in ("one", "two")]
        self.remote = set()
        self.taken = 0
        self.clone = self.clones[0]
        for one in self.clones:
            for output in ("data", "one.bin"):
                self.record(one, output, part(START, output))
            one.history.append((self.first, dict(one.recorded)))
            one.dirty = False
        self.remote |= self.clones[0].whole

    def teardown(self):
        for one in self.clones:
            one.close()
        shutil.rmtree(self.folder)

    def step(self, name, clone=0):
        """Count a step; the clone that it is about."""
        type(self).steps[name] += 1
        self.taken += 1
        self.clone = self.clones[clone]
        return self.clone

    # ── edits by hand ────────────────────────────────────────────────────────────────────────────────────────────

    @rule(clone=clones, path=paths, entry=entries)
    def edit(self, clone, path, entry):
        one = self.step("edit", clone)
        above = os.path.dirname(path)
        while above:
            if os.path.lexists(one.at(above)) and (os.path.islink(one.at(above)) or not os.path.isdir(one.at(above))):
                delete(one.at(above))
            above = os.path.dirname(above)
        write_entry(one.at(path), entry)

    @rule(clone=clones, number=st.integers(0, 40), executable=st.booleans())
    def edit_file_output(self, clone, number, executable):
        one = self.step("edit_file_output", clone)
        write_entry(one.at("one.bin"), ("executable" if executable else "file", b"%d\n" % number))

    @rule(clone=clones, number=numbers)
    def delete(self, clone, number):
        one = self.clones[clone]
        there = sorted(read_workspace(one.root))
        if there:
            self.step("delete", clone)
            path = there[number % len(there)]
            delete(one.at(path if number % 5 else path.rpartition("/")[0] or path))

    @rule(clone=clones, number=numbers, to=paths)
    def rename(self, clone, number, to):
        one = self.clones[clone]
        there = [path for path in sorted(read_workspace(one.root)) if path != "one.bin"]
        if not there:
            return
        source = there[number % len(there)]
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(one.at(to)), exist_ok=True)
            os.rename(one.at(source), one.at(to))
            self.step("rename", clone)

    # ── recording ────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, one, output, version):
        if one.recorded.get(output) != version:
            one.dirty = True
        one.recorded[output] = version
        one.whole.add(frozen(version))
        one.saved |= {entry for entry in version.values() if entry[0] != "directory"}

    def expect_error(self, work, *classes):
        """Run something that must be refused, and must change nothing."""
        before = read_workspace(self.clone.root)
        with pytest.raises(classes):
            work()
        assert read_workspace(self.clone.root) == before

    def overlaps(self, one, output):
        return os.path.lexists(one.at(output)) and not os.path.islink(one.at(output))

    @rule(clone=clones, output=outputs)
    def add(self, clone, output):
        one = self.step("add", clone)
        before = read_workspace(one.root)
        version = part(before, output)
        if not version:
            self.expect_error(lambda: one.repo.add([one.at(output)]), PathNotTracked)
            return
        if output not in one.recorded and version.get(output, ("",))[0] == "symlink":
            self.expect_error(lambda: one.repo.add([one.at(output)]), PathConflict)
            return
        one.repo.add([one.at(output)])
        assert read_workspace(one.root) == before
        self.record(one, output, version)

    @rule(clone=clones, path=paths)
    def add_inside(self, clone, path):
        one = self.clones[clone]
        output = path.partition("/")[0]
        if output not in one.recorded or not self.is_whole(one, output):
            return
        self.step("add_inside", clone)
        before = read_workspace(one.root)
        new, old = part(before, path), one.recorded[output]
        if not new and not part(old, path):
            self.expect_error(lambda: one.repo.add([one.at(path)]), PathNotTracked, PathConflict)
            return
        if self.blocked(one, path):
            with contextlib.suppress(KistError):
                one.repo.add([one.at(path)])
            self.reread(one, output)
            return
        one.repo.add([one.at(path)])
        assert read_workspace(one.root) == before
        self.record(one, output, exchanged(old, path, new, self.empty(before)))

    def blocked(self, one, path):
        """Whether a file or link stands where a folder above the path is needed, here or in the record."""
        above, old = os.path.dirname(path), one.recorded[path.partition("/")[0]]
        while above:
            if os.path.lexists(one.at(above)) and (os.path.islink(one.at(above)) or os.path.isfile(one.at(above))):
                return True
            if old.get(above, ("directory",))[0] != "directory":
                return True
            above = os.path.dirname(above)
        return False

    def empty(self, workspace):
        return {path for path, entry in workspace.items() if entry[0] == "directory"}

    def reread(self, one, output):
        """Take over what is recorded, by way of the list: where the model does not foretell the outcome."""
        self.record(one, output, self.listed(one, output))

    def listed(self, one, output):
        repo, found = one.repo, {}
        for listed in repo.list(one.at(output), recursive=True):
            path = os.fsdecode(listed.path)
            if listed.kind == "symlink":
                found[path] = one.recorded.get(output, {}).get(path, ("symlink", b"?"))
            else:
                content = b"" if listed.kind == "directory" else b"".join(repo.cat(one.at(path)))
                found[path] = (listed.kind, content)
        return found

    @rule(clone=clones)
    def commit(self, clone):
        one = self.step("commit", clone)
        before = read_workspace(one.root)
        report = one.repo.commit()
        assert read_workspace(one.root) == before
        changed = set()
        for output in sorted(one.recorded):
            version = part(before, output)
            if version and version != one.recorded[output]:
                changed.add(output)
                self.record(one, output, version)
        assert {added.path for added in report.outputs} == changed

    @rule(clone=clones, first=paths, second=paths, entry=entries, other=entries)
    def merge_adds(self, clone, first, second, entry, other):
        """Two processes add into one directory: the second publishes while the first is still reading."""
        one = self.clones[clone]
        output = first.partition("/")[0]
        if output not in one.recorded or second.partition("/")[0] != output or not self.is_whole(one, output):
            return
        if at_or_below(first, second) or at_or_below(second, first) or not os.path.isdir(one.at(output)):
            return
        with contextlib.suppress(OSError):
            write_entry(one.at(first), entry)
            write_entry(one.at(second), other)
        before = read_workspace(one.root)
        if self.blocked(one, first) or self.blocked(one, second) or not (part(before, first) and part(before, second)):
            return
        self.step("merge_adds", clone)
        from kist.operations import add as module

        publish, others = module.publish, [lambda: one.repo.add([one.at(second)])]

        def late(*args, **options):
            while others:
                others.pop()()
            return publish(*args, **options)

        with mock.patch.object(module, "publish", late):
            one.repo.add([one.at(first)])
        assert read_workspace(one.root) == before
        version = exchanged(one.recorded[output], second, part(before, second))
        self.record(one, output, version)
        self.record(one, output, exchanged(version, first, part(before, first)))

    # ── versions ─────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(clone=clones)
    @precondition(lambda self: any(one.dirty and one.recorded for one in self.clones))
    def git_commit(self, clone):
        one = self.clones[clone]
        if not (one.dirty and one.recorded):
            return
        self.step("git_commit", clone)
        git(one.root, "add", "-A", "--", ":/*.kist", ":/.gitignore")  # data that nothing tracks stays out of Git
        git(one.root, "commit", "-q", "--allow-empty", "-m", "version")
        one.history.append((git(one.root, "rev-parse", "HEAD"), dict(one.recorded)))
        one.dirty = False

    def is_whole(self, one, output):
        return frozen(one.recorded[output]) in one.whole

    def check_placed(self, one, before, wanted, report, tops):
        """The workspace holds *wanted*, keeps what was saved nowhere, and nothing else changed."""
        after = read_workspace(one.root)
        kept = set(report.kept)
        for path, entry in wanted.items():
            holds = entry[0] == "directory" and any(at_or_below(one, path) for one in kept)  # it is empty but for those
            assert after.get(path) == entry or holds, (path, after.get(path), entry)
        for path, entry in after.items():
            if not any(at_or_below(path, top) for top in tops):
                assert before.get(path) == entry, path
            elif path not in wanted:
                assert before.get(path) == entry or entry[0] == "directory", path
                assert any(at_or_below(path, one) or at_or_below(one, path) for one in kept), (path, kept)
        safe = {content for _, content in one.saved} | trash_contents(one.root)
        for path, (kind, content) in before.items():
            if kind in ("file", "executable") and after.get(path, ("", None))[1] != content:
                assert content in safe, f"{path} is lost"
            if not any(at_or_below(path, top) for top in tops):
                assert path in after or (kind == "directory" and part(after, path))  # it was empty, and is no more

    def place(self, one, wanted, tops, *, force, **options):
        """Check out, foretelling refusals: only unsaved work may be one."""
        before = read_workspace(one.root)
        try:
            report = one.repo.checkout([one.at(top) for top in tops], force=force, **options)
        except UnsavedChanges:
            assert not force
            assert read_workspace(one.root) == before
            unsaved = [
                path
                for path, entry in before.items()
                if any(at_or_below(path, top) for top in tops) and wanted.get(path) != entry
            ]
            assert unsaved, "refused, though nothing would be lost"
            return False
        assert not report.missing
        self.check_placed(one, before, wanted, report, tops)
        return True

    @rule(clone=clones, force=st.booleans(), output=st.sampled_from([*OUTPUTS, None]))
    def checkout(self, clone, force, output):
        one = self.clones[clone]
        tops = [output] if output else sorted(one.recorded)
        if not one.recorded or not set(tops) <= set(one.recorded) or not all(self.is_whole(one, top) for top in tops):
            return
        self.step("checkout_force" if force else "checkout", clone)
        wanted = {path: entry for top in tops for path, entry in one.recorded[top].items()}
        self.place(one, wanted, tops, force=force)

    @rule(clone=clones, path=paths, force=st.booleans())
    def checkout_inside(self, clone, path, force):
        one = self.clones[clone]
        output = path.partition("/")[0]
        if output not in one.recorded or not self.is_whole(one, output) or not part(one.recorded[output], path):
            return
        if self.blocked(one, path):
            return
        self.step("checkout_inside", clone)
        self.place(one, part(one.recorded[output], path), [path], force=force)

    @rule(clone=clones, number=numbers, output=outputs)
    @precondition(lambda self: any(one.history for one in self.clones))
    def checkout_revision(self, clone, number, output):
        one = self.clones[clone]
        if not one.history:
            return
        revision, versions = one.history[number % len(one.history)]
        if output not in versions or frozen(versions[output]) not in one.whole:
            return
        self.step("checkout_revision", clone)
        if self.place(one, versions[output], [output], force=number % 2 == 0, revision=revision):
            self.record(one, output, versions[output])

    @rule(clone=clones, number=numbers, path=paths)
    @precondition(lambda self: any(one.history for one in self.clones))
    def checkout_revision_inside(self, clone, number, path):
        one, output = self.clones[clone], path.partition("/")[0]
        if not one.history or output not in one.recorded or not self.is_whole(one, output):
            return
        revision, versions = one.history[number % len(one.history)]
        if frozen(versions.get(output, {})) not in one.whole or not part(versions[output], path):
            return
        if self.blocked(one, path) or any(
            versions[output].get(above, ("directory",))[0] != "directory"
            for above in [os.path.dirname(path), os.path.dirname(os.path.dirname(path)) or output]
        ):
            return
        self.step("checkout_revision_inside", clone)
        wanted = part(versions[output], path)
        if self.place(one, wanted, [path], force=number % 2 == 0, revision=revision):
            self.record(one, output, exchanged(one.recorded[output], path, wanted))

    # ── sharing ──────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(clone=clones)
    def push(self, clone):
        one = self.clones[clone]
        if not one.recorded or not all(self.is_whole(one, output) for output in one.recorded):
            return
        self.step("push", clone)
        for report in one.repo.push():
            assert not report.failures
        self.remote |= {frozen(version) for version in one.recorded.values()}
        again = list(one.repo.push())
        assert sum(report.objects for report in again) == 0, f"a push of nothing new sent something: {again}"

    @rule(clone=clones, force=st.booleans())
    def pull(self, clone, force):
        """The other clone's metafiles and ignore rules come over as Git would bring them; then pull."""
        one, other = self.clones[clone], self.clones[1 - clone]
        theirs = other.recorded
        if not theirs or set(one.recorded) - set(theirs):
            return
        self.step("pull", clone)
        for name in (".gitignore", *(output + ".kist" for output in theirs)):
            shutil.copyfile(other.at(name), one.at(name))
        one.recorded, one.dirty = dict(theirs), True
        wanted = {path: entry for version in theirs.values() for path, entry in version.items()}
        before = read_workspace(one.root)
        known = all(frozen(version) in self.remote | one.whole for version in theirs.values())
        try:
            _, report = one.repo.pull(force=force)
        except UnsavedChanges:
            assert not force
            assert read_workspace(one.root) == before
            self.note_fetched(one)
            return
        except TransferError:
            assert not known, "a version that was pushed cannot be pulled"
            self.check_lost(one, before)
            return
        if not known:  # contents may be there under the names of other versions
            self.note_fetched(one, everything=True)
        assert not report.missing
        self.note_fetched(one)
        self.check_placed(one, before, wanted, report, sorted(theirs))

    def note_fetched(self, one, *, everything=False):
        for version in one.recorded.values():
            if everything or frozen(version) in self.remote:
                one.whole.add(frozen(version))
                one.saved |= {entry for entry in version.values() if entry[0] != "directory"}

    def check_lost(self, one, before):
        after = read_workspace(one.root)
        safe = {content for _, content in one.saved} | trash_contents(one.root)
        safe |= {content for version in one.recorded.values() for _, content in version.values()}
        for path, (kind, content) in before.items():
            if kind in ("file", "executable") and after.get(path, ("", None))[1] != content:
                assert content in safe, f"{path} is lost"

    @rule(clone=clones, kind=st.sampled_from(["default", "workspace", "now", "remote"]))
    def gc(self, clone, kind):
        from kist.operations.gc import GcOptions

        one = self.clones[clone]
        if not one.recorded:
            return
        self.step(f"gc_{kind}", clone)
        if kind == "remote":
            with contextlib.suppress(UsageError):
                one.repo.gc(GcOptions(remote="store"))
            return
        before = read_workspace(one.root)
        only_workspace = kind != "default"
        one.repo.gc(GcOptions(workspace=only_workspace, now=kind == "now"))
        assert read_workspace(one.root) == before
        kept = {frozen(version) for version in one.recorded.values()}
        if not only_workspace:
            kept |= {frozen(version) for _, versions in one.history for version in versions.values()}
        one.whole &= kept
        one.saved = {entry for version in one.whole for _, entry in version}
        again = one.repo.gc(GcOptions(workspace=only_workspace, dry_run=True))
        assert again.candidates == 0, "a second gc finds more"

    # ── move and remove ──────────────────────────────────────────────────────────────────────────────────────────

    @rule(clone=clones, source=st.sampled_from(["data", "more"]))
    def move(self, clone, source):
        one, target = self.clones[clone], {"data": "more", "more": "data"}[source]
        if source not in one.recorded or target in one.recorded or not self.is_whole(one, source):
            return
        self.step("move", clone)
        before = read_workspace(one.root)
        if os.path.isdir(one.at(target)):
            delete(one.at(target))
            before = read_workspace(one.root)
        if part(before, target):
            self.expect_error(lambda: one.repo.move(one.at(source), one.at(target)), PathConflict)
            return
        one.repo.move(one.at(source), one.at(target))
        after = {path: entry for path, entry in before.items() if not at_or_below(path, source)}
        assert read_workspace(one.root) == {**after, **prefixed(part(before, source), source, target)}
        self.record(one, target, prefixed(one.recorded.pop(source), source, target))
        one.dirty = True

    @rule(clone=clones, number=numbers, to=paths)
    def move_inside(self, clone, number, to):
        target = to
        one, output = self.clones[clone], target.partition("/")[0]
        if output not in one.recorded or not self.is_whole(one, output) or not os.path.isdir(one.at(output)):
            return
        there = [path for path in sorted(one.recorded[output]) if path != output]
        if not there:
            return
        source = there[number % len(there)]
        before = read_workspace(one.root)
        old = one.recorded[output]
        if at_or_below(target, source) or at_or_below(source, target) or self.blocked(one, target):
            return
        if part(before, target) or part(old, target) or os.path.lexists(one.at(target)) or self.blocked(one, source):
            return
        if not part(before, source):
            return
        self.step("move_inside", clone)
        one.repo.move(one.at(source), one.at(target))
        after = read_workspace(one.root)
        moved = prefixed(part(before, source), source, target)
        assert part(after, target) == moved
        assert not part(after, source)
        version = exchanged(old, source, {}, self.empty(after))
        self.record(one, output, exchanged(version, target, prefixed(part(old, source), source, target)))

    @rule(clone=clones, output=outputs, keep=st.booleans(), force=st.booleans())
    def remove(self, clone, output, keep, force):
        one = self.clones[clone]
        if output not in one.recorded or not self.is_whole(one, output):
            return
        self.step("remove", clone)
        self.take_away(one, output, output, keep=keep, force=force)

    @rule(
        clone=clones, number=numbers, keep=st.booleans(), force=st.booleans(), output=st.sampled_from(["data", "more"])
    )
    def remove_inside(self, clone, number, keep, force, output):
        one = self.clones[clone]
        if output not in one.recorded or not self.is_whole(one, output):
            return
        there = [path for path in sorted(one.recorded[output]) if path != output]
        if not there:
            return
        path = there[number % len(there)]
        path = os.path.dirname(path) if number % 3 == 0 and os.path.dirname(path) != output else path
        if self.blocked(one, path):
            return
        self.step("remove_inside", clone)
        self.take_away(one, output, path, keep=keep, force=force)

    def take_away(self, one, output, path, *, keep, force):
        before = read_workspace(one.root)
        try:
            one.repo.remove([one.at(path)], keep=keep, force=force)
        except UnsavedChanges:
            assert not force
            assert not keep
            assert read_workspace(one.root) == before
            assert part(before, path) != part(one.recorded[output], path)
            return
        after = read_workspace(one.root)
        if keep:
            assert after == before
        for gone, entry in part(one.recorded[output], path).items():
            assert keep or after.get(gone) != entry or entry[0] == "directory", f"{gone} is still there"
        self.check_lost(one, before)
        old = one.recorded.pop(output)
        one.dirty = True
        if path == output:
            assert not os.path.exists(one.at(output + ".kist"))
        else:
            self.record(one, output, exchanged(old, path, {}, self.empty(after)))

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def status_agrees(self):
        """Status names exactly what differs; every recorded version that must be here is."""
        one = self.clone
        before = read_workspace(one.root)
        repo = one.repo
        found = {one.path: one.changes for one in repo.status().outputs}
        assert not repo.problems, repo.problems
        assert set(found) == set(one.recorded)
        for output, changes in found.items():
            version, now = one.recorded[output], part(before, output)
            if not self.is_whole(one, output):
                assert bool(changes) == (version != now)
                continue
            self.check_changes(output, version, now, changes)
        assert read_workspace(one.root) == before

    def check_changes(self, output, version, now, changes):
        named = {os.fsdecode(path) for change in changes for path in (change.path, change.old_path) if path}
        if not now:
            assert {change.change for change in changes} == {"missing"}
        elif version.keys() == {output} or now.keys() == {output}:
            assert bool(changes) == (version != now), (changes, version, now)
        else:
            differing = {path for path in version.keys() | now.keys() if version.get(path) != now.get(path)}
            assert named == differing, (named, differing)

    @invariant()
    def content_is_there(self):
        """What the recorded versions say can be read back, for one file each time."""
        one = self.clone
        if one.recorded and self.taken % 5 == 0:
            repo = one.repo
            checked = [one.at(output) for output in one.recorded if self.is_whole(one, output)]
            if checked:
                assert repo.verify(checked).good
            for output in sorted(one.recorded):
                if self.is_whole(one, output):
                    empty = {output: ("directory", b"")}  # it has no entries
                    listed = self.listed(one, output) or empty
                    assert listed == (one.recorded[output] or empty), (listed, one.recorded[output])


RULES = [
    "add",
    "add_inside",
    "commit",
    "checkout",
    "checkout_force",
    "checkout_inside",
    "checkout_revision",
    "checkout_revision_inside",
    "delete",
    "edit",
    "edit_file_output",
    "gc_default",
    "gc_now",
    "gc_remote",
    "gc_workspace",
    "git_commit",
    "merge_adds",
    "move",
    "move_inside",
    "pull",
    "push",
    "remove",
    "remove_inside",
    "rename",
]


LEAST_RUNS, LEAST_STEPS = 100, 30
"""Runs, and steps of a run on average: hypothesis takes the number of steps for the most, and steps that find nothing to
do do not count."""


def sized(most=None, steps=LEAST_STEPS):
    """At least so many runs, more where the profile wants more."""
    return settings(max_examples=most or max(LEAST_RUNS, settings().max_examples), stateful_step_count=steps)


@pytest.fixture
def machine(fresh_user, tmp_path):
    """The machine with its template; counters begin at none."""
    RepoMachine.template = str(tmp_path / "template")
    os.mkdir(RepoMachine.template)
    RepoMachine.first = start_site(RepoMachine.template)
    RepoMachine.steps = Counter()
    return RepoMachine


SCRIPT = [
    ("edit", {"path": "data/a", "entry": ("file", b"7\n")}),
    ("add", {"output": "data"}),
    ("git_commit", {}),
    ("edit_file_output", {"number": 9, "executable": False}),
    ("commit", {}),
    ("checkout", {"output": "data", "force": False}),
    ("edit", {"path": "data/b", "entry": ("file", b"8\n")}),
    ("checkout", {"output": None, "force": True}),
    ("checkout_inside", {"path": "data/sub/a", "force": False}),
    ("checkout_revision", {"output": "data", "number": 0}),
    ("checkout_revision_inside", {"path": "data/a", "number": 1}),
    ("rename", {"number": 0, "to": "data/dot.txt"}),
    ("add_inside", {"path": "data/dot.txt"}),
    ("delete", {"number": 1}),
    ("commit", {}),
    (
        "merge_adds",
        {"first": "data/b", "second": "data/sub/b", "entry": ("file", b"5\n"), "other": ("file", b"6\n")},
    ),
    ("move_inside", {"number": 1, "to": "data/sub/deep/c"}),
    ("move_inside", {"number": 1, "to": "data/a"}),
    ("push", {}),
    ("gc", {"kind": "default"}),
    ("gc", {"kind": "remote"}),
    ("gc", {"kind": "workspace"}),
    ("edit_file_output", {"number": 3, "executable": False}),
    ("gc", {"kind": "now"}),
    ("checkout_revision", {"output": "one.bin", "number": 1}),
    ("move", {"source": "data"}),
    ("remove_inside", {"output": "more", "number": 1, "keep": False, "force": True}),
    ("remove", {"output": "one.bin", "keep": False, "force": True}),
    ("git_commit", {}),
]
"""Every rule at least once, where chance might miss one; all in the first clone."""


def play(machine):
    """Do what the script says."""
    running = machine()
    for name, values in SCRIPT:
        getattr(running, name)(clone=0, **values)
        running.status_agrees()
        running.content_is_there()
        if name == "push":
            running.pull(clone=1, force=True)
            running.status_agrees()
    running.teardown()


def test_commands_agree_with_the_model(machine, capsys):
    play(machine)
    run_state_machine_as_test(machine, settings=sized(steps=2 * LEAST_STEPS))
    total = sum(machine.steps.values())
    with capsys.disabled():
        print(f"\n{total} steps; per rule:", ", ".join(f"{name} {machine.steps[name]}" for name in RULES))
    assert total >= LEAST_RUNS * LEAST_STEPS
    assert not [name for name in RULES if not machine.steps[name]], "rules without a step"


# ── the suite can fail ───────────────────────────────────────────────────────────────────────────────────────────────


def blind_merge():
    """A product that publishes over what another process published meanwhile."""
    from kist.operations import publish

    return mock.patch.object(publish, "_merge", lambda context, edit, current: edit)


def careless_checkout():
    """A product that takes unsaved work for saved."""
    from kist.operations import checkout

    return mock.patch.object(checkout, "_refuse_unsaved", lambda planned: None)


@pytest.mark.parametrize("broken", [blind_merge, careless_checkout], ids=lambda one: one.__name__)
def test_a_broken_product_is_caught(machine, broken):
    # The same runs each time, many of them: chance alone could miss the one step that shows the fault.
    quiet = settings(
        sized(1000),
        derandomize=True,
        phases=[phase for phase in settings().phases if phase.name == "generate"],
        report_multiple_bugs=False,
    )
    with broken(), pytest.raises(Exception):  # noqa: B017 - whichever check sees it first
        run_state_machine_as_test(machine, settings=quiet)
