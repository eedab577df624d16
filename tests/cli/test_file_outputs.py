"""Many outputs of one file each: what is unchanged costs a look, and every change is seen."""

import os
import time

from cli_support import write

from kist.operations import status


def edit_quietly(path):
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


CHANGES = {
    "files/edited.bin": edit_quietly,
    "files/executable.bin": lambda path: path.chmod(0o755),
    "files/link.bin": replace_by_link,
    "files/gone.bin": lambda path: path.unlink(),
}


def test_only_what_may_have_changed_is_scanned(repo, monkeypatch):
    same = ["files/same.bin", "files/deep/same.bin", "same.bin"]
    names = [*CHANGES, *same]
    write(repo.folder, {name: f"content of {name}\n" for name in names})
    repo("add", *names)
    time.sleep(2.1)  # what is younger is looked at again
    scanned = []
    compare = status.compare_target
    monkeypatch.setattr(
        status, "compare_target", lambda context, target: scanned.append(target.path) or compare(context, target)
    )
    assert repo.json("status").data["clean"]
    scanned.clear()
    assert repo.json("status").data["clean"]
    assert scanned == []
    for name, change in CHANGES.items():
        change(repo.folder / name)
    found = repo.json("status", code=None)
    changed = {one["path"]: one["change"] for one in found.data["changes"]}
    assert sorted(scanned) == sorted(CHANGES)
    assert (
        changed.items()
        >= {
            "files/edited.bin": "modified",
            "files/executable.bin": "modified",
            "files/gone.bin": "missing",
        }.items()
    )
    assert set(changed).isdisjoint(same)
