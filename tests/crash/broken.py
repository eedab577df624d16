"""Products that are broken on purpose: each must be caught."""

import os
import sys


def removes_before_it_replaces():
    """A metafile goes before the new one is there."""
    from kist.util import atomic

    plain = atomic.write_file

    def broken(path, data, **options):
        if path.suffix == ".kist" and path.exists():
            path.unlink()
        plain(path, data, **options)

    _everywhere(plain, broken)


def writes_in_place():
    """A metafile is overwritten."""
    from kist.util import atomic

    plain = atomic.write_file

    def broken(path, data, **options):
        if path.suffix != ".kist":
            plain(path, data, **options)
            return
        with open(path, "wb", buffering=0) as stream:
            stream.write(data[: len(data) // 2])
            stream.write(data[len(data) // 2 :])

    _everywhere(plain, broken)


def names_before_it_publishes():
    """The metafile is written before the packs with the objects that it names are in the cache."""
    from kist.repo import metafiles

    plain, save, waiting = os.replace, metafiles.save_many, []

    def replace(source, target, **options):
        if os.path.basename(os.path.dirname(target)) != "packs":
            plain(source, target, **options)
            return
        plain(source, f"{target}.later")
        waiting.append(target)

    def save_first(*args, **options):
        save(*args, **options)
        for target in waiting:
            plain(f"{target}.later", target)

    os.replace = os.rename = replace
    metafiles.save_many = save_first


def forgets_the_journal():
    """What a checkout is about to do stands nowhere by the time it is done."""
    from kist.engine.process.journal import Journal

    plain = Journal.begin

    def broken(self, *args, **options):
        record = plain(self, *args, **options)
        (record._path / "record").unlink()
        return record

    Journal.begin = broken


def hides_its_scratch():
    """Scratch folders have names that no later command looks for."""
    from kist.engine.process import scratch

    scratch.Scratch._lock_file = property(lambda self: self._base / f"{self.token}.unknown")


def swallows_errors():
    """Waiting for the disk never fails."""
    plain = os.fsync

    def broken(descriptor):
        try:
            plain(descriptor)
        except OSError:
            return

    os.fsync = broken


def _everywhere(plain, broken):
    for module in list(sys.modules.values()):
        if getattr(module, plain.__name__, None) is plain:
            setattr(module, plain.__name__, broken)
