"""The dictionary model: versions as {path: (kind, content)}, and a workspace read without any code of kist."""

import os
import shutil
import subprocess
from pathlib import Path

METAFILE = ".kist"
DIRECTORY = ("directory", b"")


def git(root, *words):
    done = subprocess.run(["git", *words], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def read_entry(path):
    """(kind, content) of one file, link or empty folder; None if nothing is there."""
    if os.path.islink(path):
        return ("symlink", os.fsencode(os.readlink(path)))
    if os.path.isdir(path):
        return DIRECTORY
    if not os.path.lexists(path):
        return None
    with open(path, "rb") as stream:
        return ("executable" if os.stat(path).st_mode & 0o100 else "file", stream.read())


def read_workspace(root):
    """Path -> (kind, content) of all data in a workspace: files, links, empty folders; no metafiles."""
    found = {}
    for top, folders, files in os.walk(root):
        here = os.path.relpath(top, root)
        if here == ".":
            folders[:] = [name for name in folders if name not in (".git", ".kist")]
            files = [name for name in files if not name.endswith((METAFILE, ".gitignore"))]
        elif not folders and not files:
            found[here] = DIRECTORY
        for name in [*files, *(name for name in folders if os.path.islink(os.path.join(top, name)))]:
            found[os.path.normpath(os.path.join(here, name))] = read_entry(os.path.join(top, name))
    return found


def write_entry(path, entry):
    kind, content = entry
    os.makedirs(os.path.dirname(path), exist_ok=True)
    delete(path)
    if kind == "symlink":
        os.symlink(os.fsdecode(content), path)
    elif kind == "directory":
        os.mkdir(path)
    else:
        with open(path, "wb") as stream:
            stream.write(content)
        os.chmod(path, 0o755 if kind == "executable" else 0o644)


def delete(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def at_or_below(path, top):
    return path == top or path.startswith(top + "/")


def part(version, top):
    """The entries of a version at or below a path."""
    return {path: entry for path, entry in version.items() if at_or_below(path, top)}


def exchanged(version, top, new, empty=()):
    """A version with everything at or below *top* exchanged by *new*; folders above stay right.

    Args:
        version: the old one.
        top: the path.
        new: entries at or below it.
        empty: folders that are empty in the workspace: one that loses its last entry is recorded as such.
    """
    found = {path: entry for path, entry in version.items() if not at_or_below(path, top)}
    above = [str(one) for one in Path(top).parents if str(one) != "."]
    if new:
        for folder in above:
            found.pop(folder, None)
        found.update(new)
    elif part(version, top):
        for folder in above:
            if folder in empty and not part(found, folder):
                found[folder] = DIRECTORY
    return found or {top.partition("/")[0]: DIRECTORY}  # an output that has lost all entries stays one


def prefixed(version, old, new):
    """The same entries below another path."""
    return {new + path[len(old) :]: entry for path, entry in version.items()}


def trash_contents(root):
    """Contents of everything in the trash."""
    found = set()
    for top, _, files in os.walk(os.path.join(root, ".git", "kist", "trash")):
        found.update(read_entry(os.path.join(top, name))[1] for name in files)
    return found
