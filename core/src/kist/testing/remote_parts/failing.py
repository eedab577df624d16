"""Remote contract: errors, progress, and what must not leak."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from kist.abc import Remote
from kist.errors import RemoteAuthError, RemoteError, RemotePermissionError, RemoteUnavailable
from kist.testing.remote_parts.common import (
    CALLS,
    Abort,
    Recorder,
    RemoteFixtures,
    call,
    content,
    keys,
    put,
    read,
    refused,
    write_file,
)

HOSTILE_KEYS = (
    "../outside",
    "a/../../outside",
    "/outside",
    "a//b",
    "a/./b",
    "a/",
    "",
    ".hidden",
    "nul\0byte",
    "k" * 2000,
)


class ErrorContract(RemoteFixtures):
    """Failures are told in the words of kist."""

    __test__ = False

    @pytest.mark.parametrize("method", CALLS)
    def test_bad_credentials(self, broken_credentials: Remote, tmp_path: Path, method: str) -> None:
        """Credentials that are not accepted raise RemoteAuthError, which is not retried."""
        with pytest.raises(RemoteAuthError) as caught:
            call(broken_credentials, method, tmp_path)
        assert not caught.value.retryable

    @pytest.mark.parametrize("method", CALLS)
    def test_unreachable(self, unreachable: Remote, tmp_path: Path, method: str) -> None:
        """A remote that cannot be reached raises RemoteUnavailable, which is retried."""
        with pytest.raises(RemoteUnavailable) as caught:
            call(unreachable, method, tmp_path)
        assert caught.value.retryable

    @pytest.mark.parametrize("method", ["put_file", "put_bytes", "delete"])
    def test_no_right_to_write(self, read_only: Remote, tmp_path: Path, method: str) -> None:
        """Where the credentials do not allow to write, that raises RemotePermissionError and changes nothing."""
        with pytest.raises(RemotePermissionError):
            call(read_only, method, tmp_path)
        assert keys(read_only) == ["objects/ab/cd"]

    @pytest.mark.parametrize("method", ["put_many", "delete_many"])
    def test_batches_return_failures(self, read_only: Remote, tmp_path: Path, method: str) -> None:
        """A batch that fails for some keys returns their errors instead of raising the first."""
        source = write_file(tmp_path, b"x")
        if method == "put_many":
            failed = read_only.put_many([("objects/1", source), ("objects/2", source)])
            assert {key: type(error) for key, error in failed.items()} == {
                "objects/1": RemotePermissionError,
                "objects/2": RemotePermissionError,
            }
        else:
            failed = read_only.delete_many(["objects/ab/cd"])
            assert {key: type(error) for key, error in failed.items()} == {"objects/ab/cd": RemotePermissionError}


class KeyContract(RemoteFixtures):
    """Keys outside of the grammar, which kist never sends, do no harm either."""

    __test__ = False

    @pytest.mark.parametrize("method", ["put_file", "put_bytes"])
    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_hostile_key(self, remote: Remote, tmp_path: Path, key: str, method: str) -> None:
        """A key outside of the grammar is refused with a RemoteError, or kept as exactly that key."""
        source = write_file(tmp_path, b"x")
        error = refused(lambda: remote.put_file(key, source) if method == "put_file" else remote.put_bytes(key, b"x"))
        if error is None:
            assert keys(remote) == [key], "kist.remotes.files.check_key refuses such a key"
            assert read(remote, key) == b"x"
        else:
            assert isinstance(error, RemoteError)
            assert keys(remote) == []

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_hostile_key_reads_nothing(self, remote: Remote, tmp_path: Path, key: str) -> None:
        """Asking for a key outside of the grammar raises a RemoteError and never reaches anything else."""
        for ask in (remote.stat, remote.open, lambda one: remote.get_file(one, tmp_path / "target")):
            with pytest.raises(RemoteError):
                ask(key)
        assert isinstance(refused(lambda: remote.delete(key)), RemoteError | None)

    @pytest.mark.parametrize("prefix", ["..", "../", "/", "a/../", "//", "\0"])
    def test_hostile_prefix(self, remote: Remote, tmp_path: Path, prefix: str) -> None:
        """A prefix that no key starts with lists nothing, or is refused with a RemoteError."""
        put(remote, tmp_path, "a")
        error = refused(lambda: keys(remote, prefix))
        assert error is None or isinstance(error, RemoteError)
        assert error is not None or keys(remote, prefix) == []


class ProgressContract(RemoteFixtures):
    """Progress tells of every byte, once."""

    __test__ = False

    @pytest.mark.parametrize("size", [0, 1, 3 << 20])
    def test_put_progress(self, remote: Remote, tmp_path: Path, size: int) -> None:
        """What put_file tells adds up to the size, and never goes back."""
        progress = Recorder()
        remote.put_file("objects/one", write_file(tmp_path, content(size)), progress=progress)
        assert sum(progress.amounts) == size
        assert min(progress.amounts, default=0) >= 0

    @pytest.mark.parametrize("size", [0, 1, 3 << 20])
    def test_get_progress(self, remote: Remote, tmp_path: Path, size: int) -> None:
        """What get_file tells adds up to the size, and never goes back."""
        put(remote, tmp_path, "objects/one", content(size))
        progress = Recorder()
        remote.get_file("objects/one", tmp_path / "target", progress=progress)
        assert sum(progress.amounts) == size
        assert min(progress.amounts, default=0) >= 0

    @pytest.mark.parametrize("method", ["put_file", "get_file"])
    def test_progress_aborts(self, remote: Remote, tmp_path: Path, method: str) -> None:
        """What progress raises ends the work and passes through as it is."""
        put(remote, tmp_path, "objects/one", content(1000))
        source = write_file(tmp_path, content(1000))
        abort = Abort()
        progress = Recorder(abort)
        calls = {
            "put_file": lambda: remote.put_file("objects/two", source, progress=progress),
            "get_file": lambda: remote.get_file("objects/one", tmp_path / "target", progress=progress),
        }
        with pytest.raises(Abort) as caught:
            calls[method]()
        assert caught.value is abort


class HygieneContract(RemoteFixtures):
    """Nothing leaks: no secret, no thread, no file, no output."""

    __test__ = False

    def test_repr_hides_secrets(self, remote: Remote, secrets: tuple[str, ...]) -> None:
        """The repr of a remote is one short line without any secret option."""
        text = repr(remote)
        assert "\n" not in text
        assert len(text) < 1000
        assert not any(secret in text for secret in secrets)

    @pytest.mark.parametrize("method", CALLS)
    def test_errors_hide_secrets(
        self, broken_credentials: Remote, secrets: tuple[str, ...], tmp_path: Path, method: str
    ) -> None:
        """No error, and nothing in its chain of causes, shows a secret option."""
        error = refused(lambda: call(broken_credentials, method, tmp_path))
        assert error is not None
        text = "".join(traceback.format_exception(error)) + f"{error!r} {error.hint}"
        shown = [line for line in text.splitlines() if not line.startswith("    ")]  # the source code of callers
        assert not any(secret in line for secret in secrets for line in shown)

    def test_logs_hide_secrets(self, remote: Remote, secrets: tuple[str, ...], tmp_path: Path) -> None:
        """Nothing that is logged, at any level, shows a secret option."""
        with captured_logs() as stream:
            use(remote, tmp_path)
        assert not any(secret in stream.getvalue() for secret in secrets)

    def test_prints_nothing(self, remote: Remote, tmp_path: Path) -> None:
        """A remote prints nothing, neither to standard output nor to standard error."""
        stream = io.StringIO()
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            use(remote, tmp_path)
        assert stream.getvalue() == ""

    def test_describe_access(self, remote: Remote, secrets: tuple[str, ...]) -> None:
        """Describe_access gives pairs of texts without any secret."""
        pairs = remote.describe_access()
        assert all(isinstance(label, str) and isinstance(text, str) for label, text in pairs)
        assert not any(secret in text for secret in secrets for _, text in pairs)

    def test_identity(self, remote: Remote, tmp_path: Path, secrets: tuple[str, ...]) -> None:
        """Whose the requests are is a text without any secret, before and after some were made."""
        told = [remote.identity()]
        use(remote, tmp_path)
        told.append(remote.identity())
        assert all(isinstance(text, str) for text in told)
        assert not any(secret in text for secret in secrets for text in told)

    def test_close_twice(self, remote: Remote, tmp_path: Path) -> None:
        """Close may be called again, and before anything was done."""
        use(remote, tmp_path)
        remote.close()
        remote.close()

    def test_close_unused(self, remote: Remote) -> None:
        """A remote that was never used can be closed."""
        remote.close()

    def test_leaves_no_thread(self, remote: Remote, tmp_path: Path) -> None:
        """After close no thread of the remote runs on, except daemons that the whole process shares."""
        before = set(threading.enumerate())
        use(remote, tmp_path)
        remote.close()
        assert [one for one in threading.enumerate() if one not in before and not one.daemon] == []

    def test_leaves_no_open_file(self, remote: Remote, tmp_path: Path) -> None:
        """Reading, writing and failing again and again leaves no more files open than once did."""
        if not os.path.isdir("/proc/self/fd"):
            pytest.skip("this system does not tell which files are open")
        use(remote, tmp_path)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            use(remote, tmp_path)
        assert len(os.listdir("/proc/self/fd")) <= before + 2


def use(remote: Remote, folder: Path) -> None:
    """Do a little of everything.

    Args:
        remote: the remote under test.
        folder: a folder for files.
    """
    put(remote, folder, "objects/used", content(1000))
    remote.get_file("objects/used", folder / "used")
    assert read(remote, "objects/used", start=10, length=10) == content(1000)[10:20]
    remote.stat("objects/used")
    list(remote.list("objects/"))
    refused(lambda: remote.stat("objects/none"))
    refused(lambda: remote.get_file("objects/none", folder / "none"))
    remote.delete("objects/used")


@contextlib.contextmanager
def captured_logs() -> Iterator[io.StringIO]:
    """Everything that is logged in the block, at any level.

    Yields:
        The stream that holds it.
    """
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        sys.stdout.flush()
