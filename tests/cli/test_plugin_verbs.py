"""Verbs that plugins bring: run like the core's own, and told as their plugin's defect where they do not work."""

import json
import sys

import pytest

from kist.testing.command import _COMMON

HOOKS = """
from kist import hookimpl
@hookimpl
def kist_add_command(commands):
    commands.add("count", "count_verb", "count the letters of a word\\nand more")
"""
GOOD = '''
"""Count letters."""
EXAMPLES = (("kist count apple", "five"),)
def configure(parser):
    parser.add_argument("text", help="the word")
def run(args):
    args.output.line(f"{len(args.text)} letters")
    return {"letters": len(args.text)}
'''


def install(site, verb, hooks=HOOKS):
    site.install("kist-count", {"commands": {"count": "count_hooks"}}, {"count_hooks": hooks, "count_verb": verb})


def test_a_verb_of_a_plugin(kist, site):
    install(site, GOOD)
    assert kist("count", "apple").out == "5 letters\n"
    assert json.loads(kist("count", "apple", "--json").out)["data"] == {"letters": 5}
    assert "kist count apple  five" in kist("help", "count").out
    assert "kist has no verb" in kist("cuont", code=2).err
    assert "did you mean 'kist count'?" in kist("cuont", code=2).err


def test_help_tells_what_it_does_and_who_brings_it(kist, site):
    install(site, GOOD)
    site.install("kist-more", {"commands": {"add": "more_hooks", "lost": "more_hooks"}}, {"more_hooks": "1 / 0"})
    text = kist("help").out.partition("from plugins:")[2].partition("options of every verb")[0]
    assert "count the letters of a word (kist-count)" in text
    assert "and more" not in text
    assert "the plugin kist-more does not work" in text
    assert "add " not in text, "the core's own verb is the one that runs"
    quick = kist("--help").out.partition("from plugins:")[2].partition("options of every verb")[0]
    assert quick.split() == ["count", "(kist-count)", "lost", "(kist-more)"]


def test_a_blocked_verb_says_so(kist, site):
    install(site, GOOD)
    kist("config", "--global", "plugins.block", "kist-count")
    assert "plugins.block" in kist("count", "apple", code=2).err
    assert "did you mean" not in kist("cuont", code=2).err
    assert "from plugins" not in kist("help").out


FAULTS = {
    "import": ("1 / 0", "ZeroDivisionError"),
    "no run": ("def configure(parser): ...", "no function 'run'"),
    "no configure": ("def run(args): ...", "no function 'configure'"),
    "examples": ("EXAMPLES = ('kist count',)\ndef configure(parser): ...\ndef run(args): ...", "EXAMPLES"),
    "configure": ("def configure(parser): {}['x']\ndef run(args): ...", "configure of count: KeyError"),
    "help": ("def configure(parser): parser.add_argument('-x', help='100%')\ndef run(args): ...", "ValueError"),
    "common": ("def configure(parser): parser.add_argument('--json')\ndef run(args): ...", "takes --json"),
    "run": ("def configure(parser): ...\ndef run(args): [][1]", "run of count: IndexError"),
    "exit": ("import sys\ndef configure(parser): ...\ndef run(args): sys.exit(7)", "SystemExit: 7"),
    "connection": (
        "def configure(parser): ...\ndef run(args): raise ConnectionRefusedError(111, 'refused')",
        "ConnectionRefusedError",
    ),
    "no JSON": ("def configure(parser): ...\ndef run(args): return {'a': {1}, 'b': b'x'}", "no JSON"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_that_does_not_work(kist, site, fault):
    code, message = FAULTS[fault]
    install(site, code)
    [error] = kist.json("count", code=4).json["errors"]
    assert error["class"] in ("PluginBroken", "ContractViolation")
    assert "kist-count" in error["message"]
    assert message in error["message"]
    assert "kist-count" in error["hint"]
    if fault == "run":
        assert "IndexError" in kist("count", "--debug", code=4).err.partition("error:")[0]


def test_errors_of_kist_and_missing_files_stay_what_they_are(kist, site):
    code = "import os\ndef configure(parser): ...\ndef run(args): {}\n"
    install(site, code.format("open('nowhere')"))
    assert kist.json("count", code=13).classes == ["StorageError"]
    (site.folder / "count_verb.py").write_text(code.format("raise __import__('kist').errors.UsageError('so not')  "))
    sys.modules.pop("count_verb")
    assert kist.json("count", code=2).json["errors"][0]["message"] == "so not"


def test_the_contract_knows_the_options_of_every_verb():
    from kist.cli.parsing import Parser, add_common

    parser = Parser(add_help=False)
    add_common(parser)
    assert parser.option_words().keys() == _COMMON
