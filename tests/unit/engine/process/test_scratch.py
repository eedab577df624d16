import errno
import os
import subprocess
import sys

import pytest

from kist.engine.process import scratch
from kist.engine.process.scratch import Scratch, sweep, sweep_alone
from kist.util.atomic import discard, new_token, temp_name, use_token, write_file

KILLED = """
import os, sys
from pathlib import Path
from kist.engine.process.scratch import Scratch
from kist.util.atomic import temp_name
base = Path(sys.argv[1])
scratch = Scratch(base / "tmp").__enter__()
(base / "work" / "deep").mkdir(parents=True, exist_ok=True)
token = scratch.token_for(base / "work")
scratch.register([os.fsencode(base / "work" / "deep"), b"/nowhere"])
for folder in ("work", "work/deep"):
    (base / folder / temp_name("a", token)).write_text("x")
(base / "work" / "mine").write_text("keep")
scratch.file(".pack").write_text("q")
os.kill(os.getpid(), 9)
"""


def test_a_folder_that_cannot_be_removed_is_left_to_a_later_sweep(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(scratch.shutil, "rmtree", lambda *_, **__: None)
        with Scratch(tmp_path / "tmp") as one:
            one.file().write_text("x")
    assert one.path.is_dir()
    assert sweep(tmp_path / "tmp") == 1
    assert os.listdir(tmp_path / "tmp") == []


def test_a_file_of_no_repository_is_written_without_left_overs(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    target = tmp_path / "config.yaml"
    (tmp_path / temp_name("config.yaml", new_token().replace(f"-{os.getpid()}-", f"-{dead.pid}-"))).write_text("half")
    mine = tmp_path / temp_name("config.yaml", new_token())
    mine.write_text("alive")
    scratch.write_alone(target, b"whole")
    assert target.read_bytes() == b"whole"
    assert sorted(os.listdir(tmp_path)) == sorted(["config.yaml", mine.name])


def test_what_could_not_be_removed_is_swept_at_the_end(tmp_path, monkeypatch):
    unlink, descriptor = os.unlink, os.open(tmp_path, os.O_RDONLY)
    with Scratch(tmp_path / "tmp") as one:
        use_token(one.token)
        one.register([os.fsencode(tmp_path)])
        name = temp_name("probe")
        (tmp_path / name).write_text("x")
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", refused)
            discard(name, descriptor)
        use_token("")
        assert os.unlink is unlink
    os.close(descriptor)
    assert os.listdir(tmp_path / "tmp") == []
    assert not (tmp_path / name).exists()


def refused(*args, **options):
    raise OSError(errno.EIO, "input/output error")


def kill_one(base):
    subprocess.run([sys.executable, "-c", KILLED, str(base)], check=False)


def test_a_folder_of_its_own_goes_with_the_process(tmp_path):
    with Scratch(tmp_path / "tmp", verb="add") as one, Scratch(tmp_path / "tmp") as two:
        assert one.token != two.token
        one.file(".a").write_text("1")
        assert one.file() != one.file()
        assert sweep(tmp_path / "tmp") == 0
        assert one.path.is_dir() and two.path.is_dir()
        assert one.path.stat().st_mode & 0o777 == 0o700
    assert os.listdir(tmp_path / "tmp") == []


def test_the_next_process_sweeps_what_a_killed_one_left(tmp_path):
    kill_one(tmp_path)
    assert len(os.listdir(tmp_path / "work")) == 3
    with Scratch(tmp_path / "tmp") as alive:
        token = alive.token_for(tmp_path / "work")
        mine = tmp_path / "work" / temp_name("b", token)
        mine.write_text("alive")
        assert sweep(tmp_path / "tmp") == 1
        assert sorted(os.listdir(tmp_path / "work")) == sorted(["deep", "mine", mine.name])
        assert os.listdir(tmp_path / "work" / "deep") == []
        mine.unlink()
    assert os.listdir(tmp_path / "tmp") == []


def test_a_sweep_follows_no_link_and_takes_no_other_name(tmp_path):
    kill_one(tmp_path)
    outside = tmp_path / "outside"
    (tmp_path / "work").rename(outside)
    (tmp_path / "work").symlink_to(outside)
    assert sweep(tmp_path / "tmp") == 1
    assert len([name for name in os.listdir(outside) if name.startswith(".a")]) == 1


def test_an_error_leaves_no_temporary_file(tmp_path):
    with pytest.raises(KeyError), Scratch(tmp_path / "tmp") as one:
        token = one.token_for(tmp_path)
        (tmp_path / temp_name("x", token)).write_text("half")
        write_file(tmp_path / "whole", b"1", token=token)
        raise KeyError
    assert sorted(os.listdir(tmp_path)) == ["tmp", "whole"]


def test_where_no_kernel_lock_tells_the_process_number_does(tmp_path, monkeypatch):
    kill_one(tmp_path)

    def refuse(*args):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(scratch.fcntl, "flock", refuse)
    with Scratch(tmp_path / "tmp"):
        assert sweep(tmp_path / "tmp") == 1
    with Scratch(tmp_path / "tmp") as other:
        with monkeypatch.context() as patch:  # a clock that jumps ends nobody who lives
            patch.setattr("time.time", lambda: 4e9)
            assert sweep(tmp_path / "tmp") == 0
        monkeypatch.setattr("kist.engine.process.locks.machine", lambda: "elsewhere")
        assert sweep(tmp_path / "tmp") == 0
        os.utime(tmp_path / "tmp" / f"{other.token}.lock", (1, 1))
        assert sweep(tmp_path / "tmp") == 1


def test_foreign_files_and_missing_folders_are_left_alone(tmp_path):
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp" / "Strange.lock").write_text("x")
    (tmp_path / "tmp" / "notes").write_text("x")
    assert sweep(tmp_path / "tmp") == 0
    assert sweep(tmp_path / "none") == 0
    assert len(os.listdir(tmp_path / "tmp")) == 2


def test_tokens_are_plain():
    assert new_token() != new_token()
    assert set(new_token()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_1_2_what_a_killed_reader_left_goes(tmp_path):
    """Who only reads has no scratch folder; the names of its temporary files tell whose they are all the same."""
    killed = subprocess.run([sys.executable, "-c", KILLED_ALONE, tmp_path / "hint"], check=False, capture_output=True)
    assert killed.returncode == -9
    (left,) = tmp_path.iterdir()
    mine, hidden = tmp_path / temp_name("hint"), tmp_path / ".hint.kist-tmp-elsewhere-1-0123abcd-1"
    for path in (mine, hidden):
        path.write_bytes(b"half")
    sweep_alone(tmp_path)
    sweep_alone(tmp_path / "absent")
    assert not left.exists()
    assert mine.exists()
    assert hidden.exists()


KILLED_ALONE = """
import os, sys
from pathlib import Path
from kist.util import atomic
atomic.write_all = lambda *_: os.kill(os.getpid(), 9)
atomic.write_file(Path(sys.argv[1]), b"whole")
"""
