"""Random work in several clones with one remote, commands killed at random, and a model that knows what must be there."""

import random
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edits import edit
from soak_support import OUTPUT, Kill, Running, Versions, contents, differing, git, metafile, reachable

KILLED = 0.3
"""The part of the commands that is to be killed; some end before."""
MISSING = ("ObjectMissing", "TransferError")
"""How commands tell that objects are nowhere to be had."""
UNSAVED = ("UnsavedChanges",)


@dataclass
class Clone:
    """One clone.

    Args:
        name: of the clone and of its branch.
        root: its folder.
        local: versions that its cache must have whole.
    """

    name: str
    root: Path
    local: set = field(default_factory=set)

    @property
    def digest(self):
        """The version that its metafile names."""
        return metafile(self.root)[1]


class Soak:
    """One run.

    Args:
        folder: an empty folder.
        seed: repeats the choices of a run; what happens at the same time remains chance.
        sabotage: called in each process before its command, to break it.
        only: names of the works to choose from, all if empty.
    """

    def __init__(self, folder, seed, sabotage=None, only=()):
        self.folder, self.seed, self._sabotage, self._only = Path(folder), seed, sabotage, only
        self.rng = random.Random(seed)
        self.versions = Versions()
        self.commands, self.kills, self.steps, self.history = Counter(), Counter(), 0, []
        self.clones = self._begin()

    def _begin(self):
        """Three clones: two share a cache, the third links its files."""
        git(self.folder, "init", "-q", "--bare", "-b", "main", "--template=", "origin.git")
        first = self.folder / "one"
        git(self.folder, "clone", "-q", "--template=", "origin.git", "one")
        clones = [Clone("one", first)]
        self.do(clones[0], "init")
        self.do(clones[0], "remote", "add", "-d", "store", str(self.folder / "store"))
        (first / OUTPUT).mkdir()
        edit(first / OUTPUT, random.Random(1))
        self.do(clones[0], "add", OUTPUT)
        self._commit(clones[0])
        git(first, "push", "-q", "origin", "HEAD:refs/heads/main")
        for name in ("two", "three"):
            git(self.folder, "clone", "-q", "--template=", "origin.git", name)
            clones.append(Clone(name, self.folder / name))
        for clone in clones[:2]:
            self.do(clone, "config", "--local", "cache.dir", str(self.folder / "cache"))
        self.do(clones[2], "config", "--local", "cache.type", "hardlink,copy")
        self.do(clones[0], "add", OUTPUT)
        self.recorded(clones[0])
        self.do(clones[0], "push")
        self.versions.pushed.add(clones[0].digest)
        for clone in clones[1:]:
            self.do(clone, "pull")
            clone.local.add(clone.digest)
        return clones

    # ── running ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self, clone, words, kill):
        self.commands[words[0]] += 1
        return Running(clone.root, words, kill, self._sabotage)

    def do(self, clone, *words, allow=()):
        """Run a command that nobody kills."""
        return self.check(self.start(clone, words, None).wait(), allow)

    def check(self, outcome, allow):
        """A command was killed, or did well, or complained of what it may."""
        self.history.append(
            f"{self.steps} {outcome.folder.name} {' '.join(outcome.words)}: {outcome.code} {outcome.errors} {metafile(outcome.folder)[1][:16]}"
        )
        if outcome.killed:
            self.kills[outcome.words[0]] += 1
        elif outcome.code != 0:
            assert outcome.errors, str(outcome)
            assert set(outcome.errors) <= set(allow), f"{outcome}\nallowed: {allow}"
        return outcome

    def kill(self):
        """Whether and how the next command is killed."""
        if self.rng.random() >= KILLED:
            return None
        if self.rng.random() < 0.6:
            return Kill(call=self.rng.choice((self.rng.randint(1, 12), self.rng.randint(1, 80))))
        return Kill(seconds=self.rng.uniform(0.001, 0.15))

    def step(self):
        """Let one, two or three clones do something at the same time."""
        self.steps += 1
        if self.rng.random() < 0.03:
            works = [self.collect_remote_now(self.rng.choice(self.clones))]
        else:
            chosen = self.rng.sample(self.clones, self.rng.choice((1, 2, 3)))
            works = [self.rng.choice(self.works())(clone) for clone in chosen]
            if self.rng.random() < 0.3:
                works.append(self.look(self.rng.choice(chosen), alone=False))
        answers = dict.fromkeys(works)
        while answers:
            running = []
            for work, answer in list(answers.items()):
                try:
                    clone, words, allow = work.send(answer)
                except StopIteration:
                    del answers[work]
                else:
                    running.append((work, self.start(clone, words, self.kill()), allow))
            ended = [(work, one.wait(), allow) for work, one, allow in running]
            for work, outcome, allow in ended:
                answers[work] = self.check(outcome, allow)

    def works(self):
        """What there is to do, the frequent more than once."""
        if self._only:
            return [getattr(self, name) for name in self._only]
        return (
            *[self.record] * 5,
            *[self.push] * 4,
            *[self.merge] * 3,
            *[self.check_out] * 2,
            *[self.bring] * 2,
            *[self.part] * 2,
            self.collect,
            self.collect_remote,
            self.configure,
            self.look,
        )

    # ── what a clone does: each yields (clone, words, allowed errors) and gets the outcome ────────────────────────────

    def recorded(self, clone, tree=...):
        """Note which version the metafile names by now, of what the workspace holds."""
        text, digest = metafile(clone.root)
        self.versions.note(text, digest, contents(clone.root) if tree is ... else tree)
        return digest

    def record(self, clone):
        edit(clone.root / OUTPUT, self.rng)
        before = clone.digest
        outcome = yield clone, self.rng.choice((("add", OUTPUT), ("commit",))), ()
        if not outcome.killed or clone.digest != before:
            clone.local.add(self.recorded(clone))
        if self.rng.random() < 0.7:
            self._commit(clone)

    def part(self, clone):
        """Move or remove a part of the directory."""
        there = sorted(contents(clone.root))
        before = clone.digest
        was = contents(clone.root) == self.versions.trees.get(before)
        if not there or not was or before not in clone.local:
            return
        path = f"{OUTPUT}/{self.rng.choice(there)}"
        words = ("rm", path) if self.rng.random() < 0.5 else ("mv", path, f"{OUTPUT}/moved-{self.rng.randint(0, 9)}")
        outcome = yield clone, words, ("PathConflict", "PathNotTracked", "UnsavedChanges", "UsageError")
        if clone.digest != before:
            done = outcome.code == 0
            digest = self.recorded(clone) if done else self.recorded(clone, None)
            clone.local.add(digest)

    def _commit(self, clone):
        """Commit in Git, and tell the others."""
        git(clone.root, "add", "-A")
        if git(clone.root, "diff", "--cached", "--quiet", check=False):
            git(clone.root, "commit", "-q", "-m", f"step {self.steps}")
        commit = git(clone.root, "rev-parse", "HEAD")
        self.versions.committed[commit] = clone.digest
        git(clone.root, "push", "-q", "origin", f"HEAD:refs/heads/{clone.name}")

    def merge(self, clone):
        """Take over what another clone has committed; the metafile is that of one side."""
        self._commit(clone)
        git(clone.root, "fetch", "-q", "origin")
        other = self.rng.choice([one.name for one in self.clones if one is not clone] + ["main"])
        if git(clone.root, "rev-parse", "-q", "--verify", f"origin/{other}", check=False):
            return
        side = self.rng.choice(("--ours", "--theirs"))
        if git(clone.root, "merge", "-q", "--no-edit", f"origin/{other}", check=False):
            for path in git(clone.root, "diff", "--name-only", "--diff-filter=U").splitlines():
                git(clone.root, "checkout", side, "--", path)
        self._commit(clone)
        yield from self.bring(clone)

    def check_out(self, clone):
        commits = reachable(clone.root)
        revision = self.rng.choice([None, self.rng.choice(commits)])
        force = self.rng.random() < 0.5
        digest = clone.digest if revision is None else self.versions.committed[revision]
        words = ("checkout", *(("-f",) if force else ()), *(("--rev", revision) if revision else ()))
        allow = (() if force else UNSAVED) + (() if digest in clone.local else MISSING)
        outcome = yield clone, words, allow
        self._as_recorded(clone, digest, outcome)

    def _as_recorded(self, clone, digest, outcome):
        """After a checkout that did well: all that the version has is there; files that nobody recorded may be, too."""
        if outcome.code != 0:
            return
        assert clone.digest == digest
        tree, now = self.versions.trees[digest], contents(clone.root)
        if tree is not None:
            lost = [path for path, entry in tree.items() if entry[0] != "directory" and now.get(path) != entry]
            assert not lost, f"{outcome} left {lost} of {digest} wrong"
        clone.local.add(digest)

    def bring(self, clone):
        digest, commits = clone.digest, reachable(clone.root)
        words = self.rng.choice((("pull",), ("pull", "-f"), ("fetch",), ("fetch", "-A")))
        allow = UNSAVED if words == ("pull",) else ()
        if (digest not in clone.local and digest not in self.versions.pushed) or words[-1] == "-A":
            allow += MISSING
        outcome = yield clone, words, allow
        if words[0] == "pull":
            self._as_recorded(clone, digest, outcome)
        elif outcome.code == 0:  # -A brings what commits name, and not what stands in the workspace only
            clone.local |= {digest} if words[-1] != "-A" else {self.versions.committed[one] for one in commits}

    def push(self, clone):
        digest, commits = clone.digest, reachable(clone.root)
        words = self.rng.choice((("push",), ("push",), ("push", "-A")))
        known = clone.local | self.versions.pushed
        allow = MISSING if digest not in known or words[-1] == "-A" else ()
        outcome = yield clone, words, allow
        if outcome.code == 0:  # as with fetch
            sent = {digest} if words[-1] != "-A" else {self.versions.committed[one] for one in commits}
            self.versions.pushed |= sent

    def collect(self, clone):
        workspace = self.rng.random() < 0.5
        keep = {clone.digest}
        if not workspace:
            keep |= {self.versions.committed[commit] for commit in reachable(clone.root)}
        clone.local &= keep
        now = ("--now",) if self.rng.random() < 0.5 else ()
        yield clone, ("gc", "-f", *(("-w",) if workspace else ()), *now), ()

    def collect_remote(self, clone):
        """Condemn on the remote; with the default grace nothing goes."""
        yield clone, ("gc", "-r", "store", "-f"), ()

    def collect_remote_now(self, clone):
        """Delete on the remote what no commit of anybody needs, while nobody else is there."""
        git(clone.root, "fetch", "-q", "origin")
        needed = {clone.digest, *self.versions.committed.values()}
        self.do(clone, "config", "--local", "gc.grace", "0")
        self.versions.pushed &= needed
        for _ in range(2):
            yield clone, ("gc", "-r", "store", "-f"), ()
        self.do(clone, "config", "--local", "--unset", "gc.grace")

    def configure(self, clone):
        yield clone, ("config", "--local", "core.jobs", str(self.rng.randint(1, 8))), ()

    def look(self, clone, *, alone=True):
        """Readers, which change nothing and are not disturbed by whoever does."""
        words = self.rng.choice((("status",), ("diff",), ("list",), ("verify",), ("log", OUTPUT)))
        needed = {clone.digest}
        if words == ("diff",):  # of the commit to the workspace; gc -w takes what only commits name
            needed.add(self.versions.committed[git(clone.root, "rev-parse", "HEAD")])
        allow = () if needed <= clone.local and alone else (*MISSING, "ObjectError")
        yield clone, words, allow if words[0] in ("verify", "diff", "status") else ()

    # ── in the end ───────────────────────────────────────────────────────────────────────────────────────────────────

    def run(self, *, minutes=0.0, steps=0):
        """Work for a time, or for a number of steps, then look whether all is there."""
        end = time.monotonic() + 60 * minutes
        while self.steps < steps or time.monotonic() < end:
            self.step()
        self.finish()
        return self

    def last(self, count=60):
        """The last commands, each with its step, clone, exit code, errors and the version that was recorded then."""
        return "\n".join(self.history[-count:])

    def finish(self):
        for clone in self.clones:
            self.do(clone, "add", OUTPUT)
            clone.local.add(self.recorded(clone))
            self.do(clone, "verify")
            self.do(clone, "push")
            self.versions.pushed.add(clone.digest)
        for clone in self.clones:  # each sweeps what its own killed processes left, in the shared cache too
            left = _left_overs(clone.root, self.folder / "cache")
            assert not left, left
        for clone in self.clones:
            for digest in self.rng.sample(sorted(clone.local), min(10, len(clone.local))):
                self._comes_back(clone, digest, "checkout")
        git(self.folder, "clone", "-q", "--template=", "origin.git", "fresh")
        fresh = Clone("fresh", self.folder / "fresh")
        for digest in sorted(self.versions.pushed):
            self._comes_back(fresh, digest, "pull")

    def _comes_back(self, clone, digest, verb):
        """A version is brought into an empty workspace, whole."""
        shutil.rmtree(clone.root / OUTPUT, ignore_errors=True)
        (clone.root / f"{OUTPUT}.kist").write_text(self.versions.texts[digest])
        self.do(clone, verb)
        tree = self.versions.trees[digest]
        if tree is not None:
            found = contents(clone.root)
            assert found == tree, f"{digest} came back different: {differing(found, tree)}"

    def __str__(self):
        verbs = ", ".join(f"{verb} {count}" for verb, count in sorted(self.commands.items()))
        return (
            f"seed {self.seed}: {self.steps} steps, {self.commands.total()} commands, {self.kills.total()} of them "
            f"killed; {len(self.versions.texts)} versions, {len(self.versions.pushed)} of them pushed and brought back "
            f"({verbs})"
        )


def _left_overs(root, cache):
    """What should not lie there when nobody works."""
    private = root / ".git" / "kist"
    found = [str(path) for top in (root, cache) for path in top.rglob("*") if ".kist-tmp-" in path.name]
    for folder in (private / "tmp", private / "cache" / "tmp", cache / "tmp"):
        found += [str(path) for path in folder.glob("*")]
    return found + [str(path) for path in private.glob("*/journal/*")]
