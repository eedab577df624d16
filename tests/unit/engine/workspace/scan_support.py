"""What the tests of scans share: a repository of a few files, and a sink in memory."""

import hashlib
import os
import time
from pathlib import Path

from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.pure_kernel import PureKernel
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.scan import Scanner
from kist.errors import WorkspaceError
from kist.model.columns import Columns
from kist.model.digest import Digest

HOUR = 3600 * 1_000_000_000


def root_of(whole):
    """A digest of all entries, in the place of a manifest's root."""
    assert whole.paths == sorted(set(whole.paths))
    return Digest(whole.algorithm, hashlib.sha256(repr(list(whole.entries())).encode()).hexdigest())


class Store:
    """A sink that keeps everything in memory, and checks what it is told."""

    def __init__(self):
        self.objects = {}
        self.asked = 0

    def missing(self, raws):
        self.asked += 1
        return [raw for raw in raws if raw not in self.objects]

    def put_small(self, raws, buffers):
        assert len(raws) == 32 * len(buffers)
        for number, buffer in enumerate(buffers):
            assert hashlib.sha256(buffer).digest() == raws[number * 32 : number * 32 + 32]
            self.objects[hashlib.sha256(buffer).digest()] = bytes(buffer)

    def put_stream(self, reader, size, *, progress):
        data = b""
        while block := os.read(reader, 1 << 20):
            data += block
            progress.advance(len(block))
        if len(data) != size:
            raise WorkspaceError("changed")
        raw = hashlib.sha256(data).digest()
        self.objects[raw] = data
        return raw


class Repo:
    """A folder with an output ``data`` and its private folder."""

    def __init__(self, root):
        self.root = root
        self.data = root / "data"
        self.private = root / "private"
        self.data.mkdir(exist_ok=True)
        self.private.mkdir(exist_ok=True)

    def scanner(self, **options):
        options = {"kernel": PureKernel(), "hasher": HashlibHasher("sha256"), "ignore": IgnoreRules(), **options}
        options.setdefault("fingerprints", Fingerprints(self.private / "fingerprints.sqlite"))
        return Scanner(self.root, **options)

    def write(self, path, content=b"content", age=HOUR):
        place = Path(os.fsdecode(os.fsencode(self.data) + b"/" + os.fsencode(path)))
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        os.utime(place, ns=(time.time_ns() - age,) * 2)
        return place

    def add(self, sink=None, **options):
        """Scan, commit and save; returns the scan, its entries and the root that was committed."""
        scanner = self.scanner(**options)
        scan = scanner.scan(b"data", sink)
        whole = Columns.concat(scanner.hasher.name, scanner.hasher.digest_size, scan)
        root = root_of(whole)
        scan.commit_fingerprints(root)
        assert scanner.fingerprints.save()
        return scan, {entry.path: entry for entry in whole.entries()}, root

    def is_clean(self, root, **options):
        return self.scanner(**options).is_clean(b"data", root)
