"""Real file systems for tests: images in a file, mounted through a loop device; needs root."""

import contextlib
import os
import subprocess
from pathlib import Path

from servers.processes import program, unavailable

MAKERS = {
    "xfs": ("xfsprogs", ["-q", "-m", "reflink=1"], 320),
    "btrfs": ("btrfs-progs", ["-q"], 256),
    "ext4": ("e2fsprogs", ["-q", "-F"], 64),
}
"""Kind -> (Debian package, options of mkfs, megabytes that it needs at least)."""


@contextlib.contextmanager
def mounted(kind, folder, megabytes=0, options=""):
    """A fresh file system while the block runs.

    Args:
        kind: xfs, btrfs or ext4.
        folder: an existing folder for the image and the mount point.
        megabytes: its size; the smallest that its kind allows if that is more.
        options: of mount.

    Yields:
        Its root, which everybody may write to.
    """
    package, arguments, least = MAKERS[kind]
    maker = program(f"mkfs.{kind}", package)
    if os.geteuid() != 0:
        unavailable(f"mounting an image of {kind} needs root")
    image, point = Path(folder) / f"{kind}.image", Path(folder) / kind
    with image.open("wb") as stream:
        stream.truncate(max(megabytes, least) << 20)
    subprocess.run([maker, *arguments, image], check=True, capture_output=True)
    point.mkdir()
    mounting = subprocess.run(
        ["mount", "-o", ",".join(["loop", *filter(None, [options])]), image, point], check=False, capture_output=True
    )
    if mounting.returncode:
        unavailable(f"this machine cannot mount an image of {kind}: {os.fsdecode(mounting.stderr).strip()}")
    try:
        point.chmod(0o1777)
        yield point
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)
        image.unlink()
