"""The entry point: find the verb's module, run it, turn errors into a message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kist.cli.catalog import ALIASES, COMMANDS, module_of, overview
from kist.errors import KistError, UsageError

if TYPE_CHECKING:
    import argparse

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: without the program's name; None for those of the process.

    Returns:
        The exit code, as ``kist help exit-codes`` lists them.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if arguments is None:
        _collect_less()
    _open_streams()
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        if arguments is None:
            _leave_garbage()
    except BrokenPipeError:
        from kist.cli.streams import silence

        silence(sys.stdout)
        return 0
    except KeyboardInterrupt:
        from kist.cli.streams import say

        say("\ninterrupted: what is complete is kept, the same command goes on from there\n")
        return INTERRUPTED
    return code


def _open_streams() -> None:
    """Stand-ins for streams that were closed before the process began."""
    import os

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process lives


def _collect_less() -> None:
    """Look for cyclic garbage less often: a command makes many objects that live to its end, and few cycles."""
    import gc

    gc.set_threshold(50_000, 20, 100)


def _leave_garbage() -> None:
    """Have the interpreter not look through everything for cycles while it ends: the process gives it all back at once.

    That took 11 to 18 ms. What must happen in the end, happens by then: commands close what they open.
    """
    import gc

    gc.freeze()


def _dispatch(words: list[str]) -> int:
    if words in (["--version"], ["-V"]):
        from kist.util.version import VERSION

        sys.stdout.write(f"kist {VERSION}\n")
        return 0
    if not words or words[0] in ("--help", "-h"):
        sys.stdout.write(overview(_plugin_commands()) + "\n")
        return 0 if words else UsageError.exit_code
    position = _verb_position(words)
    if position is None and not {"--version", "-V"}.isdisjoint(words):  # with other options, such as --json
        words = ["version", *(word for word in words if word not in ("--version", "-V"))]
        position = 0
    try:
        if position is None:
            raise UsageError("no verb given", hint="'kist --help' lists the verbs")
        word = ALIASES.get(words[position], words[position])
        module = _load(word)
    except KistError as error:
        return _report(word if position is not None else "", error, json="--json" in words, debug="--debug" in words)
    return _run(word, module, words[:position] + words[position + 1 :])


def _verb_position(words: list[str]) -> int | None:
    """Where the verb stands: global options may come first."""
    skip = False
    for position, word in enumerate(words):
        if skip:
            skip = False
        elif word in ("-C", "--color", "--progress", "--lock-timeout"):
            skip = True
        elif not word.startswith("-"):
            return position
    return None


def _plugin_commands() -> dict[str, str]:
    """Word -> distribution, straight from the plugin index: help is to be there at once."""
    from kist.plugins.index import load_index
    from kist.plugins.trace import switched_on

    if switched_on("KIST_DISABLE_PLUGINS"):
        return {}
    return {offer.key: f"({offer.distribution})" for offer in load_index().offers if offer.group == "commands"}


def _load(word: str) -> Any:
    from importlib import import_module

    if word in COMMANDS:
        return import_module(module_of(word))
    from kist.cli.plugin_verbs import load_verb

    return load_verb(word, [*COMMANDS, *ALIASES])


def _run(word: str, module: Any, words: list[str]) -> int:
    from kist.cli.parsing import make_output, make_parser

    try:
        args = make_parser(word, module).parse_args(words)
    except KistError as error:
        return _report(word, error, json="--json" in words, debug="--debug" in words)
    except SystemExit as done:
        return int(done.code or 0)
    args.output = make_output(args)
    args.behind_dashes = words[words.index("--") + 1 :] if "--" in words else None
    return run_command(word, module, args)


def run_command(word: str, module: Any, args: argparse.Namespace) -> int:
    """Run a verb's module on parsed arguments and print its JSON envelope or errors.

    Returns:
        The exit code.
    """
    from kist.cli.render import envelope

    output = args.output
    try:
        if args.directory:
            _change_directory(args.directory)
        data = module.run(args)
    except KistError as error:
        output.progress.finish()
        return _report(word, error, json=output.json, debug=args.debug, data=getattr(args, "data", None))
    except OSError as exc:
        if isinstance(exc, BrokenPipeError):
            raise
        from kist.util.atomic import storage_error

        return _report(word, _plugin_defect(exc) or storage_error(exc), json=output.json, debug=args.debug)
    except Exception as exc:
        defect = _plugin_defect(exc)
        if defect is None:
            raise
        output.progress.finish()
        return _report(word, defect, json=output.json, debug=args.debug)
    finally:
        if (repo := getattr(args, "repo", None)) is not None:
            repo.close()
    output.progress.finish()
    if output.json:
        sys.stdout.write(envelope(word, data, output.errors) + "\n")
    codes: list[int] = [error.exit_code for error in output.errors] or [output.exit_code]
    return max(codes)


def _plugin_defect(exc: Exception) -> KistError | None:
    from kist.plugins.blame import plugin_defect

    return plugin_defect(exc)


def _change_directory(directory: str) -> None:
    import os

    try:
        os.chdir(directory)
    except OSError as exc:
        raise UsageError(f"cannot enter {directory}: {exc.strerror}") from exc


def _report(word: str, error: KistError, *, json: bool, debug: bool, data: Any = None) -> int:
    from kist.cli.render import envelope, print_error

    if debug:
        import traceback

        traceback.print_exception(error)
    if json:
        sys.stdout.write(envelope(word, data, [error]) + "\n")
    else:
        print_error(error)
    return error.exit_code
