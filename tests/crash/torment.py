"""Kill or disturb a scene's command at each of its calls, and look whether what must hold holds."""

import errno
import os
import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import layers
from crash_support import V1, V2, Stage, cli, conflicts, good, left_overs, recorded, workspace, write
from scenes import SCENES

from walking import entry_of

NUMBERS = {"ENOSPC": errno.ENOSPC, "EIO": errno.EIO, "EDQUOT": errno.EDQUOT}
WAITS = ("fsync", "fdatasync", "syncfs", "sync_file_range")
_MAY_FAIL = ("fingerprints.py", "in _merge_packs", "remotes/retry.py")
"""Where a command may do without the disk: a memory, packs that are merged only to have fewer, and a remote, on which all
of the call is done again."""
WRITES = ("write", "pwrite", "pwrite64", "copy_file_range", "sendfile", "sendfile64")


@dataclass
class Tally:
    """What came of one plan for one scene.

    Attributes:
        name: of both.
        total: calls of the run that nothing happened to.
        tried: calls at which something happened.
        failed: one line for each of them after which something was not as it must be.
        outcomes: how the commands ended: exit code, or minus the signal -> how often.
        layer: what counted.
    """

    name: str
    total: int
    tried: int = 0
    failed: list = field(default_factory=list)
    outcomes: Counter = field(default_factory=Counter)
    layer: str = ""

    def figures(self):
        """What is added up over all scenes: (tried, killed, failed)."""
        killed = sum(count for code, count in self.outcomes.items() if code < 0)
        return self.tried, killed, len(self.failed)

    def line(self):
        """One line that tells it."""
        ends = ", ".join(f"{count} x exit {code}" for code, count in sorted(self.outcomes.items()) if code >= 0)
        tried, killed, failed = self.figures()
        done = f"{killed} killed" if killed else f"{tried} failed calls"
        return f"{self.name}: N = {self.total}, {done}{ends and f' ({ends})'}, {failed} failed"


@dataclass(frozen=True)
class Plan:
    """What to do to a command.

    Attributes:
        mode: how it dies, or whether one call fails or it and all after it: see ``layers``.
        fault: ``ENOSPC``, ``EIO`` or ``EDQUOT`` where calls fail, "" where it dies.
        most: at how many calls, evenly; 0: at every one.
        sabotage: called in the command's process first.
        stop: whether to stop at the first failure.
    """

    mode: int = layers.KILL_BEFORE
    fault: str = ""
    most: int = 0
    sabotage: object = None
    stop: bool = False

    def __str__(self):
        return self.fault + (", and from then on" if self.mode == layers.FAIL_FROM else "") or _KILLS[self.mode]


_KILLS = {
    layers.KILL_BEFORE: "killed",
    layers.KILL_TORN: "killed in half a write",
    layers.KILL_ONE: "one process killed",
}


def torment(name, base, folder, plans):
    """Kill a scene's command at its calls, or let them fail, each time from the same state.

    Args:
        name: of the scene.
        base: the site that it starts from.
        folder: an empty folder to work in.
        plans: what to do, one after another.

    Returns:
        A Tally for each plan.
    """
    stage, calls, expected = _begin(name, base, folder)
    return [_carry_out(plan, stage, calls, expected) for plan in plans]


def _carry_out(plan, stage, calls, expected):
    tally = Tally(name=f"{stage.scene.name}: {plan}", total=len(calls), layer=stage.layer.name)
    for at in _chosen(calls, plan):
        trace = bool(plan.fault) and calls[at - 1] in WAITS
        run = stage.run(plan.mode, at, NUMBERS.get(plan.fault, 0), sabotage=plan.sabotage, trace=trace)
        if not run.seen.hit:
            tally.failed.append(f"call {at} of {tally.total} was not made this time")
            continue
        tally.tried += 1
        tally.outcomes[run.code] += 1
        problem = _answer(stage, run, expected) if plan.fault else _death(plan, run)
        if trace and run.code == 0 and not any(place in run.said for place in _MAY_FAIL):
            problem = f"it exits with 0 though the disk did not keep what it was to keep: {run.said}"
        problem = problem or _problem(stage, expected, at)
        if problem:
            path = os.path.relpath(run.seen.path, stage.site) if run.seen.path.startswith("/") else run.seen.path
            tally.failed.append(f"call {at} of {tally.total}, {run.seen.names[at - 1]}({path}): {problem}")
        if plan.stop and tally.failed:
            break
    return tally


def where(name, base, folder, at, number=0):
    """The stack of Python at one call, for whoever looks into a failure."""
    stage = _begin(name, base, folder)[0]
    return stage.run(layers.FAIL if number else layers.COUNT, at, number, trace=True).said


def _begin(name, base, folder):
    """The scene's state, the calls of a run that nothing happens to, and what it brings about."""
    stage = Stage(folder, base, SCENES[name])
    run = stage.run()
    assert run.code == 0, f"{run.said}{run.trace}"
    expected = stage.state()
    stage.do(lambda: stage.scene.result(stage))
    assert "mmap(shared)" not in run.seen.names, "a file is changed through memory, which no kill here would show"
    return stage, run.seen.names, expected


def _chosen(calls, plan):
    """The calls to do something at: all, or some evenly; for half a write only those that write bytes."""
    every = [at for at, name in enumerate(calls, 1) if plan.mode != layers.KILL_TORN or name in WRITES]
    if not plan.most or plan.most >= len(every):
        return every
    return [every[(2 * at + 1) * len(every) // (2 * plan.most)] for at in range(plan.most)]


# ── what must hold ───────────────────────────────────────────────────────────────────────────────────────────────────


def _death(plan, run):
    """What is wrong with how a command died, None if nothing."""
    if run.code == -signal.SIGKILL or (plan.mode == layers.KILL_ONE and run.code in (0, 13)):
        return None
    return f"it was not killed but ended with {run.code}: {run.trace or run.said}"


def _answer(stage, run, expected):
    """What is wrong with how a command answered to a fault, None if nothing."""
    if run.trace:
        return f"no typed error but {run.trace}"
    if run.code == 0:
        try:
            found = stage.state()
            assert found == expected, f"it was not done but exits with 0: {_difference(found, expected)}"
            stage.do(lambda: stage.scene.result(stage))
        except AssertionError as error:
            return f"false success: {_told(error)}"
        return None
    if run.code not in (13, *stage.scene.fails):
        return f"it exits with {run.code}: {run.said}"
    return None if "error: " in run.said else f"no error is told: {run.said!r}"


def _problem(stage, expected, at):
    """What is wrong with what is left, None if nothing; runs the next commands."""
    try:
        stage.do(lambda: _check(stage, expected, at))
    except AssertionError as error:
        return _told(error)
    return None


def _told(error):
    """What an assertion in a fork says, without the stack that led there."""
    return str(error).rpartition("AssertionError: ")[2].strip()


def _check(stage, expected, at):
    root, scene = stage.root, stage.scene
    kept = {path for path in stage.before if path.endswith(".kist")}
    found = workspace(root)
    assert kept & expected.keys() <= found.keys(), "a metafile is gone"
    if scene.conflict:
        _each_before_or_after(stage, found, expected)
    if not conflicts(found):
        good(root, "status")
        if not scene.lacks:
            good(root, "verify")  # no metafile names what is not there
    missing = stage.saved_files - stage.contents() - stage.recorded
    assert not missing or missing <= recorded(root), "content is neither in the workspace nor saved"
    _another(stage, expected, at)
    code, said = cli(root, *scene.words)
    assert code in (0, *scene.again), f"repeated it exits with {code}: {said}"
    found = stage.state()
    assert found == expected, f"repeated it does not complete: {_difference(found, expected)}"
    scene.result(stage)
    left = left_overs(root, stage.home) if code == 0 and scene.words[0] not in ("config", "remote", "gc") else []
    assert left == [], f"after the repeated command temporary files stay: {left}"
    if at % 3 == 0 or scene.configures:
        _next(stage, at)


def _each_before_or_after(stage, found, expected):
    """Each metafile and each file of ignore rules is as it was, or as it shall be."""
    for path in [path for path in expected if path.endswith((".kist", ".gitignore"))]:
        kind, content = found[path]
        entry = (kind, sorted(content.splitlines())) if path.endswith(".gitignore") else (kind, content)
        assert entry in (stage.before.get(path), expected[path]), f"{path} is neither as before nor merged: {entry}"


def _difference(found, expected):
    differing = {key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
    return {key: (str(found.get(key))[:200], str(expected.get(key))[:200]) for key in differing}


# One kind of command after another comes first after a kill; each is put back, so that the repeated command has the
# result that it would have had.
_KINDS = (
    (("add", "unrelated.bin"), ("remove", "unrelated.bin")),
    (("push",),),
    (("move", "other.bin", "away.bin"), ("move", "away.bin", "other.bin")),
    (("commit",),),
    (("fetch",),),
    (("gc", "-f", "-A"),),
    (("checkout", "other.bin"),),
    (("remove", "--keep", "other.bin"), ("add", "other.bin")),
    (("pull", "other.bin"),),
    (("config", "--local", "core.jobs", "2"), ("config", "--local", "--unset", "core.jobs")),
    (("remote", "add", "third", "../third"), ("remote", "remove", "third")),
)
_READERS = (("verify",), ("list", "-R"), ("diff",), ("log",), ("doctor",), ("trash",), ("gc", "--dry-run"))


def _another(stage, expected, at):
    """Another command comes next, mostly."""
    root, scene = stage.root, stage.scene
    reader, kind = _READERS[at % len(_READERS)], _KINDS[at % len(_KINDS)]
    code, said = cli(root, *reader)
    # What was not brought yet is told as missing, and a conflict where somebody left one.
    refused = code in (1, 8) and scene.unsure and reader[0] in ("gc", "doctor")
    refused = refused or (
        code in (1, 7) and "has a conflict that Git left" in said and bool(conflicts(workspace(root)))
    )
    assert code == 0 or (code == 8 and scene.lacks) or refused, f"'kist {' '.join(reader)}' exits with {code}: {said}"
    if kind[0][0] in _not_now(scene):
        return
    write(root, {"unrelated.bin": b"unrelated\n"})
    for words in kind:
        good(root, *words)
        if words[0] not in ("config", "remote", "gc"):  # which change no data, or found nothing to do
            left = left_overs(root)
            assert left == [], f"after 'kist {' '.join(words)}' temporary files stay: {left}"
    Path(root, "unrelated.bin").unlink(missing_ok=True)
    if not scene.unsaved:
        path = os.path.join(root, "data.kist")
        metafile = entry_of(path) if os.path.lexists(path) else None
        assert metafile in (stage.before.get("data.kist"), expected.get("data.kist")), "a version that nobody made"


def _not_now(scene):
    """Kinds of command that would change the result, or have nothing to work on."""
    if scene.conflict:
        return tuple(kind[0][0] for kind in _KINDS if kind[0][0] not in ("add", "config"))
    if scene.lacks:
        return ("push", "move", "commit", "gc", "checkout", "remove")
    if scene.base == "untracked":
        return ("push", "move", "fetch", "gc", "checkout", "remove", "pull")
    if scene.configures:
        return ("config", "remote", "push", "fetch", "pull", "commit")  # the new setting may ask for another version
    if "KIST_CACHE_TYPE" in scene.settings:  # which other commands would use too
        return ("remove", "move", "checkout", "pull")
    never = ("commit",) if scene.unsaved else ("gc",) if scene.unsure else ()
    return never or (("remove", "move") if "fresh" in scene.name else ())


def _next(stage, at):
    """The life goes on: add, checkout of the version before, push; nothing temporary stays."""
    root, scene = stage.root, stage.scene
    write(root, {"later/later.txt": b"later\n"})
    good(root, "add", "later")
    left = left_overs(root, stage.home)
    assert left == [], f"temporary files stay: {left}"
    if scene.words[0] == "push":  # which has just been repeated, as the next command that writes there
        left = left_overs(stage.store)
        assert left == [], f"temporary files stay on the remote: {left}"
    if scene.base == "versioned":
        if scene.lacks:
            good(root, "fetch", "-A")
        revision, wanted = (("v1", V1), ("HEAD", V2))[at // 3 % 2]
        good(root, "checkout", "data", "--rev", revision, "-f")
        for path, content in wanted.items():
            assert Path(root, path).read_bytes() == content, f"of {revision}, which was committed, {path} is lost"
    good(root, "verify")
