"""After a power cut at any moment, every version that add, commit or push reported done is there and verifies."""

import os
import subprocess

import pytest
from powercut_support import CUTS, WHOLE, Disk, begin, copied, in_child, losses, run, say

from servers.processes import program

whole = pytest.mark.skipif(not WHOLE, reason="part of 'tox run -e powercut'")


def moments(total, reports, count):
    """Steps to cut at: some right after a report, for then nothing may be left to do, the others spread evenly."""
    told = reports[:: max(1, 2 * len(reports) // count)]
    rest = max(1, count - len(told))
    return sorted({*told, *(1 + at * total // rest for at in range(rest))})


def cut_once(disk, at, mode, sabotage=None):
    """One fresh file system, one cut, mounted again; returns (what was reported done, what is lost)."""
    with disk.made():
        in_child(lambda: begin(disk.root))
        _, _, done = run(disk.root, disk.shut_down, [at], sabotage, mode)
        disk.unmount()
        disk.mount()
        return done, losses(disk.root, done)


def uncut(disk, mode):
    """(steps, those that are reports) of a run that nothing happens to."""
    with disk.made():
        in_child(lambda: begin(disk.root))
        total, reports, done = run(disk.root, mode=mode)
        assert losses(disk.root, done) == []
    return total, reports


def shut_down_again_and_again(kind, mode, folder, capsys):
    disk = Disk(kind, folder)
    total, reports = uncut(disk, mode)
    failures, kept = [], 0
    chosen = moments(total, reports, CUTS)
    for at in chosen:
        done, lost = cut_once(disk, at, mode)
        kept += len(done)
        failures += [f"step {at} of {total}: {one}" for one in lost]
    with capsys.disabled():
        say(f"{kind}, core.fsync={mode}: {len(chosen)} cuts in {total} steps, {kept} reports, {len(failures)} lost")
    assert failures == []
    assert kept


def copies(mode, folder, count, sabotage=None):
    """Copy a btrfs while it is written to, and mount each copy; returns (steps, copies, reports, failures)."""
    program("btrfs", "btrfs-progs")
    outer = Disk("xfs", folder, megabytes=1500)
    with outer.made():
        disk = Disk("btrfs", outer.root)
        with disk.made():
            in_child(lambda: begin(disk.root))
            total, reports, _ = run(disk.root, mode=mode)
            disk.unmount()
            disk.make()
            in_child(lambda: begin(disk.root))
            chosen = moments(total, reports, count)
            _, reports, done = run(
                disk.root, lambda step: copied(disk.image, outer.root / f"{step}.copy"), chosen, sabotage, mode
            )
        failures, kept = [], 0
        for at in chosen:
            told = [facts for facts, step in zip(done, reports, strict=True) if step <= at]
            kept += len(told)
            failures += [f"step {at} of {total}: {one}" for one in of_copy(outer.root / f"{at}.copy", told)]
    return total, len(chosen), kept, failures


def of_copy(image, told):
    """What a copy of a btrfs lacks of what was reported done; the copy goes."""
    # The kernel remembers a newer state of the file system with this id, and would refuse an older one.
    subprocess.run([program("btrfs", "btrfs-progs"), "device", "scan", "--forget"], check=True, capture_output=True)
    disk = Disk("btrfs", image.parent)
    image.rename(disk.image)
    with disk.gone_afterwards():
        disk.mount()
        return losses(disk.root, told)


def test_1_3_a_power_cut_on_ext4(tmp_path, capsys):
    shut_down_again_and_again("ext4", "batch", tmp_path, capsys)


@whole
@pytest.mark.parametrize(("kind", "mode"), [("ext4", "each"), ("xfs", "batch"), ("xfs", "each")])
def test_1_3_a_power_cut(kind, mode, tmp_path, capsys):
    shut_down_again_and_again(kind, mode, tmp_path, capsys)


@whole
@pytest.mark.parametrize("mode", ["batch", "each"])
def test_1_3_a_power_cut_on_btrfs(mode, tmp_path, capsys):
    total, cuts, kept, failures = copies(mode, tmp_path, CUTS)
    with capsys.disabled():
        say(f"btrfs, core.fsync={mode}: {cuts} copies in {total} steps, {kept} reports, {len(failures)} lost")
    assert failures == []
    assert kept


# ── the suite can fail ───────────────────────────────────────────────────────────────────────────────────────────────


def never_waits():
    """Wait for no disk."""
    from kist.engine.process import syncing

    os.fsync = lambda descriptor: None
    syncing.sync_file_system = lambda folder: True


def caught(kind, folder):
    """Cut right after reports until something is lost."""
    disk = Disk(kind, folder)
    _, reports = uncut(disk, "batch")
    return any(cut_once(disk, at, "batch", never_waits)[1] for at in reports)


def test_a_product_that_waits_for_no_disk_is_caught_on_ext4(tmp_path):
    assert caught("ext4", tmp_path)


@whole
def test_a_product_that_waits_for_no_disk_is_caught_on_xfs(tmp_path):
    assert caught("xfs", tmp_path)


@whole
def test_a_product_that_waits_for_no_disk_is_caught_on_btrfs(tmp_path):
    assert copies("batch", tmp_path, 20, never_waits)[3]
