"""What a folder holds, told by no code of kist."""

import os


def walk(folder):
    """Path -> (kind, content) of everything below a folder, by plain calls of the operating system."""
    found = {}
    for top, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(top, name)
            key = os.path.relpath(path, folder)
            if os.path.islink(path):
                found[key] = ("symlink", os.readlink(path))
            elif os.path.isdir(path):
                found[key] = ("directory", b"")
            else:
                with open(path, "rb") as stream:
                    found[key] = ("executable" if os.stat(path).st_mode & 0o100 else "file", stream.read())
    return found
