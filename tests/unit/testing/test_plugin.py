"""The pytest plugin: light, and it shows which contract tests were replaced."""

import os
import subprocess
import sys

SUITE = """
from kist.testing import overrides_contract
from kist.testing.base import ContractBase

class Promise(ContractBase):
    __test__ = False
    def test_kept(self): ...
    def test_other(self): ...

class TestPlugin(Promise):
    @overrides_contract("the server forgets")
    def test_kept(self): ...
"""


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:randomly", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_summary_shows_what_was_replaced(tmp_path):
    (tmp_path / "test_suite.py").write_text(SUITE)
    done = run(tmp_path, "-W", "error", "--strict-markers")
    assert done.returncode == 0, done.stdout
    assert "contract tests replaced" in done.stdout
    assert "test_suite.py::TestPlugin::test_kept: the server forgets" in done.stdout
    assert "2 passed" in done.stdout


def test_other_suites_see_nothing_of_it(tmp_path):
    (tmp_path / "test_suite.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    loaded = {name for name in sys.modules if name.startswith('kist')}\n"
        "    assert loaded <= {'kist', 'kist.testing', 'kist.testing.plugin'}, loaded\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "contract" not in done.stdout


def test_tree_has_every_kind_of_entry(kist_tree):
    assert (kist_tree / "empty").is_dir()
    assert not list((kist_tree / "empty").iterdir())
    assert (kist_tree / "link").is_symlink()
    assert not (kist_tree / "dangling").exists()
    assert os.access(kist_tree / "run.sh", os.X_OK)


def test_contents_cover_the_edges(kist_object_bytes):
    sizes = {len(content) for content in kist_object_bytes.values()}
    assert {0, 1, 4096, 4097} <= sizes
    assert max(sizes) > 1 << 20
