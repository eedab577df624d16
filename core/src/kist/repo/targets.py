"""What a person names on the command line: metafiles, tracked paths, paths inside tracked directories, globs."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from kist.errors import KistError, PathNotTracked, UsageError
from kist.model.digest import Digest
from kist.repo import metafiles
from kist.repo.context import RepoContext
from kist.repo.metafiles import Tracked
from kist.util.paths import nearest
from kist.util.slotted import slotted

_GLOB = frozenset("*?[")


@slotted(frozen=True)
class Target:
    """One tracked output, or a part of it.

    Args:
        tracked: the output.
        inside: path inside the output, b"" for the whole.
    """

    tracked: Tracked
    inside: bytes = b""

    @property
    def path(self) -> str:
        """The target's path, relative to the repository."""
        return posixpath.join(self.tracked.path, os.fsdecode(self.inside)) if self.inside else self.tracked.path


def recorded_file(target: Target) -> tuple[bytes, Digest, bool]:
    """What is recorded of a single-file output: its path, the digest of its content, and whether it is executable.

    Args:
        target: the output.
    """
    output = target.tracked.output
    return os.fsencode(target.tracked.path), output.digest, output.executable


def repository_path(context: RepoContext, text: str) -> str:
    """A path as typed (relative to the current folder) as one relative to the repository, "" for its root.

    Raises:
        UsageError: it is empty, or lies outside the repository.
    """
    if not text or "\0" in text:
        raise UsageError("an empty path is no target")
    absolute = os.path.abspath(text)
    for root in (context.root, context.typed_root):
        relative = os.path.relpath(absolute, root)
        if relative == ".":
            return ""
        if relative != ".." and not relative.startswith("../"):
            return relative
    parent = os.path.realpath(os.path.dirname(absolute))
    relative = os.path.relpath(os.path.join(parent, os.path.basename(absolute)), os.path.realpath(context.root))
    if relative == ".." or relative.startswith("../"):
        hint = "name what lies in it; 'kist -C DIR …' works in another repository"
        raise UsageError(f"{text} lies outside the repository {context.root}", path=text, hint=hint)
    return relative


def check_own(context: RepoContext, path: str) -> None:
    """Refuse a path that a repository inside this one owns (a submodule, say), or that a symbolic link leads to.

    A metafile written there would be seen neither by Git nor by the next command here; a link may lead out of here.

    Args:
        context: the repository.
        path: of an output or metafile, relative to the repository.

    Raises:
        UsageError: naming the inner repository or the link.
    """
    Owners(context).check_own(path)


def inner_repository(context: RepoContext, path: str, text: str) -> UsageError | None:
    """The error for a path that is itself a repository inside this one, such as a submodule; None if it is none.

    Args:
        context: the repository.
        path: relative to the repository.
        text: as typed.
    """
    markers = [marker for marker in sorted(context.markers) if os.path.lexists(context.root / path / marker)]
    if not path or not markers:
        return None
    ours = markers != [".git"]
    return UsageError(
        f"{text} is a repository of its own inside this one",
        hint=f"work there: kist -C {text} …" if ours else f"'kist -C {text} init' lets it track data of its own",
        path=path,
    )


def owner_of(context: RepoContext, path: str) -> Target | None:
    """The tracked output that is *path*, or that *path* lies in; opens only metafiles on the way up.

    Raises:
        UsageError: it belongs to a repository inside this one.
    """
    return Owners(context).of(path)


class Owners:
    """Tells which outputs paths belong to, many one after the other: each folder above them is looked at once.

    Args:
        context: the repository.
    """

    def __init__(self, context: RepoContext) -> None:
        self._context = context
        self._folders: dict[str, Tracked | None] = {"": None}
        self._own = {""}

    def of(self, path: str) -> Target | None:
        """See :func:`owner_of`.

        Args:
            path: relative to the repository.
        """
        tracked = self._exactly(path)
        if tracked is not None:
            return Target(tracked)
        above = self._above(posixpath.dirname(path))
        return None if above is None else Target(above, os.fsencode(path[len(above.path) + 1 :]))

    def check_own(self, path: str) -> None:
        """See :func:`check_own`.

        Args:
            path: of an output or metafile, relative to the repository.
        """
        root = self._context.root
        passed = []
        folder = posixpath.dirname(path)
        while folder not in self._own:
            place = os.path.join(root, folder)
            if os.path.islink(place):
                raise UsageError(f"{path} lies beyond the symbolic link {folder}", path=path)
            if any(os.path.lexists(os.path.join(place, marker)) for marker in self._context.markers):
                raise UsageError(
                    f"{path} belongs to the repository {folder} inside this one",
                    hint=f"work there: kist -C {folder} …",
                    path=path,
                )
            passed.append(folder)
            folder = posixpath.dirname(folder)
        self._own.update(passed)

    def _above(self, folder: str) -> Tracked | None:
        """The output that a folder is, or lies in."""
        passed = []
        while folder not in self._folders:
            passed.append(folder)
            found = self._exactly(folder)
            if found is not None:
                break
            folder = posixpath.dirname(folder)
        else:
            found = self._folders[folder]
        self._folders.update(dict.fromkeys(passed, found))
        return found

    def _exactly(self, path: str) -> Tracked | None:
        for metafile in self._context.metafile_names.of(path) if path else ():
            for tracked in metafiles.load_if_present(self._context, metafile):
                if tracked.path == path:
                    self.check_own(path)
                    return tracked
        return None


def resolve(
    context: RepoContext, texts: Sequence[str], *, recursive: bool = True, unrecorded: bool = False
) -> list[Target]:
    """The targets that people typed, all outputs if nothing; each output or part once, in order of path.

    Args:
        context: the repository.
        texts: metafiles, tracked paths, paths inside tracked directories, folders that hold outputs, globs.
        recursive: whether a folder stands for the outputs below it.
        unrecorded: whether globs also stand for what only the workspace has.

    Raises:
        PathNotTracked: a text that fits nothing tracked.
    """
    if not texts:
        return [Target(tracked) for tracked in context.tracked()]
    found: dict[tuple[str, bytes], Target] = {}
    for text in texts:
        for target in _resolve_one(context, text, recursive=recursive, unrecorded=unrecorded):
            found.setdefault((target.tracked.path, target.inside), target)
    whole = {path for path, inside in found if not inside}
    return sorted(
        (target for (path, inside), target in found.items() if not inside or path not in whole),
        key=lambda target: (target.tracked.path, target.inside),
    )


def _resolve_one(context: RepoContext, text: str, *, recursive: bool, unrecorded: bool) -> list[Target]:
    path = repository_path(context, text)
    if path and metafiles.format_of(context.formats, posixpath.basename(path)):
        loaded = metafiles.load_if_present(context, path)
        if loaded:
            check_own(context, path)
            return [Target(tracked) for tracked in loaded]
    owner = owner_of(context, path) if path else None
    if owner is not None and (not owner.inside or _exists(context, owner)):
        return [owner]
    matched = list(fitting(context, path)) if is_glob(path) else []
    if unrecorded and is_glob(path):
        names = workspace_names(context, path)
        matched += [one for name in names if (one := owner_of(context, name)) is not None and one.inside]
    if not matched and (inner := inner_repository(context, path, text)) is not None:
        raise inner
    folder = context.root / path
    if not matched and recursive and os.path.isdir(folder) and not (path and os.path.islink(folder)):
        matched = [Target(tracked) for tracked in context.tracked(path)]
        if not matched and not path:
            return []
    if not matched:
        matched = [Target(one) for one in context.tracked() if one.path == path]  # its metafile has another name
    if not matched:
        raise not_tracked(context, text, path)
    return matched


def is_glob(path: str) -> bool:
    """Whether a path has characters that make it a glob."""
    return not _GLOB.isdisjoint(path)


def workspace_names(context: RepoContext, pattern: str) -> list[str]:
    """Paths of the workspace that fit a glob, sorted; metafiles and what lies in private folders are left out."""
    import glob

    found = glob.glob(pattern, root_dir=context.root, recursive=True, include_hidden=True)
    return sorted(
        name.rstrip("/")
        for name in found
        if metafiles.format_of(context.formats, posixpath.basename(name)) is None
        and context.markers.isdisjoint(name.split("/"))
    )


def not_tracked(context: RepoContext, text: str, path: str) -> UsageError:
    """The error for a target that is not tracked, naming the nearest one that is, or the repository that it is."""
    inner = inner_repository(context, path, text)
    if inner is not None:
        return inner
    owner = owner_of(context, path) if path else None
    if owner is not None and owner.inside:
        return _not_inside(context, owner, text)
    close = nearest(path, [tracked.path for tracked in context.tracked(posixpath.dirname(path))])
    hint = f"did you mean '{close}'?" if close else f"'kist add {text}' tracks it, 'kist list' shows what is tracked"
    return PathNotTracked(f"{text} is not tracked", hint=hint, path=path)


def similar(context: RepoContext, path: str) -> str | None:
    """A hint at the name beside a path that does not exist which is the most like it, None if none is.

    Args:
        context: the repository.
        path: relative to the repository.
    """
    folder, name = posixpath.split(path)
    try:
        close = nearest(name, os.listdir(context.root / folder))
    except OSError:
        return None
    return f"did you mean '{posixpath.join(folder, close)}'?" if close else None


def _not_inside(context: RepoContext, owner: Target, text: str) -> PathNotTracked:
    """The error for a path that its tracked directory does not have, naming the nearest one that stands beside it."""
    folder, _, name = owner.inside.rpartition(b"/")
    start = len(folder) + 1 if folder else 0
    names: set[str] = set()
    with suppress(KistError):
        for part in context.view(owner.tracked.output.digest).leaves(folder):
            names.update(os.fsdecode(path[start:].partition(b"/")[0]) for path in part.paths)
    close = nearest(os.fsdecode(name), sorted(names))
    if close:
        hint = f"did you mean '{posixpath.join(posixpath.dirname(text), close)}'?"
    else:
        hint = f"'kist list {owner.tracked.path}' shows what is"
    return PathNotTracked(f"{text} is not tracked", hint=hint, path=text)


def _exists(context: RepoContext, target: Target) -> bool:
    """Whether a part of an output stands in the workspace or in the recorded version.

    Where the recorded manifest is not on this machine nobody knows: only a glob is then taken for one.
    """
    if os.path.lexists(context.root / target.path):
        return True
    try:
        return recorded(context, target)
    except KistError:
        return not is_glob(os.fsdecode(target.inside))


def recorded(context: RepoContext, target: Target) -> bool:
    """Whether the recorded version has a target.

    Raises:
        ObjectMissing: its manifest is not on this machine.
    """
    if not target.inside:
        return True
    if not target.tracked.output.is_directory:
        return False
    view = context.view(target.tracked.output.digest)
    return view.find(target.inside) is not None or any(len(part) for part in view.leaves(target.inside))


def fitting(context: RepoContext, pattern: str, outputs: Iterable[Tracked] | None = None) -> Iterator[Target]:
    """The recorded outputs, and parts of them, that fit a glob.

    Args:
        context: the repository.
        pattern: the glob, relative to the repository.
        outputs: where to look, None for what the workspace's metafiles record.

    Raises:
        ObjectMissing: a manifest that is not on this machine.
    """
    matches = glob_matcher(pattern)
    fixed = pattern[: min(pattern.index(mark) for mark in _GLOB if mark in pattern)].rpartition("/")[0]
    for tracked in context.tracked() if outputs is None else outputs:
        if matches(tracked.path) or matches(tracked.metafile):
            yield Target(tracked)
        elif tracked.output.is_directory and _may_hold(tracked.path, pattern, fixed):
            yield from _match_inside(context, tracked, matches)


def _may_hold(path: str, pattern: str, fixed: str) -> bool:
    """Whether something below a path may fit a glob that begins with the folder *fixed*."""
    if fixed == path or fixed.startswith(path + "/"):
        return True
    return (not fixed or path.startswith(fixed + "/")) and ("/" in pattern[len(fixed) :].lstrip("/") or "**" in pattern)


def _match_inside(context: RepoContext, tracked: Tracked, matches: Callable[[str], bool]) -> Iterator[Target]:
    taken: set[bytes] = set()
    for part in context.view(tracked.output.digest).leaves():
        for path in part.paths:
            pieces = path.split(b"/")
            for depth in range(1, len(pieces) + 1):
                above = b"/".join(pieces[:depth])
                if above in taken:
                    break
                if matches(posixpath.join(tracked.path, os.fsdecode(above))):
                    taken.add(above)
                    yield Target(tracked, above)
                    break


def fixed_part(text: str) -> str:
    """The folder that a glob begins with, ``.`` if that is none."""
    return posixpath.dirname(text[: min(text.index(mark) for mark in _GLOB if mark in text)]) or os.curdir


def glob_matcher(pattern: str) -> Callable[[str], bool]:
    """A function that tells whether a path fits a glob: ``*`` and ``?`` stop at ``/``, ``**`` does not."""
    import re

    regex, rest = "", pattern
    while rest:
        if rest.startswith("**/"):
            regex, rest = regex + "(?:.*/)?", rest[3:]
        elif rest.startswith("**"):
            regex, rest = regex + ".*", rest[2:]
        elif rest[0] == "*":
            regex, rest = regex + "[^/]*", rest[1:]
        elif rest[0] == "?":
            regex, rest = regex + "[^/]", rest[1:]
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            body = rest[1:end].replace("\\", "\\\\").replace("[", "\\[")
            regex, rest = regex + f"[{'^' + body[1:] if body[0] == '!' else body}]", rest[end + 1 :]
        else:
            regex, rest = regex + re.escape(rest[0]), rest[1:]
    try:
        compiled = re.compile(regex, re.DOTALL)
    except re.error as exc:
        raise UsageError(f"not a valid glob: {pattern}") from exc
    return lambda path: compiled.fullmatch(path) is not None
