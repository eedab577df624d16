"""Print the completion script of a shell."""

from __future__ import annotations

import argparse
from typing import Any

EXAMPLES = (
    ("kist completion bash >> ~/.bashrc", "complete verbs, options, targets and remotes in bash"),
    ('kist completion zsh > "${fpath[1]}/_kist"', "the same for zsh"),
    ("kist completion fish > ~/.config/fish/completions/kist.fish", "the same for fish"),
    ("kist completion powershell >> $PROFILE", "the same for PowerShell"),
)

_BASH = """\
_kist_complete() {
    local IFS=$'\\n'
    COMPREPLY=($(kist completion --candidates="${COMP_WORDS[*]:1:COMP_CWORD}" 2>/dev/null))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]]; then compopt -o nospace; fi
}
complete -o default -o filenames -F _kist_complete kist
"""

_ZSH = """\
#compdef kist
_kist() {
    local -a found
    found=("${(@f)$(kist completion --candidates="${(F)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${#found} -gt 0 && -n ${found[1]} ]]; then compadd -f -- "${found[@]}"; else _files; fi
}
if [[ ${funcstack[1]} == _kist ]]; then _kist "$@"; else compdef _kist kist; fi
"""

_FISH = """\
function __kist_complete
    set -l before (commandline -opc)
    set -e before[1]
    set -l last (commandline -ct)
    set -l joined (string join \\n -- $before | string collect)
    set -l found (kist completion --candidates="$joined" --last="$last" 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c kist -f -a '(__kist_complete)'
"""

_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName kist -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { $_.ToString() })
    if ($wordToComplete -eq '') { $words += '' }
    kist completion "--candidates=$($words -join "`n")" 2>$null | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
    }
}
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH, "powershell": _POWERSHELL}
"""Shell -> its script. The scripts only ask kist, which gets the words of the line, one a line, the last one perhaps
empty: what fits is decided where verbs and targets are known. Fish, which trims newlines, gives the last one apart."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    shells = sorted(SCRIPTS)
    parser.add_argument("shell", nargs="?", choices=shells, metavar="SHELL", help="bash, zsh, fish or powershell")
    parser.add_argument("--candidates", metavar="LINES", help=argparse.SUPPRESS)
    parser.add_argument("--last", metavar="WORD", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Print the script, or what fits the words of a line."""
    from kist.errors import UsageError

    if args.candidates is not None:
        from kist.cli.complete import candidates

        words = args.candidates.split("\n")
        if args.last is not None:
            words = [*(words if args.candidates else ()), args.last]
        found = candidates(words)
        for one in found:
            args.output.line(one)
        return {"candidates": found}
    if args.shell is None:
        raise UsageError("name a shell", hint="kist completion bash")
    for line in SCRIPTS[args.shell].splitlines():
        args.output.line(line)
    return {"shell": args.shell, "script": SCRIPTS[args.shell]}
