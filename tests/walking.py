"""What a folder holds, told by no code of kist."""

import os


def walk(folder, without=()):
    """Path -> (kind, content) of everything below a folder, by plain calls of the operating system.

    Args:
        folder: which; nothing is found in one that is not there.
        without: names right below it that are left out, with all that is in them.
    """
    return {
        key: ("directory", b"") if entry.is_dir(follow_symlinks=False) else entry_of(entry.path)
        for key, entry in _below(folder, "", without)
    }


def names(folder):
    """The paths of everything below a folder."""
    return [key for key, _ in _below(folder, "", ())]


def entry_of(path):
    """(kind, content) of one path."""
    if os.path.islink(path):
        return ("symlink", os.readlink(path))
    if os.path.isdir(path):
        return ("directory", b"")
    with open(path, "rb", buffering=0) as stream:
        return ("executable" if os.fstat(stream.fileno()).st_mode & 0o100 else "file", stream.read())


def _below(folder, prefix, without):
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.name in without:
            continue
        yield prefix + entry.name, entry
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}{entry.name}{os.sep}", ())
