"""A remote on which one collects while another pushes, and what is lost then."""

from __future__ import annotations

from contextlib import contextmanager, suppress

from gc_support import age

from kist.engine.gc.collect_remote import RemoteCollector
from kist.engine.gc.roots import GcRoot
from kist.engine.transfer.parts import TransferSettings
from kist.errors import KistError, ObjectMissing, RemotePrecondition, TransferError
from kist.remotes.memory import MemoryRemote
from kist.util import clock

KEEPER, OTHER = "keeper", "other"
LARGE, SEGMENTED = 3 << 10, 5 << 10
OLD = {f"old{number}": b"old %d" % number for number in range(9)} | {"both": b"both", "large": b"L" * LARGE}
OLD |= {"segmented": bytes(range(256)) * (SEGMENTED // 256)}
NEW = {f"new{number}": b"new %d" % number for number in range(9)} | {"both": b"both"}
FRESH = {"fresh": b"fresh", "both": b"both", "old1": OLD["old1"], "large": OLD["large"]}
REPEATS = 4
"""How often a push that gc crossed is repeated at most: each crossing needs a gc that ends within it."""


class Clock:
    """The clock of whoever pushes or collects, which a test moves on."""

    def __init__(self, monkeypatch):
        self.ahead = 0.0
        plain = clock.steady
        monkeypatch.setattr(clock, "steady", lambda: plain() + self.ahead)


class Scene:
    """A remote on which a keeper collects, and other repositories that push."""

    def __init__(self, clone, monkeypatch):
        self.monkeypatch = monkeypatch
        self.clock = Clock(monkeypatch)
        self.clone = clone
        self.objects = {}
        self.hook = None
        self.left = self.tried = 0
        self.losses: list[tuple] = []
        self.keeper = clone(MemoryRemote(self.objects, gate=self._gate), pack_threshold=2 << 10)
        self.other = clone(MemoryRemote(self.objects, gate=self._gate), pack_threshold=2 << 10)
        self.new, self.old = self.keeper.add(NEW), self.keeper.add(OLD)
        self.versions = {name: self.other.add(files) for name, files in (("old", OLD), ("fresh", FRESH), ("new", NEW))}

    def _gate(self, _method):
        """Called before each call of the one that is interrupted; the other one's calls do not count."""
        if self.hook is None:
            return
        self.left -= 1
        if not self.left:
            hook, self.hook = self.hook, None
            hook()

    @contextmanager
    def interrupted(self, at, hook):
        """Run *hook* before the call number *at* of what follows; afterwards ``hook`` is None if it ran."""
        self.hook, self.left = hook, at
        yield

    def old_is_dead(self, *, condemned=None):
        """What is on the remote: NEW living; OLD pushed once and needed by nobody, condemned for some seconds."""
        self.keeper.push(self.old, repository_id=KEEPER, jobs=1)
        self.keeper.push(self.new, bases=[self.old], repository_id=KEEPER, jobs=1)
        if condemned is not None:
            age(self.keeper.remote, 60)
            self.collect()
            age(self.keeper.remote, condemned)
        self.saved = dict(self.objects)

    def restore(self):
        """The same remote again; who pushes remembers nothing of it but that it is there."""
        self.objects.clear()
        self.objects.update(self.saved)
        self.clock.ahead, self.hook = 0.0, None
        self.other.store().hints.clear()

    def pass_time(self, seconds):
        """Let time pass, on the remote and for who pushes or collects."""
        age(self.keeper.remote, seconds)
        self.clock.ahead += seconds

    def collect(self):
        gc = RemoteCollector(self.keeper.store(), KEEPER, TransferSettings(self.keeper.codec, 1))
        return gc.apply(gc.plan([GcRoot(self.new.root, is_directory=True)]))

    def push(self, name):
        self.other.push(self.versions[name], bases=[self.new], repository_id=OTHER, jobs=1)

    def push_until_done(self, name):
        """Push as a person does: again, if it says so."""
        for _ in range(REPEATS):
            try:
                return self.push(name)
            except (RemotePrecondition, TransferError, ObjectMissing):
                continue
        return self.push(name)

    def lost(self, *names):
        """Which versions cannot be had from the remote, now and after everything that is condemned has gone."""
        found = []
        for looked_at in (names[:1], names):
            for name in looked_at:
                there = self.clone(MemoryRemote(self.objects), memory=False, pack_threshold=2 << 10)
                try:
                    there.fetch(self.versions[name], jobs=1)
                except KistError as error:
                    found.append((name, error))
            age(self.keeper.remote)
            try:
                self.collect()
            except ObjectMissing as error:
                found.append(("gc", error))
                break
        return found


@contextmanager
def crossed():
    """A push that gc crossed may say so; it is repeated."""
    with suppress(RemotePrecondition, TransferError):
        yield
