"""Random work by hand in a tracked directory; whatever it does, it never writes into a file that is there."""

import shutil
from pathlib import Path

NAMES = ("a", "b", "c d", "sub/a", "sub/b", "sub/deep/e", "other/a", "other/f.txt", "ö")
LARGE = (1 << 20) + 5


def edit(top, rng):
    """Change a few things below a folder."""
    for _ in range(rng.randint(1, 5)):
        rng.choice(EDITS)(Path(top), rng)


def place(top, rng):
    """A path where something can be made: what stands in the way of its folders is gone."""
    path = top / rng.choice(NAMES)
    for above in reversed(path.relative_to(top).parents[:-1]):
        if (top / above).is_symlink() or (top / above).is_file():
            (top / above).unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    clear(path)
    return path


def clear(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def existing(top, rng):
    """Some file, or None."""
    found = sorted(path for path in top.rglob("*") if path.is_file() and not path.is_symlink())
    return rng.choice(found) if found else None


def small(top, rng):
    path = place(top, rng)
    path.write_bytes(b"%d\n" % rng.randint(0, 60))
    path.chmod(rng.choice((0o644, 0o644, 0o755)))


def large(top, rng):
    place(top, rng).write_bytes(rng.randbytes(100) * (LARGE // 100 + rng.randint(1, 9)))


def several(top, rng):
    for number in range(rng.randint(1, 12)):
        path = top / "many" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        clear(path)
        path.write_bytes(b"%d of many\n" % rng.randint(0, 999))


def delete(top, rng):
    path = existing(top, rng)
    if path is not None:
        clear(path if rng.random() < 0.8 or path.parent == top else path.parent)


def rename(top, rng):
    path = existing(top, rng)
    if path is not None:
        content, mode = path.read_bytes(), path.stat().st_mode
        path.unlink()
        target = place(top, rng)
        target.write_bytes(content)
        target.chmod(mode)


def link(top, rng):
    place(top, rng).symlink_to(rng.choice(("a", "nowhere", "sub")))


def empty(top, rng):
    place(top, rng).mkdir()


EDITS = (small, small, small, large, several, delete, rename, link, empty)
