"""The reference pages of the command line, made from the code: ``python tests/cli/reference.py`` writes them anew."""

import os
from pathlib import Path

from cli_support import ROOT, SCHEMAS

from kist.cli.catalog import ALIASES, GROUPS, module_of
from kist.cli.parsing import add_common, make_parser
from kist.cli.topics import TOPICS, error_classes, exit_codes

FOLDER = ROOT / "docs" / "reference"


def cli_page():
    """``docs/reference/cli.md``: every verb with its options and examples."""
    lines = [
        "# Command line",
        "",
        "`kist VERB [TARGET …] [options]`. A target is a metafile, a tracked path, a path inside a tracked directory, or a",
        "glob. This page is made from the code; a test compares the two.",
        "",
        "What a command found or did goes to standard output, everything else to standard error. With `--json` the result is",
        "[one JSON document](json.md). What a command returns is in [errors and exit codes](errors.md).",
        "",
        "Short forms: " + ", ".join(f"`{short}` for `{word}`" for short, word in sorted(ALIASES.items())) + ".",
        "",
        "## Options of every verb",
        "",
        *option_table(common_options()),
        "| `-h`, `--help` | show the options and examples |",
    ]
    for title, verbs in GROUPS.items():
        lines += ["", f"## {title[0].upper()}{title[1:]}"]
        for word in verbs:
            lines += ["", *verb_section(word)]
    lines += ["", "## Topics", "", "`kist help TOPIC` explains:", ""]
    lines += [f"- `{name}`: {about}" for name, (about, _) in TOPICS.items()]
    return "\n".join(lines) + "\n"


def common_options():
    from kist.cli.parsing import Parser

    parser = Parser(add_help=False)
    add_common(parser)
    return rows_of(parser)


def rows_of(parser):
    """(names with value, help) of every option and positional of a parser that is shown."""
    rows = []
    for action in parser._actions:
        if action.help == "==SUPPRESS==" or "-h" in action.option_strings or action.nargs == "A...":
            continue
        value = action.metavar or (f"{{{','.join(map(str, action.choices))}}}" if action.choices else "")
        if action.option_strings:
            suffix = f" {value}" if value and action.nargs != 0 else ""
            suffix = f" [{value}]" if action.nargs == "?" else suffix
            names = ", ".join(f"`{name}{suffix}`" for name in action.option_strings)
        else:
            names = f"`{value}`" + (" …" if action.nargs in ("*", "+") else "")
        rows.append((names.replace("|", "\\|"), action.help or ""))
    return rows


def option_table(rows):
    return ["| option | meaning |", "|---|---|", *(f"| {names} | {text} |" for names, text in rows)]


def verb_section(word):
    from importlib import import_module

    module = import_module(module_of(word))
    parser = make_parser(word, module)
    lines = [f"### `kist {word}`", "", parser.description]
    lines += own_options(parser)
    for name, nested in parser.verbs.items():
        lines += ["", f"#### `kist {word} {name}`", "", nested.description, *own_options(nested)]
    lines += ["", "```sh", *(f"{command:<48}  # {text}" for command, text in module.EXAMPLES), "```"]
    return lines


def own_options(parser):
    common = {names for names, _ in common_options()}
    rows = [row for row in rows_of(parser) if row[0] not in common]
    return ["", *option_table(rows)] if rows else []


def errors_page():
    """``docs/reference/errors.md``: exit codes and every error class."""
    lines = [
        "# Errors and exit codes",
        "",
        "An error says what failed, why, and what to do: `error:` and `hint:` on standard error, one object each in the",
        "`errors` of [the JSON envelope](json.md). `--debug` adds the traceback. With several errors the highest exit code is",
        "returned. This page is made from the code; a test compares the two.",
        "",
        "## Exit codes",
        "",
        "| code | meaning | error classes |",
        "|---|---|---|",
    ]
    for code, text, classes in exit_codes():
        lines.append(f"| {code} | {text} | {', '.join(f'`{name}`' for name in classes)} |")
    lines += ["", "## Classes", "", "All are in `kist.errors`; an indented one is a kind of the one above it.", ""]
    for one in error_classes():
        depth = len(one.__mro__) - 4
        summary = (one.__doc__ or "").strip().split("\n")[0]
        retry = " Trying again may help." if one.retryable else ""
        lines.append(f"{'  ' * depth}- `{one.__name__}` ({one.exit_code}): {summary}{retry}")
    lines += ["", "A `TransferError` whose failures are all missing or damaged data returns 8 instead of 11."]
    return "\n".join(lines) + "\n"


def json_page():
    """``docs/reference/json.md``: the envelope and the data of every verb."""
    lines = [
        "# JSON output",
        "",
        "Every verb takes `--json` and then prints exactly one JSON document on standard output. Fields may be added, none is",
        "removed or changes its meaning. [json-schemas.json](json-schemas.json) has the schemas; tests check every verb's",
        "output against them. This page is made from it; a test compares the two.",
        "",
        "A path is text, relative to the repository. Where it is not UTF-8, what cannot be said is escaped, and `path_b64`",
        "beside it has the exact bytes. Sizes are bytes, times UTC seconds unless said otherwise.",
        "",
        "`--progress=json` prints events on standard error, one JSON object a line: `event` (`start`, `progress`, `message`,",
        "`finish`), `phase`, `done`, `total`, `unit`, or `text`.",
        "",
        "## Envelope",
        "",
        *field_table(SCHEMAS["envelope"]),
    ]
    for verb, schema in SCHEMAS["data"].items():
        lines += ["", f"## `{verb}`", "", *field_table(schema)]
    return "\n".join(lines) + "\n"


def field_table(schema):
    return ["| field | type | meaning |", "|---|---|---|", *fields_of(schema)]


def fields_of(schema, above=""):
    for name, one in schema["properties"].items():
        field = f"{above}{name}"
        kinds = one.get("type", "any")
        text = " or ".join([kinds] if isinstance(kinds, str) else kinds)
        inner = one.get("items", {})
        if text == "array" and "properties" not in inner:
            text = f"array of {inner['type']}"
        if "additionalProperties" in one:
            text = f"object of {one['additionalProperties']['type']}"
        about = one.get("description", "")
        if "enum" in one:
            about = ", ".join(f"`{value}`" for value in one["enum"] if value != "") + (f"; {about}" if about else "")
        optional = "" if name in schema.get("required", ()) else " (not always there)"
        yield f"| `{field}{'[]' if text.startswith('array') else ''}` | {text} | {about}{optional} |"
        if "properties" in inner:
            yield from fields_of(inner, f"{field}[].")
        elif "properties" in one:
            yield from fields_of(one, f"{field}.")


PAGES = {"cli.md": cli_page, "errors.md": errors_page, "json.md": json_page}

if __name__ == "__main__":
    os.environ["COLUMNS"] = "120"
    for page, make in PAGES.items():
        Path(FOLDER, page).write_text(make(), encoding="utf-8")
