"""Many processes on one repository, and on one shared cache: no failure, and what a serial run would give."""

import os
import shutil

from concurrency_support import WHOLE, all_at_once, failures, git, left_overs, tree, well, write

COUNT = 100 if WHOLE else 10


def files_of(number):
    """What one process adds: small files, one that all have, and one that becomes a loose object."""
    files = {f"{at}.txt": b"file %d of %d\n" % (at, number) for at in range(6)}
    return {**files, "same.txt": b"everybody has this\n", "large.bin": b"%08d" % number * (1 << 17)}


def site(folder):
    """A repository in Git with a shared directory and a remote, all of it recorded and pushed."""
    root = folder / "work"
    root.mkdir(parents=True)
    git(root, "init", "-q", "-b", "main", "--template=")
    well(root, "init")
    well(root, "remote", "add", "-d", "store", "../store")
    write(root, {f"data/{number:03}/first.txt": b"first %d\n" % number for number in range(COUNT)})
    write(root, {"old.bin": b"old\n"})
    well(root, "add", "data", "old.bin")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "start")
    well(root, "push")
    return root


def work_of(root, number):
    """What one process does: an output of its own, a part of a shared directory, and looking, moving and collecting."""

    def work(run):
        write(root, {f"own-{number:03}/{name}": content for name, content in files_of(number).items()})
        run(root, "add", f"own-{number:03}")
        write(root, {f"data/{number:03}/second.txt": b"second %d\n" % number})
        run(root, "status", "--json")
        run(root, "add", f"data/{number:03}")
        run(root, "push", f"own-{number:03}")
        os.unlink(root / f"own-{number:03}" / "0.txt")
        run(root, "checkout", f"own-{number:03}/0.txt")
        run(root, "diff")
        if number % 3 == 0:
            run(root, "pull", f"own-{number:03}", "old.bin")
        if number % 5 == 0:
            run(root, "gc", "-f")
        if number % 5 == 1:
            run(root, "verify")
        if number % 5 == 2:
            run(root, "mv", f"own-{number:03}/1.txt", f"own-{number:03}/moved.txt")
        if number % 5 == 3:
            run(root, "rm", f"own-{number:03}/2.txt")

    return work


def outcome(root):
    """What a run leaves: metafiles and workspace; the order of ignore rules is that of the commands."""
    found = tree(root)
    return {path: sorted(data.splitlines()) if path.endswith(".gitignore") else data for path, data in found.items()}


def test_3_3_many_processes_on_one_repository(tmp_path, capsys):
    root = site(tmp_path / "many")
    ran = all_at_once(tmp_path / "logs", [work_of(root, number) for number in range(COUNT)])
    with capsys.disabled():
        print(f"\n{COUNT} processes on one repository: {len(ran)} commands, {len(failures(ran))} failed")
    assert failures(ran) == []
    serial = site(tmp_path / "serial")
    for number in range(COUNT):
        work_of(serial, number)(well)
    assert outcome(root) == outcome(serial)
    well(root, "verify")
    well(root, "push")
    assert left_overs(root / ".git" / "kist") == []
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "all")
    git(tmp_path / "many", "clone", "-q", "work", "clone")
    well(tmp_path / "many" / "clone", "pull")
    assert tree(tmp_path / "many" / "clone") == tree(root)


def sharing(folder):
    """As many clones as there are processes, on one shared cache and one remote."""
    site(folder)
    roots = []
    for number in range(COUNT):
        roots.append(folder / f"clone-{number:03}")
        git(folder, "clone", "-q", "--template=", "work", roots[-1])
        well(roots[-1], "config", "--local", "cache.dir", folder / "cache")
    return roots


def clone_work_of(roots, number):
    """What one process does in its clone: bring, add, push, collect all that it does not need itself, and look."""
    root = roots[number]

    def work(run):
        run(root, "pull", f"data/{number:03}", "old.bin")
        write(root, {f"own/{name}": content for name, content in files_of(number).items()})
        run(root, "add", "own")
        write(root, {"own/0.txt": b"newer %d\n" % number})
        run(root, "commit", "own")
        run(root, "push", "own")
        run(root, "gc", "-w", "-f", *(("--now",) if number % 2 else ()))
        run(root, "status")
        run(root, "verify", "own", "old.bin")
        os.unlink(root / "old.bin")
        run(root, "checkout", "old.bin")

    return work


def test_3_3_many_processes_on_one_shared_cache(tmp_path, capsys):
    roots = sharing(tmp_path / "many")
    works = [clone_work_of(roots, number) for number in range(COUNT)]
    ran = all_at_once(tmp_path / "logs", works)
    with capsys.disabled():
        print(f"\n{COUNT} processes on one shared cache: {len(ran)} commands, {len(failures(ran))} failed")
    assert failures(ran) == []
    serial = sharing(tmp_path / "serial")
    for number in range(COUNT):
        clone_work_of(serial, number)(well)
    for one, other in zip(roots, serial, strict=True):
        assert outcome(one) == outcome(other)
        well(one, "verify", "own", "old.bin")
        shutil.rmtree(one / "own")
        well(one, "checkout", "own")
        assert outcome(one) == outcome(other)
    assert os.listdir(tmp_path / "many" / "cache" / "tmp") == []


def test_3_3_what_one_checked_out_of_a_shared_cache_another_does_not_collect(tmp_path):
    roots = [tmp_path / "one", tmp_path / "two"]
    roots[0].mkdir()
    git(roots[0], "init", "-q", "-b", "main", "--template=")
    well(roots[0], "init")
    write(roots[0], {"data/a.txt": b"a\n"})
    well(roots[0], "config", "--local", "cache.dir", tmp_path / "cache")
    well(roots[0], "add", "data")
    git(roots[0], "add", "-A")
    git(roots[0], "commit", "-q", "-m", "v1")
    git(tmp_path, "clone", "-q", "--template=", "one", "two")
    well(roots[1], "config", "--local", "cache.dir", tmp_path / "cache")
    well(roots[1], "checkout")
    write(roots[0], {"data/a.txt": b"newer\n"})
    well(roots[0], "add", "data")
    well(roots[0], "gc", "-w", "-f", "--now")
    well(roots[1], "verify")
    shutil.rmtree(roots[1] / "data")
    well(roots[1], "checkout")
    assert (roots[1] / "data" / "a.txt").read_bytes() == b"a\n"
