"""Read a repository at Git revisions, through the ``git`` program; the only module that starts one.

Git is asked with its safe settings: no hooks, no file-system monitor, no pager, no prompt, no optional locks, none of
the variables by which a hook's environment points it elsewhere. Revisions are resolved to commit ids first, so that no
text of the user's is ever taken for an option.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from kist.errors import RepoError, UsageError
from kist.repo.git_errors import git_error, not_started, refused
from kist.repo.git_files import belongs_to, fits, globs_of, globs_of_markers, inner_folders, without
from kist.repo.git_log import FORMAT, Commit, parse_log
from kist.util.paths import display, parents

_OBJECT_ID = re.compile(rb"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SAFE = (
    "-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null", "-c", "core.quotePath=false",
    "-c", "log.showSignature=false", "-c", "core.untrackedCache=false", "--no-pager", "--literal-pathspecs",
)  # fmt: skip
_KEPT_VARIABLES = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES")
_MAX_METAFILE = 4 << 20


class Git:
    """The Git repository around a folder; paths are relative to that folder, which need not be Git's top level.

    Args:
        root: the folder.
        markers: names whose presence makes a folder inside it a repository of its own, whose metafiles are not ours.
    """

    def __init__(self, root: Path, markers: Collection[str] = ()) -> None:
        self._root = root
        self._markers = sorted(markers)
        self._prefix: bytes | None = None
        self._resolved: dict[str, str] = {}

    # ── commits ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def has_commits(self) -> bool:
        """Whether HEAD is a commit."""
        return self._find("HEAD") is not None

    def resolve(self, revision: str) -> str:
        """The commit that a revision names.

        Args:
            revision: a branch, a tag, an id, ``HEAD~2`` and the like.

        Returns:
            Its full id.

        Raises:
            UsageError: there is no such commit, or the text begins with a dash.
            RepoError: Git cannot be asked.
        """
        found = self._find(revision)
        if found is None:
            raise UsageError(
                f"Git knows no revision '{display(revision)}'", hint="'git log --oneline --all' shows what there is"
            )
        return found

    def _find(self, revision: str) -> str | None:
        if not revision or revision.startswith("-") or "\0" in revision or "\n" in revision:
            return None
        if revision not in self._resolved:
            name = f"{revision}^{{commit}}"
            data = self._run("rev-parse", "--verify", "--quiet", "--end-of-options", name, fine=(0, 1, 128))
            found = data.split()
            if not found or not _OBJECT_ID.fullmatch(found[-1]):
                return None
            self._resolved[revision] = found[-1].decode("ascii")
        return self._resolved[revision]

    def branches(self) -> list[str]:
        """Commits of the local branches, each once."""
        return self._refs("refs/heads")

    def tags(self) -> list[str]:
        """Commits of the tags, each once."""
        return self._refs("refs/tags")

    def _refs(self, prefix: str) -> list[str]:
        rows = self._run("for-each-ref", "--format=%(objectname) %(objecttype) %(*objectname) %(*objecttype)", prefix)
        found: dict[str, None] = {}
        for row in rows.decode("utf-8", "replace").splitlines():
            names = row.split(" ")
            for object_id, kind in zip(names[0::2], names[1::2], strict=False):
                if kind == "commit":
                    found.setdefault(object_id)
        return list(found)

    def commits(self) -> list[str]:
        """All commits that any reference or HEAD reaches, the newest first."""
        head = ["HEAD"] if self.has_commits() else []
        return self._run("rev-list", "--all", *head, "--").decode("ascii", "replace").split()

    def changing(self, patterns: Sequence[str]) -> list[str]:
        """Commits, reachable by any reference or HEAD, that change files of these patterns; the newest first."""
        head = ["HEAD"] if self.has_commits() else []
        data = self._run("log", "--all", "--full-history", "--format=%H", *head, "--", *globs_of(patterns), globs=True)
        return data.decode("ascii", "replace").split()

    def likely_published(self) -> list[str]:
        """Commits whose data a remote may have, the likeliest first: upstream, HEAD, its parents, the merge base."""
        found: dict[str, None] = {}
        for revision in ("@{upstream}", "HEAD", "HEAD~1", "HEAD~2"):
            commit = self._find(revision)
            if commit is not None:
                found.setdefault(commit)
        if len(found) > 1:
            first, second = list(found)[:2]
            base = self._run("merge-base", first, second, fine=(0, 1)).decode("ascii", "replace").strip()
            if base:
                found.setdefault(base)
        return list(found)

    # ── files at a revision ──────────────────────────────────────────────────────────────────────────────────────────

    def files(self, revision: str, patterns: Sequence[str]) -> dict[bytes, str]:
        """Regular files at a revision whose names fit one of the patterns; not those of repositories inside this one.

        Args:
            revision: as for :meth:`resolve`.
            patterns: shell patterns of file names, such as ``*.kist``.

        Returns:
            Path relative to the folder -> id of the content, in the order of the paths.

        Raises:
            UsageError: there is no such revision.
            RepoError: Git cannot be asked.
        """
        commit = self.resolve(revision)
        prefix = self.prefix
        listed = self._run(
            "ls-tree", "-r", "-z", "--full-tree", commit, "--", *([os.fsdecode(prefix)] if prefix else [])
        )
        rows = [row.partition(b"\t") for row in listed.split(b"\0")]
        files = {path[len(prefix) :]: facts for facts, _, path in rows if path.startswith(prefix)}
        inner = inner_folders(files, self._markers)
        return {
            path: facts.split(b" ")[2].decode("ascii")
            for path, facts in files.items()
            if facts.startswith(b"100") and fits(path, patterns) and not belongs_to(path, inner)
        }

    def read(self, object_ids: Iterable[str]) -> dict[str, bytes]:
        """Bring the content of files.

        Args:
            object_ids: as :meth:`files` gives them.

        Returns:
            Id -> content; what is larger than a metafile may be is cut to one byte more than that.

        Raises:
            RepoError: Git cannot be asked, or lacks one.
        """
        wanted = list(dict.fromkeys(object_ids))
        if not wanted:
            return {}
        process = self._start(["cat-file", "--batch"], errors=subprocess.DEVNULL)
        assert process.stdin is not None
        assert process.stdout is not None
        found: dict[str, bytes] = {}
        try:
            # Few at a time, so that neither pipe fills while the other side waits.
            for first in range(0, len(wanted), 100):
                some = wanted[first : first + 100]
                process.stdin.write("".join(f"{one}\n" for one in some).encode("ascii"))
                process.stdin.flush()
                for one in some:
                    found[one] = self._read_one(process, one)
        except BrokenPipeError:
            raise RepoError("git ended unexpectedly while it read files") from None
        finally:
            _end(process)
        return found

    def _read_one(self, process: subprocess.Popen[bytes], object_id: str) -> bytes:
        stream = process.stdout
        assert stream is not None
        head = stream.readline().split()
        if len(head) != 3 or not head[2].isdigit():
            raise RepoError(f"Git lacks the object {object_id}", hint="'git fsck' tells more, 'git fetch' may bring it")
        size = int(head[2])
        data = stream.read(min(size, _MAX_METAFILE + 1))
        rest = size - len(data)
        while rest > 0:
            skipped = len(stream.read(min(rest, 1 << 20)))
            if not skipped:
                break
            rest -= skipped
        stream.read(1)
        return data

    def history(
        self, patterns: Sequence[str], paths: Sequence[str] | None = None, revision: str = "HEAD"
    ) -> Iterator[tuple[Commit, list[tuple[str, bytes | None]]]]:
        """Commits that changed metafiles, the newest first, with what they wrote.

        Args:
            patterns: shell patterns of metafile names.
            paths: only these metafiles, None for all.
            revision: where to begin.

        Yields:
            A commit, and for each metafile that it changed its path and its content, None where it was deleted. What
            a merge changed is told against its first parent; one that took over one side as it is changed nothing.

        Raises:
            UsageError: there is no such revision.
            RepoError: Git cannot be asked.
        """
        if not self.has_commits() and revision == "HEAD":
            return
        commit = self.resolve(revision)
        limits = list(paths) if paths is not None else [*globs_of(patterns), *self._without_inner()]
        data = self._run(
            "log", f"--format={FORMAT}", "--raw", "-z", "--no-renames", "--no-abbrev", "-m",
            "--relative", commit, "--", *limits, globs=paths is None,
        )  # fmt: skip
        batch: list[tuple[Commit, list[tuple[bytes, str]]]] = []
        for one in parse_log(data):
            batch.append(one)
            if len(batch) >= 200:
                yield from self._with_content(batch)
                batch = []
        yield from self._with_content(batch)

    def _with_content(
        self, batch: list[tuple[Commit, list[tuple[bytes, str]]]]
    ) -> Iterator[tuple[Commit, list[tuple[str, bytes | None]]]]:
        contents = self.read(found for _, changed in batch for _, found in changed if found.strip("0"))
        for commit, changed in batch:
            yield commit, [(os.fsdecode(path), contents.get(found)) for path, found in changed]

    # ── the workspace ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def prefix(self) -> bytes:
        """The folder's path below Git's top level with a ``/`` at its end, b"" for the top level itself."""
        if self._prefix is None:
            from kist.repo.layout import find_git

            place = find_git(self._root)
            if place is None:
                raise RepoError(f"{display(str(self._root))} is not inside a Git repository")
            inner = os.fsencode(os.path.relpath(self._root, place.top))
            self._prefix = b"" if inner == b"." else inner + b"/"
        return self._prefix

    def tracked(self, paths: Sequence[bytes]) -> list[bytes]:
        """Files that Git tracks at or below paths.

        Args:
            paths: relative to the folder.

        Returns:
            The files, relative to the folder.

        Raises:
            RepoError: Git cannot be asked.
        """
        if not paths:
            return []
        few = len(paths) <= 500  # else Git would compare each file with each path
        found = self._run("ls-files", "-z", "--", *(map(os.fsdecode, paths) if few else ())).split(b"\0")[:-1]
        wanted = set(paths)
        return [path for path in found if few or path in wanted or not wanted.isdisjoint(parents(path))]

    def ignored(self, paths: Sequence[bytes], *, tracked: bool = False) -> dict[str, str]:
        """Paths that an ignore rule of Git's hides.

        Args:
            paths: relative to the folder.
            tracked: whether also those that a rule fits but that Git tracks, which it therefore does not hide.

        Returns:
            Hidden path -> ``file:line: rule``.

        Raises:
            RepoError: Git cannot be asked.
        """
        hidden = self._fitting_rules(paths, "--no-index") if paths else {}  # with its index Git looks long at each
        return hidden if tracked or not hidden else self._fitting_rules(list(map(os.fsencode, hidden)))

    def _fitting_rules(self, paths: Sequence[bytes], *options: str) -> dict[str, str]:
        named = b"".join(b"./" + path + b"\0" for path in paths)  # a colon at the start would be magic
        data = self._run("check-ignore", *options, "-zv", "--stdin", stdin=named, fine=(0, 1), globs=True)
        return {
            os.fsdecode(path[2:]): f"{display(source)}:{line.decode('ascii', 'replace')}: {display(rule)}"
            for source, line, rule, path in zip(*(data.split(b"\0")[start::4] for start in range(4)), strict=False)
            if not rule.startswith(b"!")
        }

    def unmerged(self, patterns: Sequence[str]) -> dict[str, dict[int, str]]:
        """Files with a conflict that Git waits to see settled.

        Args:
            patterns: of file names.

        Returns:
            Path relative to the folder -> id of the content by stage: 1 what both began with, 2 ours, 3 theirs.
        """
        found: dict[str, dict[int, str]] = {}
        limits = self._without_inner()
        for row in self._run("ls-files", "-u", "-z", "--", *limits, globs=True).split(b"\0"):
            facts, _, path = row.partition(b"\t")
            if facts.startswith(b"100") and fits(path, patterns):
                _, name, stage = facts.split(b" ")
                found.setdefault(os.fsdecode(path), {})[int(stage)] = name.decode("ascii")
        return found

    def merging(self) -> str | None:
        """The name under which Git knows the other side of an unfinished merge, None where there is none."""
        names = ("MERGE_HEAD", "REBASE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD")
        return next((name for name in names if self._find(name)), None)

    def _without_inner(self) -> list[str]:
        """What keeps repositories inside this one out of what Git looks at."""
        found = self._run("ls-files", "-z", "--", *globs_of_markers(self._markers), globs=True).split(b"\0")
        return without(inner_folders(found, self._markers))

    # ── the program ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, *arguments: str, stdin: bytes = b"", fine: tuple[int, ...] = (0,), globs: bool = False) -> bytes:
        process = self._start(arguments, globs=globs)
        output, errors = process.communicate(stdin)
        if process.returncode not in fine or refused(errors):
            raise git_error(arguments[0], errors, self._root)
        return output

    def _start(
        self, arguments: Sequence[str], *, errors: int = subprocess.PIPE, globs: bool = False
    ) -> subprocess.Popen[bytes]:
        safe = [one for one in _SAFE if not (globs and one == "--literal-pathspecs")]
        try:
            return subprocess.Popen(
                ["git", *safe, "-C", str(self._root), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment(),
            )
        except OSError as exc:
            raise not_started(exc) from exc


def environment() -> dict[str, str]:
    """The environment for Git: without the variables that point it elsewhere or make it ask, page or lock."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT_VARIABLES}
    return {**kept, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat", "LC_ALL": "C"}


def safe_directories() -> list[str]:
    """The folders that the user told Git to trust: ``safe.directory`` of the system's and the user's configuration."""
    found: list[str] = []
    for level in ("--system", "--global"):
        try:
            done = subprocess.run(
                ["git", "config", level, "-z", "--get-all", "safe.directory"],
                cwd="/",
                env=environment(),
                capture_output=True,
                check=False,
            )
        except OSError:
            return found
        for value in done.stdout.split(b"\0")[:-1]:
            found = [*found, os.path.expanduser(os.fsdecode(value))] if value else []
    return found


def program_version() -> str | None:
    """The version of the ``git`` program, None where it is not installed."""
    try:
        done = subprocess.run(["git", "version"], cwd="/", env=environment(), capture_output=True, check=False)
    except OSError:
        return None
    return done.stdout.decode("utf-8", "replace").strip().removeprefix("git version ") or None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a helper process and let go of its pipes."""
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
    process.wait()
