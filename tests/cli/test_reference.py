"""The reference pages say what the code does, and every example of a help can be typed."""

import json
import shlex
from importlib import import_module

import pytest
import reference
from cli_support import ROOT, SCHEMAS, conforms

from kist.cli.catalog import ALIASES, COMMANDS, module_of, overview
from kist.cli.parsing import make_parser

WRITING = {
    "init",
    "add",
    "commit",
    "checkout",
    "move",
    "remove",
    "push",
    "fetch",
    "pull",
    "gc",
    "verify",
    "doctor",
    "config",
}
SUBVERBS_WRITING = {
    "remote": {"add", "modify", "remove", "rename", "default", "trust"},
    "trash": {"restore", "empty"},
}


def parser_of(word):
    return make_parser(word, import_module(module_of(word)))


@pytest.mark.parametrize("page", reference.PAGES)
def test_page_is_as_the_code_says(page, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = (reference.FOLDER / page).read_text(encoding="utf-8")
    assert text == reference.PAGES[page](), "run: python tests/cli/reference.py"


@pytest.mark.parametrize("word", COMMANDS)
def test_examples_can_be_typed(word):
    module = import_module(module_of(word))
    assert module.EXAMPLES, "every help has examples"
    for line, text in module.EXAMPLES:
        words = shlex.split(line.split(" >")[0].split(" |")[0])
        assert text
        if words[:2] == ["kist", "--version"]:
            continue
        assert words[0] == "kist"
        assert ALIASES.get(words[1], words[1]) == word
        make_parser(word, module).parse_args(words[2:])


@pytest.mark.parametrize("word", COMMANDS)
def test_every_verb_prints_json_and_tells_what_it_would_do(word):
    parser = parser_of(word)
    assert {"--json", "--quiet", "--debug", "--progress"} <= set(parser.option_words())
    for name, nested in parser.verbs.items():
        assert "--json" in nested.option_words()
        assert nested.format_help().count(f"  kist {word} {name}"), "every help has examples"
        assert ("--dry-run" in nested.option_words()) == (name in SUBVERBS_WRITING[word])
    if word in WRITING:
        assert "--dry-run" in parser.option_words()
    assert any(name.split(" ")[0] == word for name in SCHEMAS["data"])


def test_the_overview_names_every_verb():
    text = overview()
    assert all(f"  {word} " in text for word in COMMANDS)


def test_the_schemas_are_checked_as_they_should_be():
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": "array", "items": {"type": "string"}}},
    }
    assert conforms({"a": 1, "b": ["x"]}, schema) == []
    for wrong in ({}, {"a": -1}, {"a": True}, {"a": 1, "c": 2}, {"a": 1, "b": [1]}, []):
        assert conforms(wrong, schema), wrong


def test_schemas_are_valid_json_with_known_words():
    words = {"type", "properties", "required", "description", "enum", "items", "minimum", "additionalProperties"}

    def check(one):
        assert set(one) <= words, one
        for inner in (*one.get("properties", {}).values(), one.get("items"), one.get("additionalProperties")):
            if inner is not None:
                check(inner)

    document = json.loads((ROOT / "docs" / "reference" / "json-schemas.json").read_text())
    for schema in (document["envelope"], *document["data"].values()):
        check(schema)
