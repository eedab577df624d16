"""What the hostile suite shares: forged manifests and metafiles, what a place looked like before, and traps that tell."""

import os
import stat
from pathlib import Path

from cli_support import write

from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.repo.context import RepoContext

EVIL = b"evil"
PRIVATE = (".git", ".kist")


def seen(*folders):
    """Path -> (type and mode, content or target) of all that lies below folders, but for private folders.

    Two equal answers mean that nothing was made, changed or taken away.
    """
    found = {}
    for folder in folders:
        for top, names, files in os.walk(folder):
            names[:] = [name for name in names if name not in PRIVATE]
            for name in [*names, *files]:
                path = os.path.join(top, name)
                found[path] = (os.lstat(path).st_mode, _content(path))
    return found


def _content(path):
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return os.readlink(path)
    return Path(path).read_bytes() if stat.S_ISREG(mode) else b""


def store(folder):
    """Put the content of forged files into the cache of a repository: its digest."""
    context = RepoContext.find(Path(folder), settings={})
    digest = Digest.from_raw(context.algorithm, context.hasher(context.algorithm).raw(EVIL))
    with context.writing(), context.storing() as storing:
        storing.sink(context.algorithm).put_small(digest.raw, [EVIL])
        storing.commit()
    return digest


def forge(folder, rows, monkeypatch, name="evil"):
    """Put a manifest that the codec itself would never write into the cache, and a metafile for it.

    Args:
        folder: the repository's.
        rows: (path, kind, and of symbolic links the target) of each entry.
        monkeypatch: silences the checks of who writes.
        name: of the output.
    """
    context = RepoContext.find(Path(folder), settings={})
    algorithm = context.algorithm
    digest = Digest.from_raw(algorithm, context.hasher(algorithm).raw(EVIL))
    parts = Columns(algorithm, len(digest.raw))
    for path, kind, *target in rows:
        content = kind not in ("symlink", "directory")
        entry = Entry(
            path,
            kind,
            4 * content,
            digest if content else None,
            (target or [b"/tmp"])[0] if kind == "symlink" else None,
        )
        one = Columns.from_entries(algorithm, len(digest.raw), [entry])
        parts = Columns.concat(algorithm, len(digest.raw), [parts, one])
    with monkeypatch.context() as careless, context.writing(), context.storing() as storing:
        for module in ("cut", "format"):
            for check in ("check_columns", "check_order"):
                careless.setattr(f"kist.engine.manifest.{module}.{check}", lambda *facts: None)
        for check in ("_check_columns", "check_paths"):
            careless.setattr(f"kist.engine.manifest.format.{check}", lambda *facts: None)
        careless.setattr("kist.engine.manifest.cut.OrderCheck.follows", lambda *facts: None)
        storing.sink(algorithm).put_small(digest.raw, [EVIL])
        view = context.codec.write(
            [parts], storing.put_node(algorithm), context.hasher(algorithm), storing.read_nodes(algorithm)
        )
        storing.commit()
    lines = [f"format: kist/1\npath: {name}\nmanifest: {view.root}\n", f"files: {len(rows)}\nsize: {4 * len(rows)}\n"]
    write(folder, {f"{name}.kist": "".join(lines)})


class Traps:
    """Modules that tell when somebody imports them, by leaving their name in a file outside of the repository."""

    def __init__(self, folder):
        self.log = Path(folder) / "sprung"

    def code(self, name):
        return f"with open({str(self.log)!r}, 'a') as log: log.write({name!r} + '\\n')\n"

    def set(self, folder, names):
        """Put modules of these names into a folder."""
        for name in names:
            (Path(folder) / f"{name}.py").write_text(self.code(name))

    @property
    def sprung(self):
        return self.log.read_text().split() if self.log.exists() else []
