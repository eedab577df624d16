"""Manage remotes: names for places that keep versions."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from kist.cli.repo import finish, open_repo, written_data, written_text
from kist.cli.subverbs import Subverbs, add_dry_run, add_levels
from kist.errors import UsageError

if TYPE_CHECKING:
    from kist.repo.config_edit import EditedFile

EXAMPLES = (
    ("kist remote add -d store /mnt/share/data", "a folder becomes the default remote"),
    ("kist remote add store ../data -o fsync=false", "with an option, checked like the address"),
    ("kist remote list", "show all remotes"),
    ("kist remote modify --local store fsync false", "set an option in this clone only"),
    ("kist remote modify store shared --unset", "take an option back"),
    ("kist remote rename store archive", "rename it"),
    ("kist remote default archive", "use it where no remote is named"),
    ("kist remote trust archive", "let it have your credentials though only a clone names it"),
    ("kist remote remove archive", "forget it; what lies there stays"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs."""
    verbs = Subverbs(parser, run_list)
    add = verbs.add("add", "give a place a name", run_add, EXAMPLES[:2])
    add.add_argument("name", metavar="NAME")
    add.add_argument("url", metavar="URL", help="scheme://… or a folder")
    add.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="set an option of the remote, checked first; what must not be tracked goes to this clone's own "
        "configuration; may be repeated ('kist help remotes' lists them)",
    )
    add.add_argument("-d", "--default", action="store_true", help="use it where no remote is named")
    add.add_argument("-f", "--force", action="store_true", help="replace the address of a remote of that name")
    verbs.add("list", "show all remotes", run_list, EXAMPLES[2:3])
    modify = verbs.add("modify", "set or unset an option of a remote", run_modify, EXAMPLES[3:5])
    modify.add_argument("name", metavar="NAME")
    modify.add_argument("option", metavar="OPTION")
    modify.add_argument("value", nargs="?", metavar="VALUE")
    modify.add_argument("-u", "--unset", action="store_true", help="take the option back")
    remove = verbs.add("remove", "forget a remote; what lies there stays", run_remove, EXAMPLES[8:9])
    remove.add_argument("name", metavar="NAME")
    rename = verbs.add("rename", "give a remote another name", run_rename, EXAMPLES[5:6])
    rename.add_argument("name", metavar="OLD")
    rename.add_argument("new", metavar="NEW")
    about = "show or choose the remote that is used where none is named"
    default = verbs.add("default", about, run_default, EXAMPLES[6:7])
    default.add_argument("name", nargs="?", metavar="NAME")
    default.add_argument("-u", "--unset", action="store_true", help="choose none")
    trust = verbs.add("trust", "let a place that only a clone names have your credentials", run_trust, EXAMPLES[7:8])
    trust.add_argument("name", metavar="NAME")
    add_dry_run(trust)
    for one in (add, modify, remove, rename, default):
        add_levels(one)
        add_dry_run(one)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Do what the sub-verb says."""
    data: dict[str, Any] = args.subverb(args)
    return data


def _options(args: argparse.Namespace) -> Any:
    from kist.operations.remote import EditOptions

    force = getattr(args, "force", False)
    return EditOptions(args.level or "tracked", force=force, dry_run=args.dry_run, apart=args.level is None)


def _said(args: argparse.Namespace, done: str, would: str, written: Iterable[EditedFile]) -> None:
    """The result for people: what was *done*, or on a dry run what *would* be, and in which files."""
    if args.dry_run:
        args.output.line(f"would {would}")
        args.output.talk(written_text(written))
    else:
        args.output.line(done)


def run_list(args: argparse.Namespace) -> dict[str, Any]:
    """Show all remotes."""
    repo = open_repo(args, "remote list")
    remotes = list(repo.remotes())
    args.output.table([(one.name, one.url + ("  (default)" if one.default else "")) for one in remotes])
    if args.verbose:
        for one in remotes:
            for option, value in one.options.items():
                args.output.talk(f"{one.name}.{option} = {value}")
    if not remotes:
        args.output.talk("there is no remote: kist remote add -d NAME URL")
    finish(args, repo)
    return {
        "remotes": [
            {
                "name": one.name,
                "url": one.url,
                "default": one.default,
                "level": one.level,
                "options": dict(one.options),
            }
            for one in remotes
        ]
    }


def run_add(args: argparse.Namespace) -> dict[str, Any]:
    """Add a remote."""
    from kist.operations.remote import add_remote

    settings = _settings(args.option)
    repo = open_repo(args, "remote add")
    one = add_remote(repo.context, args.name, args.url, _options(args), default=args.default, settings=settings)
    what = f"{one.name} -> {one.url}" + (" as the default" if one.default else "")
    _said(args, f"added {what}", f"add {what}", one.written)
    for option, value in one.options.items():
        args.output.line(f"  {one.name}.{option} = {value}")
    finish(args, repo)
    return {
        "name": one.name,
        "url": one.url,
        "default": one.default,
        "level": one.level,
        "options": dict(one.options),
        **written_data(one.written),
        "dry_run": args.dry_run,
    }


def _settings(pairs: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in pairs:
        option, there, value = pair.partition("=")
        if not option or not there or option == "url" or option in found:
            raise UsageError(
                f"'--option {option or pair}' cannot be set this way",  # never the value: it may be a secret
                hint="write --option OPTION=VALUE, each option once; the address is an argument of its own",
            )
        found[option] = value
    return found


def run_modify(args: argparse.Namespace) -> dict[str, Any]:
    """Set or unset an option."""
    from kist.operations.remote import modify_remote
    from kist.operations.remote_options import SECRET, is_secret

    if (args.value is None) != args.unset:
        raise UsageError("give a value, or --unset", hint="kist remote modify NAME OPTION VALUE")
    repo = open_repo(args, "remote modify")
    options = _options(args)
    edit = modify_remote(repo.context, args.name, args.option, args.value, options)
    secret = is_secret(repo.context.plugins, repo.context.config, args.name, args.option)
    value = SECRET if secret and args.value is not None else args.value
    what = f"unset {args.name}.{args.option}" if args.unset else f"set {args.name}.{args.option} = {value}"
    what += f" ({options.level})"
    _said(args, what, what, edit.written)
    finish(args, repo)
    return {
        "name": args.name,
        "option": args.option,
        "value": value,
        "level": options.level,
        **written_data(edit.written),
        "dry_run": args.dry_run,
    }


def run_remove(args: argparse.Namespace) -> dict[str, Any]:
    """Forget a remote."""
    from kist.operations.remote import remove_remote

    repo = open_repo(args, "remote remove")
    edit = remove_remote(repo.context, args.name, _options(args))
    _said(args, f"removed {args.name}", f"remove {args.name}", edit.written)
    _warn_of_users(args, args.name, edit.users)
    finish(args, repo)
    return {
        "name": args.name,
        "named_by": list(edit.users),
        **written_data(edit.written),
        "dry_run": args.dry_run,
    }


def run_rename(args: argparse.Namespace) -> dict[str, Any]:
    """Rename a remote."""
    from kist.operations.remote import rename_remote

    repo = open_repo(args, "remote rename")
    edit = rename_remote(repo.context, args.name, args.new, _options(args))
    what = f"{args.name} to {args.new}"
    _said(args, f"renamed {what}", f"rename {what}", edit.written)
    _warn_of_users(args, args.name, edit.users)
    finish(args, repo)
    return {
        "old": args.name,
        "new": args.new,
        "named_by": list(edit.users),
        **written_data(edit.written),
        "dry_run": args.dry_run,
    }


def _warn_of_users(args: argparse.Namespace, name: str, users: Sequence[str]) -> None:
    for path in users[:5]:
        args.output.warn(f"the metafile of {path} still names the remote '{name}'")
    if len(users) > 5:
        args.output.warn(f"… and {len(users) - 5} more")


def run_default(args: argparse.Namespace) -> dict[str, Any]:
    """Show or choose the default."""
    from kist.operations.remote import default_name, set_default

    repo = open_repo(args, "remote default")
    if args.name is None and not args.unset:
        name = default_name(repo.context)
        if name is None:
            args.output.talk("no default remote is set: kist remote default NAME")
        else:
            args.output.line(name)
        return {"default": name}
    if args.name is not None and args.unset:
        raise UsageError("give a name, or --unset")
    edit = set_default(repo.context, args.name, _options(args))
    what = f"{args.name} as the default" if args.name else "no default remote"
    _said(args, f"chose {what}", f"choose {what}", edit.written)
    finish(args, repo)
    return {
        "default": args.name,
        "level": args.level or "tracked",
        **written_data(edit.written),
        "dry_run": args.dry_run,
    }


def run_trust(args: argparse.Namespace) -> dict[str, Any]:
    """Trust a remote's endpoint."""
    from kist.operations.remote import trust_remote

    repo = open_repo(args, "remote trust")
    edit = trust_remote(repo.context, args.name, dry_run=args.dry_run)
    what = f"{', '.join(edit.endpoints)} with your credentials, for this repository"
    _said(args, f"trusted {what}", f"trust {what}", edit.written)
    finish(args, repo)
    return {
        "name": args.name,
        "endpoints": list(edit.endpoints),
        "repository": repo.context.id,
        **written_data(edit.written),
        "dry_run": args.dry_run,
    }
