"""The contract of commands, kept by a small plugin."""

import re
from pathlib import Path

import pytest

from kist.testing import CommandContract
from sites import installed

PAGE = Path(__file__).parents[2] / "docs/reference/plugin-kinds.md"

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


@pytest.fixture
def site(tmp_path, monkeypatch):
    with installed(tmp_path, monkeypatch) as site:
        yield site


class TestCount(CommandContract):
    @pytest.fixture
    def word(self, site):
        site.install(
            "kist-count", {"commands": {"count": "toy_count"}}, {"toy_count": HOOKS, "toy_count_command": COMMAND}
        )
        return "count"

    @pytest.fixture
    def arguments(self):
        return ["apple"]


class TestDocumented(CommandContract):
    """The example of the page on kinds of plugin, as it stands there."""

    @pytest.fixture
    def word(self, site):
        section = PAGE.read_text().partition("\n## Command\n")[2].partition("\n## ")[0]
        verb, hooks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        package = site.folder / "kist_web"
        package.mkdir()
        (package / "__init__.py").write_text(f"from kist import hookimpl\n{hooks}")
        (package / "command.py").write_text(verb)
        site.modules += ["kist_web", "kist_web.command"]
        site.install("kist-web", {"commands": {"web": "kist_web"}})
        return "web"

    @pytest.fixture
    def arguments(self):
        return ["--port", "8080"]
