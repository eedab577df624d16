"""Topics of ``kist help``: texts, and tables made from what the code declares."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kist import errors
from kist.errors import KistError

INTERRUPTED = 130
CHANGED = 20

_MEANINGS = {
    0: "done",
    1: "failed",
    2: "usage",
    3: "configuration",
    4: "plugin missing or broken",
    5: "not a repository",
    6: "would lose unsaved work",
    7: "metafile",
    8: "data missing or damaged",
    9: "link",
    10: "remote",
    11: "part of a transfer failed",
    12: "locked",
    13: "storage (disk full, read-only, I/O)",
    CHANGED: "something changed (status and diff with --exit-code)",
    INTERRUPTED: "interrupted",
}


def error_classes() -> list[type[KistError]]:
    """All errors of kist, the base first, each after its own base."""

    def below(kind: type[KistError]) -> Iterator[type[KistError]]:
        yield kind
        for one in kind.__subclasses__():
            if one.__module__ == errors.__name__:
                yield from below(one)

    return list(below(KistError))


def exit_codes() -> list[tuple[int, str, list[str]]]:
    """Every exit code: number, meaning, names of the error classes that give it."""
    classes: dict[int, list[str]] = {}
    for one in error_classes():
        classes.setdefault(one.exit_code, []).append(one.__name__)
    return [(code, text, classes.get(code, [])) for code, text in _MEANINGS.items()]


def _exit_codes() -> str:
    lines = ["What a command returns:", ""]
    for code, text, classes in exit_codes():
        lines.append(f"{code:>5}  {text}")
        lines += [f"{'':>9}{', '.join(classes[first : first + 4])}" for first in range(0, len(classes), 4)]
    lines += ["", "With several errors, the highest number is returned. --json lists all of them with their classes."]
    return "\n".join(lines)


_OTHER_VARIABLES = {
    "KIST_CONFIG__<section>__<key>": "any setting, such as KIST_CONFIG__remote__store__url",
    "KIST_USER_CONFIG": "the user's configuration file",
    "KIST_SYSTEM_CONFIG": "the machine's configuration file (default /etc/kist/config.yaml)",
    "KIST_CACHE_HOME": "where the plugin index is kept",
    "KIST_TRUST_ENDPOINTS": "endpoints that may get credentials, separated by commas, * for all; for CI",
    "KIST_DISABLE_PLUGINS": "1: only what the core itself brings",
    "KIST_TRACE_PLUGINS": "1: tell each plugin that is loaded and each hook that is called",
    "NO_COLOR": "no colours, unless --color always",
}


def _environment() -> str:
    from kist.repo.options import KNOWN

    rows = {one.env: f"{one.key}: {one.help}" for one in KNOWN.values() if one.env} | _OTHER_VARIABLES
    width = max(map(len, rows))
    lines = ["Environment variables go before configuration files, options of the command line before both.", ""]
    return "\n".join([*lines, *(f"  {name:<{width}}  {rows[name]}" for name in sorted(rows))])


_FORMATS = """\
Beside a tracked 'data' stands its metafile 'data.kist', a small YAML file that you keep in Git:

  format: kist/1
  path: data
  manifest: blake3:6f1c…      the root of a directory; for one file: 'file: blake3:…'
  files: 100000
  size: 461373440

The digest names exact bytes. A directory's manifest is a tree of nodes, each an object of its own, so that a change
among a million files writes some 100 KiB. Objects lie in the cache inside Git's folder (or .kist/private), small ones
in packs. A remote holds the same objects, indexes that find them, and for each complete version a root marker that is
written last.

docs/reference/formats.md describes all of it to the byte."""

_REMOTES = """\
A remote is a place with a name:

  kist remote add -d store /mnt/share/data       a folder or network share
  kist remote add store SCHEME://…               whatever an installed plugin knows ('kist plugins' lists them)
  kist remote add store SCHEME://… -o OPTION=VALUE      with options of it, as listed below

'push' sends what the remote lacks, 'fetch' brings what the cache lacks, 'pull' also updates the workspace. A push that
was cut off goes on where it stopped; a version is there for others only when it is complete.

What is kept in Git says where a remote is. Secrets, and whatever names a program or a credential, go into your own
configuration:  kist remote modify --local store OPTION VALUE

If only a cloned repository names an endpoint, it gets none of your credentials until you say 'kist remote trust NAME'.
'kist doctor --remote NAME' tries a remote; 'kist verify --remote NAME' reads everything back."""


def _remotes() -> str:
    """The text, then the options that every remote has and those that the installed plugins declare."""
    from kist.operations.plugins import make_plugins
    from kist.operations.remote_options import options_by_scheme

    lines = [_REMOTES]
    for schemes, rows in options_by_scheme(make_plugins()).items():
        lines += ["", f"Options of {schemes}:" if schemes else "Options of every remote:", ""]
        width = max((len(row.name) for row in rows), default=0)
        for row in rows:
            notes = [*([f"default {row.default}"] if row.default else []), *row.notes]
            lines.append(f"  {row.name:<{width}}  {row.help}" + (f" ({'; '.join(notes)})" if notes else ""))
        if not rows:
            lines.append("  none")
    return "\n".join(lines)


_MIGRATING = """\
From Git LFS or plain Git: take the files out of Git ('git rm -r --cached data'), then 'kist add data' and commit
'data.kist' and '.gitignore'. Older commits keep what they have.

From DVC: the verbs and their options are the ones you know (add, push -r NAME, -j N, remote add -d, gc -w).
DVC's own files, caches and remotes are not read yet: bring the data once ('dvc pull'), then 'kist init' and
'kist add data' beside DVC. Both keep a small file of their own beside the data, so colleagues may go on with DVC;
'kist push' sends the data to a remote of kist.

From plain folders: 'kist init' and 'kist add' need no Git. With Git, every commit remembers its data."""

TOPICS: dict[str, tuple[str, Callable[[], str]]] = {
    "exit-codes": ("what a command returns", _exit_codes),
    "environment": ("environment variables", _environment),
    "formats": ("what is stored where", lambda: _FORMATS),
    "remotes": ("places to share data", _remotes),
    "migrating": ("coming from DVC, Git LFS or plain folders", lambda: _MIGRATING),
}
"""Topic -> its one line, and what makes its text."""
