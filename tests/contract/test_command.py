"""The contract of commands, kept by a small plugin."""

import sys

import pytest

from kist.testing import CommandContract

HOOKS = """
from kist import hookimpl
@hookimpl
def kist_add_command(commands):
    commands.add("count", "toy_count_command", "count the letters of a word")
"""

COMMAND = """
def configure(parser):
    parser.description = "Count the letters of a word."
    parser.epilog = "example: kist count apple"
    parser.add_argument("word", help="the word")

def run(args):
    return {"letters": len(args.word)}
"""


class TestCount(CommandContract):
    @pytest.fixture
    def word(self, tmp_path, monkeypatch):
        info = tmp_path / "kist_count-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kist-count\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[kist.commands]\ncount = toy_count\n")
        (tmp_path / "toy_count.py").write_text(HOOKS)
        (tmp_path / "toy_count_command.py").write_text(COMMAND)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.setenv("KIST_CACHE_HOME", str(tmp_path / "cache"))
        yield "count"
        for module in ("toy_count", "toy_count_command"):
            sys.modules.pop(module, None)

    @pytest.fixture
    def arguments(self):
        return ["apple"]
