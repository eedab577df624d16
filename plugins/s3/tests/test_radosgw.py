"""The contract of remotes on Ceph's gateway, with rights, and the whole story through the command line."""

from __future__ import annotations

import itertools
from pathlib import Path
from urllib.parse import quote

import pytest

from kist.errors import RemoteError, RemotePermissionError
from kist.testing.remote import StrictRemoteContract
from kist.testing.remote_parts.common import Abort, Recorder, content
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.processes import free_port
from servers.radosgw import Radosgw
from servers.s3 import RawBucket
from servers.scenario import NO_OP, EndToEnd, Place, Team, some_files

_numbers = itertools.count()


@pytest.fixture(scope="session")
def shared(radosgw: Radosgw) -> tuple[str, dict[str, tuple[str, str]]]:
    """A bucket, and the keys of users: ``reader`` may not write, ``blind`` may not list."""
    users = {name: radosgw.user(name) for name in ("reader", "blind")}
    bucket = radosgw.make_bucket()
    rights = {
        "reader": ["s3:GetObject", "s3:ListBucket"],
        "blind": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
    }
    radosgw.allow(bucket, rights)
    return bucket, users


@pytest.fixture
def bucket(shared) -> str:
    return shared[0]


@pytest.fixture
def folder() -> str:
    return f"team {next(_numbers)}/été"


def options(server: Radosgw, keys: tuple[str, str] | None = None, **others) -> S3Options:
    key, secret = keys or (server.access_key, server.secret_key)
    return S3Options(endpoint_url=server.endpoint, access_key_id=key, secret_access_key=secret, **others)


class TestRadosgw(StrictRemoteContract):
    @pytest.fixture
    def remote(self, radosgw: Radosgw, bucket: str, folder: str) -> S3Remote:
        return S3Remote((bucket, folder), options(radosgw))

    @pytest.fixture
    def second(self, radosgw: Radosgw, bucket: str, folder: str) -> S3Remote:
        return S3Remote((bucket, folder), options(radosgw))

    @pytest.fixture
    def raw(self, radosgw: Radosgw, bucket: str, folder: str) -> RawBucket:
        return RawBucket(radosgw, bucket, folder)

    @pytest.fixture
    def broken_credentials(self, radosgw: Radosgw, bucket: str, folder: str) -> S3Remote:
        return S3Remote((bucket, folder), options(radosgw, (radosgw.access_key, "planted-wrong-secret")))

    @pytest.fixture
    def unreachable(self, bucket: str, folder: str) -> S3Remote:
        there = f"http://127.0.0.1:{free_port()}"
        return S3Remote((bucket, folder), S3Options(endpoint_url=there, access_key_id="any", secret_access_key="any"))

    @pytest.fixture
    def read_only(self, radosgw: Radosgw, shared, folder: str) -> S3Remote:
        bucket, users = shared
        RawBucket(radosgw, bucket, folder).write("objects/ab/cd", b"there")
        return S3Remote((bucket, folder), options(radosgw, users["reader"]))

    @pytest.fixture
    def secrets(self, radosgw: Radosgw) -> tuple[str, ...]:
        return (radosgw.secret_key, "planted-wrong-secret")


class TestStory(EndToEnd):
    """With the keys in the environment, as in continuous integration."""

    @pytest.fixture
    def place(self, radosgw: Radosgw, bucket: str, folder: str) -> Place:
        env = {
            "AWS_ENDPOINT_URL_S3": radosgw.endpoint,
            "AWS_ACCESS_KEY_ID": radosgw.access_key,
            "AWS_SECRET_ACCESS_KEY": radosgw.secret_key,
        }
        url = f"s3://{bucket}/{quote(folder)}"
        return Place(url, env=env, raw=RawBucket(radosgw, bucket, folder), secrets=[radosgw.secret_key])


class TestRights:
    def test_sharing_without_the_right_to_list(self, radosgw: Radosgw, shared, folder: str, tmp_path: Path) -> None:
        bucket, users = shared
        key, secret = users["blind"]
        place = Place(
            f"s3://{bucket}/{quote(folder)}",
            options={"endpoint_url": radosgw.endpoint},
            local={"access_key_id": key, "secret_access_key": secret},
            secrets=[secret],
        )
        team = Team(tmp_path / "team", place)
        team.found()
        team.record("first", some_files(), "one")
        team.json("first", "push")
        assert team.json("first", "push").data["requests"] <= NO_OP
        team.clone("second")
        team.json("second", "pull")
        assert team.files("second") == some_files()
        team.check_secrets()

    def test_listing_without_the_right(self, radosgw: Radosgw, shared, folder: str) -> None:
        bucket, users = shared
        remote = S3Remote((bucket, folder), options(radosgw, users["blind"]))
        with pytest.raises(RemotePermissionError, match="AccessDenied"):
            list(remote.list())
        with pytest.raises(RemotePermissionError):  # S3 does not tell such a user whether a key is there
            remote.stat("objects/none")

    def test_pull_with_the_right_to_read_only(self, radosgw: Radosgw, shared, folder: str, tmp_path: Path) -> None:
        bucket, users = shared
        place = Place(f"s3://{bucket}/{quote(folder)}", options={"endpoint_url": radosgw.endpoint})
        team = Team(tmp_path / "team", place)
        team.env |= {"AWS_ACCESS_KEY_ID": radosgw.access_key, "AWS_SECRET_ACCESS_KEY": radosgw.secret_key}
        team.found()
        team.record("first", some_files(), "one")
        team.json("first", "push")
        team.clone("second")
        key, secret = users["reader"]
        team.env |= {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
        team.json("second", "pull")
        assert team.files("second") == some_files()
        team.record("second", {"new": b"new"}, "two")
        refused = team.json("second", "push", code=None)
        assert refused.code in (10, 11)
        assert "RemotePermissionError" in refused.out or "AccessDenied" in refused.out
        found = team.json("second", "doctor", "--remote", "store", code=1).data["findings"]
        states = {one["label"].partition(": ")[2]: one["state"] for one in found if "remote store: " in one["label"]}
        assert states["write"] == "error"
        assert {states[step] for step in ("format", "indexes", "read", "range", "size", "list")} == {"ok"}

    def test_anonymous(self, radosgw: Radosgw, folder: str, tmp_path: Path) -> None:
        bucket = radosgw.make_bucket()
        radosgw.client().put_bucket_acl(Bucket=bucket, ACL="public-read")
        radosgw.client().put_object(Bucket=bucket, Key=f"{folder}/objects/one", Body=b"for all", ACL="public-read")
        remote = S3Remote((bucket, folder), S3Options(endpoint_url=radosgw.endpoint, anonymous=True))
        remote.get_file("objects/one", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"for all"
        assert [one.key for one in remote.list()] == ["objects/one"]
        with pytest.raises(RemotePermissionError, match="nobody"):
            remote.delete("objects/one")


def put_large(remote: S3Remote, method: str, tmp_path: Path, progress: Recorder) -> bytes:
    """Store what takes several parts, from a file or out of memory."""
    data = content(40 << 20)
    if method == "put_file":
        (tmp_path / "source").write_bytes(data)
        remote.put_file("objects/large", tmp_path / "source", progress=progress)
    else:
        remote.put_bytes("objects/large", data, progress=progress)
    return data


class TestUploads:
    @pytest.mark.parametrize("method", ["put_file", "put_bytes"])
    def test_many_parts(self, radosgw: Radosgw, bucket: str, folder: str, tmp_path: Path, method: str) -> None:
        remote = S3Remote((bucket, folder), options(radosgw))
        progress = Recorder()
        data = put_large(remote, method, tmp_path, progress)
        assert sum(progress.amounts) == len(data)
        remote.get_file("objects/large", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == data
        assert RawBucket(radosgw, bucket, folder).keys() == ["objects/large"]

    @pytest.mark.parametrize("method", ["put_file", "put_bytes"])
    def test_broken_off(self, radosgw: Radosgw, bucket: str, folder: str, tmp_path: Path, method: str) -> None:
        remote = S3Remote((bucket, folder), options(radosgw))
        abort = Abort()

        class Breaking(Recorder):
            def advance(self, amount: int) -> None:
                super().advance(amount)
                if sum(self.amounts) > 36 << 20:
                    raise abort

        with pytest.raises(Abort) as caught:
            put_large(remote, method, tmp_path, Breaking())
        assert caught.value is abort
        assert RawBucket(radosgw, bucket, folder).keys() == []

    def test_sweep_gives_up_what_a_killed_process_left(
        self, radosgw: Radosgw, bucket: str, folder: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = radosgw.client()
        for key in (f"{folder}/objects/large", f"{folder}x/objects/of-others"):
            client.create_multipart_upload(Bucket=bucket, Key=key)
        remote = S3Remote((bucket, folder), options(radosgw))
        assert remote.sweep() == 0  # somebody may be at it
        monkeypatch.setattr("kist_s3.uploads._ABANDONED", -10.0)
        assert remote.sweep() == 1
        left = client.list_multipart_uploads(Bucket=bucket)["Uploads"]
        assert [one["Key"] for one in left] == [f"{folder}x/objects/of-others"]


class TestListing:
    def test_prefix_that_needs_escapes(self, radosgw: Radosgw, bucket: str, tmp_path: Path) -> None:
        prefix = "a+b %20/#?&="
        (tmp_path / "source").write_bytes(b"x")
        remote = S3Remote((bucket, prefix), options(radosgw))
        remote.put_file("objects/one", tmp_path / "source")
        assert RawBucket(radosgw, bucket, prefix).keys() == ["objects/one"]
        assert [one.key for one in remote.list("objects/o")] == ["objects/one"]
        assert remote.delete_many(["objects/one"]) == {}
        assert RawBucket(radosgw, bucket, prefix).keys() == []

    def test_bucket_that_holds_something_else(self, radosgw: Radosgw, tmp_path: Path) -> None:
        bucket = radosgw.make_bucket()
        radosgw.client().put_object(Bucket=bucket, Key="their//odd key", Body=b"")
        remote = S3Remote((bucket, ""), options(radosgw))
        with pytest.raises(RemoteError, match="no path") as caught:
            list(remote.list())
        assert "prefix of its own" in str(caught.value.hint)
