"""The contract of remotes, for a whole bucket on moto."""

from __future__ import annotations

import pytest

from kist.abc import Remote
from kist.remotes.wrappers import RetryingRemote, RetryPolicy
from kist.testing.remote import StrictRemoteContract
from kist_s3.options import S3Options
from kist_s3.remote import S3Remote
from servers.processes import free_port
from servers.s3 import RawBucket, S3Server
from servers.s3_stub import Stub


class TestMoto(StrictRemoteContract):
    """moto fails now and then where one key is written by several at once, so the retries of the core are in front."""

    many = 200  # moto takes its time for each; radosgw has the pages

    @pytest.fixture
    def bucket(self, moto: S3Server) -> str:
        return moto.make_bucket()

    @pytest.fixture
    def options(self, moto: S3Server) -> S3Options:
        return S3Options(
            endpoint_url=moto.endpoint, access_key_id=moto.access_key, secret_access_key=moto.secret_key, region="x"
        )

    @pytest.fixture
    def remote(self, bucket: str, options: S3Options) -> Remote:
        return RetryingRemote(S3Remote((bucket, ""), options), RetryPolicy(base_delay=0.05))

    @pytest.fixture
    def second(self, bucket: str, options: S3Options) -> Remote:
        return RetryingRemote(S3Remote((bucket, ""), options), RetryPolicy(base_delay=0.05))

    @pytest.fixture
    def raw(self, moto: S3Server, bucket: str) -> RawBucket:
        return RawBucket(moto, bucket)

    @pytest.fixture
    def unreachable(self, bucket: str) -> S3Remote:
        there = f"http://127.0.0.1:{free_port()}"
        return S3Remote((bucket, ""), S3Options(endpoint_url=there, access_key_id="any", secret_access_key="any"))

    @pytest.fixture
    def broken_credentials(self, s3_stub: Stub) -> S3Remote:
        """moto takes any credentials, so a stub says what S3 would."""
        s3_stub.reply(403, "SignatureDoesNotMatch", more="<Quoted>planted-token</Quoted>")
        keys = {"access_key_id": "KEY", "secret_access_key": "planted-secret", "session_token": "planted-token"}
        return S3Remote(("bucket", ""), S3Options(endpoint_url=s3_stub.endpoint, **keys))

    @pytest.fixture
    def secrets(self, moto: S3Server) -> tuple[str, ...]:
        return (moto.secret_key, "planted-secret", "planted-token")
