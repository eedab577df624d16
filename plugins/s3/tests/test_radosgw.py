"""The contract of remotes on Ceph's gateway, with rights, and the whole story through the command line."""

from __future__ import annotations

import itertools

import pytest

from kist.testing.remote import RemoteContract
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.processes import free_port
from servers.radosgw import Radosgw
from servers.s3 import RawBucket

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


class TestRadosgw(RemoteContract):
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
