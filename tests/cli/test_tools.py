"""plugins, version, help, completion: what needs no repository."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from cli_support import write

from kist.cli.catalog import COMMANDS
from kist.cli.topics import TOPICS, exit_codes
from kist.util.version import VERSION


def test_plugins_are_listed_without_importing_any(kist, site):
    site.install("kist-toy", {"hashers": {"toy": "toy_raises"}}, {"toy_raises": "raise RuntimeError('imported')"})
    plugins = {one["distribution"]: one for one in kist.json("plugins").data["plugins"]}
    assert plugins["kist-toy"]["keys"] == [
        {"group": "kist.hashers", "key": "toy", "module": "toy_raises", "state": "used"}
    ]
    assert plugins["kist-core"]["version"] == VERSION
    text = kist("plugins").out
    assert "kist-toy 1.0" in text
    assert "toy" in text


def test_blocked_and_conflicting_plugins_are_told(kist, site, monkeypatch):
    for name in ("kist-one", "kist-two"):
        site.install(name, {"hashers": {"toy": "toy_x"}})
    result = kist("plugins")
    assert "plugins.prefer.hashers.toy" in result.err
    monkeypatch.setenv("KIST_PLUGINS_BLOCK", "kist-two")
    states = {
        one["distribution"]: one["keys"][0]["state"]
        for one in kist.json("plugins").data["plugins"]
        if one["distribution"] in ("kist-one", "kist-two")
    }
    assert states == {"kist-one": "used", "kist-two": "blocked"}


def test_version(kist):
    assert kist("--version").out == f"kist {VERSION}\n"
    data = kist.json("version").data
    assert data["kist"] == VERSION
    assert data["plugins"]["kist-core"] == VERSION
    assert VERSION in kist("version").out


def test_help_of_everything(kist):
    assert "usage: kist VERB" in kist("--help").out
    text = kist("help").out
    assert all(topic in text for topic in TOPICS)
    for word in COMMANDS:
        assert f"usage: kist {word}" in kist("help", word).out
        assert f"usage: kist {word}" in kist(word, "--help").out
    for topic in TOPICS:
        assert kist.json("help", topic).data["text"]
    assert "usage: kist remove" in kist("help", "rm").out


def test_help_of_nothing_names_the_nearest(kist):
    for word, meant in (("psuh", "push"), ("exit-code", "exit-codes")):
        assert kist.json("help", word, code=2).json["errors"][0]["hint"] == f"did you mean 'kist help {meant}'?"
    assert kist.json("help", "nosuchthing", code=2).json["errors"][0]["hint"] == "'kist help' lists the verbs"


def test_the_version_with_other_options(kist):
    for words in (("--version", "--json"), ("--json", "-V"), ("-C", ".", "--version", "--json")):
        result = kist(*words).json
        assert (result["command"], result["data"]["kist"]) == ("version", kist("--version").out.split()[1])


def test_exit_codes_are_all_explained(kist):
    text = kist("help", "exit-codes").out
    assert all(f"{code:>5}  {meaning}" in text for code, meaning, _ in exit_codes())
    assert {code for code, _, _ in exit_codes()} >= {*range(14), 130}


def test_unknown_verbs_and_options_name_the_nearest(kist):
    error = kist.json("stauts", code=2).json["errors"][0]
    assert (error["class"], error["hint"]) == ("UsageError", "did you mean 'kist status'?")
    assert "--dry-run" in kist.json("add", "--dryrun", "x", code=2).json["errors"][0]["hint"]
    assert "--default" in kist("remote", "add", "--defalt", "a", "b", code=2).err
    assert "'list'" in kist("remote", "lst", code=2).err
    kist(code=2)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts(kist, shell):
    assert "kist completion" in kist("completion", shell).out
    assert kist.json("completion", shell).data["shell"] == shell


def test_completion_needs_a_shell_that_it_knows(kist):
    kist("completion", code=2)
    assert "bash" in kist("completion", "bsh", code=2).err


def complete(kist, *words, folder=None):
    return kist("completion", "--candidates=" + "\n".join(words), folder=folder).out.splitlines()


def test_candidates(shared):
    write(shared.folder, {"other/x.txt": "1"})
    shared("add", "other")
    assert complete(shared, "pu") == ["pull", "push"]
    assert "--dry-run" in complete(shared, "push", "--d")
    assert complete(shared, "push", "-r", "") == ["store"]
    assert complete(shared, "remote", "ad") == ["add"]
    assert complete(shared, "remote", "add", "--de") == ["--debug", "--default"]
    assert complete(shared, "remote", "remove", "") == ["store"]
    assert complete(shared, "remote", "modify", "store", "fs") == ["fsync"]
    assert complete(shared, "status", "") == ["data", "other"]
    assert complete(shared, "status", "data/") == ["data/a.txt", "data/sub/"]
    assert complete(shared, "checkout", "da") == ["data"]
    assert complete(shared, "status", "data/s", folder=shared.folder) == ["data/sub/"]
    assert "core.remote" in complete(shared, "config", "core.")
    assert complete(shared, "help", "exit") == ["exit-codes"]
    assert complete(shared, "trash", "re") == ["restore"]
    assert complete(shared, "add", "x") == []


def test_candidates_outside_of_a_repository(kist):
    assert complete(kist, "status", "") == []
    assert "status" in complete(kist, "")


@pytest.fixture
def in_shell(shared, tmp_path):
    """Runs a line in a shell that finds ``kist``, in a repository with a tracked name that has a blank."""
    write(shared.folder, {"my dir/x.txt": "1"})
    shared("add", "my dir")
    program = tmp_path / "bin" / "kist"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kist "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "TERM": "dumb"}

    def run(shell, command, *words):
        found = shutil.which(shell)
        if found is None:
            pytest.skip(f"there is no {shell} here")
        done = subprocess.run(
            [found, *words, "-c", command],
            cwd=shared.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert not done.stderr, done.stderr
        return done.stdout.splitlines()

    return run


LINES = {
    "kist che": ["checkout"],
    "kist push -r ": ["store"],
    "kist checkout da": ["data"],
    "kist status data/s": ["data/sub/"],
    "kist checkout my": ["my dir"],
    "kist trash re": ["restore"],
    "kist config core.re": ["core.remote"],
}
"""What is typed, and what fits; nothing else may be offered."""


def test_bash_completes(in_shell):
    words = [line.split(" ") for line in LINES]
    parts = [f"COMP_WORDS=({' '.join(map(shlex.quote, one))}); COMP_CWORD={len(one) - 1}; try" for one in words]
    begin = 'eval "$(kist completion bash)"; compopt() { :; }; try() { _kist_complete; printf "%s\\n" "${COMPREPLY[@]}"; }; '
    assert in_shell("bash", begin + "; ".join(parts)) == [fit for fits in LINES.values() for fit in fits]


@pytest.mark.parametrize("line", LINES)
def test_fish_completes(in_shell, line):
    assert in_shell("fish", f"kist completion fish | source; complete -C {shlex.quote(line)}", "-N") == LINES[line]


def test_fish_completes_names_of_files_where_kist_has_nothing_to_say(in_shell):
    found = in_shell("fish", "kist completion fish | source; complete -C 'kist add my'", "-N")
    assert "my dir/" in [one.split("\t")[0] for one in found]


def test_zsh_completes(in_shell):
    words = [line.split(" ") for line in LINES]
    parts = [f"words=({' '.join(map(shlex.quote, one))}); CURRENT={len(one)}; _kist" for one in words]
    begin = (
        'compdef() { :; }; _files() { print files; }; compadd() { shift 2; print -l -- "$@"; }; '
        "source <(kist completion zsh); "
    )
    assert in_shell("zsh", begin + "; ".join(parts), "-f") == [fit for fits in LINES.values() for fit in fits]


def test_zsh_finds_the_function_in_its_path(in_shell, tmp_path):
    """Installed as a file of ``fpath``, as the help says."""
    folder = shlex.quote(str(tmp_path))
    command = f"kist completion zsh > {folder}/_kist; fpath=({folder} $fpath); autoload -Uz compinit; "
    command += "compinit -u -D; print ${_comps[kist]}"
    assert in_shell("zsh", command, "-f") == ["_kist"]


def test_a_dialect_is_preferred_by_its_marker(kist, site):
    code = (
        "from kist import hookimpl\n@hookimpl\ndef kist_make_dialect(marker):\n"
        "    from kist.builtin.kist_dialect import KistDialect\n"
        "    class Own(KistDialect):\n        default_hashers = ('sha512',)\n"
        "    return Own() if marker == '.kist' else None\n"
    )
    site.install("kist-own", {"dialects": {".kist": "own_dialect"}}, {"own_dialect": code})
    kist("config", "--global", "plugins.prefer.dialects..kist", "kist-own")
    assert kist("config", "plugins.prefer.dialects..kist").out == "kist-own\n"
    kist("init")
    assert "sha512" in (kist.folder / ".kist/config.yaml").read_text()
    kist("config", "--global", "--unset", "plugins.prefer.dialects..kist")
    assert "plugins.prefer.dialects" not in kist("config", "--list").out
