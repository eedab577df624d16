"""Watch the main job on real files, in a scratch folder that is removed again."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kist.cli.render import Output
from kist.errors import KistError, StorageError
from kist.util.slotted import field, slotted
from kist.util.units import show_size

EXAMPLES = (
    ("kist demo", "the whole tour, in under 20 seconds"),
    ("kist demo --keep", "leave the scratch folder to look around in"),
)

_LEFT_OUT = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__"}
_MOST_LINES = 6
_DAMAGE = 64
"""Bytes in a row, each with one bit flipped: more than the header before a pack's member has."""
_TIMEOUT = 120
_IDENTITY = ("-c", "user.name=kist demo", "-c", "user.email=demo@example.invalid", "-c", "commit.gpgsign=false")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--keep", action="store_true", help="leave the scratch folder where it is")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Show the tour; a step that goes wrong ends it with an error."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="kist-demo-"))
    except OSError as exc:
        raise StorageError(f"no scratch folder can be made: {exc.strerror}", errno=exc.errno or 0) from exc
    tour = Tour(folder, args.output)
    try:
        data = tour.run()
    finally:
        if args.keep:
            args.output.talk(f"everything is in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return {**data, "folder": str(folder) if args.keep else None}


@slotted()
class Tour:
    """One run of the demonstration.

    Attributes:
        folder: the scratch folder.
        output: where it is shown.
        steps: what was run: command line and seconds.
    """

    folder: Path
    output: Output
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def work(self) -> Path:
        """The first person's repository."""
        return self.folder / "work"

    @property
    def clone(self) -> Path:
        """The second person's."""
        return self.folder / "clone"

    def run(self) -> dict[str, Any]:
        """Run all steps; returns the summary.

        Raises:
            KistError: a step went wrong.
        """
        began = time.monotonic()
        git = shutil.which("git") is not None
        source = self.work / "data"
        files = self._prepare(source)
        self._title(f"{files} files of Python's standard library, as data", f"in {self.work}")
        self._version(git=git)
        self._title("push to a remote, here a plain folder" + (": all versions of all commits" if git else ""))
        self.kist(self.work, "remote", "add", "-d", "store", "../store")
        if git:
            self._commit("use a remote")
        pushed = self.kist(self.work, "push", *(("--all-commits",) if git else ()))
        self._share(git=git)
        self._title("compare the clone with the original, by a walk that uses no code of kist")
        compared = compare_folders(source, self.clone / "data")
        self.output.line(f"  {compared} files, folders and links: equal, byte for byte")
        repaired = self._damage()
        seconds = time.monotonic() - began
        on_remote = [path for path in (self.folder / "store").rglob("*") if path.is_file()]
        self._title("done")
        self.output.line(
            f"  {files} files went through {len(self.steps)} commands in {seconds:.1f} s; "
            f"the remote holds them in {len(on_remote)} files, "
            f"{show_size(sum(path.stat().st_size for path in on_remote))}"
        )
        return {
            "files": files,
            "compared": compared,
            "repaired": repaired,
            "objects_pushed": int(re.findall(r"([0-9,]+) objects", pushed.stdout)[0].replace(",", "")),
            "remote_files": len(on_remote),
            "git": git,
            "seconds": round(seconds, 3),
            "steps": self.steps,
        }

    # ── the steps ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self, target: Path) -> int:
        """Copy packages of the standard library: real files, nothing that has to be downloaded."""
        library = Path(os.__file__).parent
        self.work.mkdir(parents=True)
        target.mkdir()
        for path in sorted(library.iterdir()):
            if path.name not in _LEFT_OUT and (path / "__init__.py").is_file():
                shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns(*_LEFT_OUT))
            elif path.suffix == ".py":
                shutil.copyfile(path, target / path.name)
        (target / "empty").mkdir(exist_ok=True)
        os.symlink("json", target / "link")
        (target / "tool.py").write_text("#!/usr/bin/env python3\nprint('executable')\n", encoding="utf-8")
        (target / "tool.py").chmod(0o755)
        return sum(kind != "folder" for kind, _ in _walk(target).values()) + 1

    def _version(self, *, git: bool) -> None:
        if git:
            self.git(self.work, "init", "-q")
        else:
            self.output.line("  (git is not installed: the tour goes on without history)")
        self.kist(self.work, "init")
        self.kist(self.work, "add", "data")
        if git:
            self._commit("first version")
        self._title("edit, look, record the new version")
        data = self.work / "data"
        with (data / "json" / "decoder.py").open("a", encoding="utf-8") as stream:
            stream.write("# edited\n")
        (data / "new.txt").write_text("a new file\n", encoding="utf-8")
        (data / "html" / "entities.py").unlink()
        self.output.line("  (edited json/decoder.py, made new.txt, deleted html/entities.py)")
        self.kist(self.work, "status")
        changes = self._count(self.work, "status", "changes")
        if changes != 3:
            raise KistError(f"status shows {changes} changes instead of 3")
        if git:
            self.kist(self.work, "diff")
        self.kist(self.work, "add", "data")
        if git:
            self._commit("second version")
            self.kist(self.work, "log", "data")

    def _commit(self, message: str) -> None:
        self.git(self.work, "add", ".")
        self.git(self.work, *_IDENTITY, "commit", "-q", "-m", message, shown=("commit", "-q", "-m", message))

    def _share(self, *, git: bool) -> None:
        self._title("somebody else clones the repository and pulls the data")
        if git:
            self.git(self.folder, "clone", "-q", "work", "clone")
        else:
            self.clone.mkdir()
            shutil.copytree(self.work / ".kist", self.clone / ".kist", ignore=shutil.ignore_patterns("private"))
            shutil.copy(self.work / "data.kist", self.clone)
            self.output.line("  (copied .kist and data.kist, which Git would have cloned)")
        self.kist(self.clone, "pull")
        self.kist(self.clone, "verify")

    def _damage(self) -> int:
        """Flip bits in the clone's cache; verify must find it and bring a good copy back."""
        self._title("damage a stored object; kist finds it and repairs it")
        folder = self.clone / (".git/kist/cache" if (self.clone / ".git").exists() else ".kist/private/cache")
        stored = [path for place in ("packs", "objects") for path in (folder / place).rglob("*") if path.is_file()]
        victim = max(stored, key=lambda path: path.stat().st_size)
        victim.chmod(0o644)
        with victim.open("r+b") as stream:
            place = victim.stat().st_size // 3
            stream.seek(place)
            bytes_there = stream.read(_DAMAGE)
            stream.seek(place)
            stream.write(bytes(byte ^ 1 for byte in bytes_there))
        self.output.line(f"  (flipped {_DAMAGE} bits of {victim.relative_to(self.clone)})")
        self.kist(self.clone, "verify", expected=8)
        found = self._count(self.clone, "verify", "damaged")
        if not found:
            raise KistError("verify did not find the damage")
        self.kist(self.clone, "verify", "--repair")
        self.kist(self.clone, "verify")
        compare_folders(self.work / "data", self.clone / "data")
        return found

    # ── running and showing ──────────────────────────────────────────────────────────────────────────────────────────

    def kist(self, where: Path, *words: str, expected: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the installed kist, and show it as a person would have typed it."""
        return self._step(where, [sys.executable, "-P", "-m", "kist", *words], ("kist", *words), expected)

    def git(self, where: Path, *words: str, shown: Sequence[str] | None = None) -> None:
        """Run git; it needs no identity of the user's."""
        self._step(where, ["git", *words], ("git", *(shown or words)), 0)

    def _step(
        self, where: Path, command: list[str], shown: Sequence[str], expected: int
    ) -> subprocess.CompletedProcess[str]:
        began = time.monotonic()
        line = " ".join(f'"{word}"' if " " in word else word for word in shown)
        done = subprocess.run(
            command,
            cwd=where,
            env=_environment(self.folder),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_TIMEOUT,
        )
        seconds = time.monotonic() - began
        self.steps.append({"command": line, "exit_code": done.returncode, "seconds": round(seconds, 3)})
        self.output.line(f"  {where.name}$ {line}", color="bold")
        lines = [*done.stdout.splitlines(), *done.stderr.splitlines()]
        for one in lines[:_MOST_LINES]:
            self.output.line(f"    {one}")
        if len(lines) > _MOST_LINES:
            self.output.line(f"    … {len(lines) - _MOST_LINES} more lines")
        if done.returncode != expected:
            rest = "\n".join(lines[-20:])
            raise KistError(f"'{line}' returned {done.returncode} instead of {expected}:\n{rest}")
        return done

    def _count(self, where: Path, verb: str, what: str) -> int:
        """How many things a verb that changes nothing tells, asked for again as JSON."""
        command = [sys.executable, "-P", "-m", "kist", verb, "--json"]
        again = subprocess.run(
            command, cwd=where, env=_environment(self.folder), capture_output=True, text=True, check=False
        )
        try:
            return len(json.loads(again.stdout)["data"][what])
        except (ValueError, KeyError, TypeError):
            raise KistError(f"'kist {verb} --json' printed no result:\n{again.stderr}") from None

    def _title(self, text: str, detail: str = "") -> None:
        self.output.line()
        self.output.line(f"# {text}", color="green")
        if detail:
            self.output.line(f"# {detail}")


def _environment(folder: Path) -> dict[str, str]:
    """The environment of the steps: nothing of the user's configuration has a say."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("KIST_", "GIT_")) or name == "KIST_CACHE_HOME"
    }
    return {
        **kept,
        "KIST_USER_CONFIG": str(folder / "user.yaml"),
        "KIST_SYSTEM_CONFIG": str(folder / "system.yaml"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "NO_COLOR": "1",
    }


def compare_folders(first: Path, second: Path) -> int:
    """Compare two folders byte for byte, with executable bits, links and empty folders.

    Args:
        first: a folder.
        second: another one.

    Returns:
        How many files, links and folders they have.

    Raises:
        KistError: they differ, naming the first difference.
    """
    one, other = _walk(first), _walk(second)
    for path in sorted(one.keys() | other.keys()):
        if one.get(path) != other.get(path):
            raise KistError(f"{path} is not the same in {first} and {second}")
    return len(one)


def _walk(folder: Path) -> dict[str, tuple[str, bytes]]:
    found: dict[str, tuple[str, bytes]] = {}
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(here, name)
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[relative] = ("link", os.fsencode(os.readlink(path)))
            elif path.is_dir():
                found[relative] = ("folder", b"")
            else:
                executable = bool(path.stat().st_mode & 0o100)
                found[relative] = ("executable" if executable else "file", path.read_bytes())
    return found
