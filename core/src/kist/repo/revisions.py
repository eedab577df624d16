"""Read a repository at Git revisions, through the ``git`` program.

Commits, folders and files come through one process that stays open (:mod:`kist.repo.git_objects`); other questions take
a process each. Revisions are resolved to commit ids first, so that no text of the user's is ever taken for an option.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from kist.errors import RepoError, UsageError
from kist.repo.git_files import fits, globs_of, globs_of_markers, inner_folders, without
from kist.repo.git_log import FORMAT, Commit, parse_log
from kist.repo.git_objects import GitObjects
from kist.repo.git_program import GitProgram
from kist.repo.git_trees import GitTrees
from kist.util.paths import display, parents


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
        self._program = GitProgram(root)
        self._objects = GitObjects(self._program)
        self._trees = GitTrees(self._objects, self._markers)
        self._commits: dict[str, tuple[str, str]] = {}
        self._run = self._program.run

    def close(self) -> None:
        """End the process that is open; the next question starts another one."""
        self._objects.close()

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
        found = self._commit(revision)
        return found[0] if found else None

    def _commit(self, revision: str) -> tuple[str, str] | None:
        """The ids of a commit and of its tree."""
        if not revision or revision.startswith("-") or "\0" in revision or "\n" in revision:
            return None
        if revision not in self._commits:
            found = self._objects.find(f"{revision}^{{commit}}")
            if found is None or found.kind != "commit":
                return None
            tree = found.data.partition(b"\n")[0].removeprefix(b"tree ")
            self._commits[revision] = self._commits[found.id] = found.id, tree.decode("ascii", "replace")
        return self._commits[revision]

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
        upstream, *own = map(self._find, ("@{upstream}", "HEAD", "HEAD~1", "HEAD~2"))
        found = [upstream, *own]
        if upstream is not None and own[0] is not None and upstream not in own:  # else it is the base itself
            found.append(self._run("merge-base", upstream, own[0], fine=(0, 1)).decode("ascii", "replace").strip())
        return list(dict.fromkeys(commit for commit in found if commit))

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
        self.resolve(revision)
        _, tree = self._commits[revision]
        return self._trees.files(tree, self._below_top(), patterns)

    def read(self, object_ids: Iterable[str]) -> dict[str, bytes]:
        """Bring the content of files.

        Args:
            object_ids: as :meth:`files` gives them.

        Returns:
            Id -> content; what is larger than a metafile may be is cut to one byte more than that.

        Raises:
            RepoError: Git cannot be asked, or lacks one.
        """
        return self._objects.contents(object_ids)

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

    def _below_top(self) -> bytes:
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
