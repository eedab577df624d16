"""A gateway whose line half-closes, and whose user is suspended while it transfers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from servers.faultproxy import proxied
from servers.misbehaving import Line, Misbehaving
from servers.radosgw import Radosgw
from servers.scenario import Place

QUIET = {"AWS_CONFIG_FILE": "/none", "AWS_SHARED_CREDENTIALS_FILE": "/none", "AWS_EC2_METADATA_DISABLED": "true"}
_numbers = itertools.count()


class TestRadosgw(Misbehaving):
    @pytest.fixture
    def line(self, radosgw: Radosgw) -> Iterator[Line]:
        name = f"brief{next(_numbers)}"
        key, secret = radosgw.user(name)
        bucket = radosgw.make_bucket()
        rights = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:ListBucket", "s3:AbortMultipartUpload"]
        radosgw.allow(bucket, {name: rights})
        with proxied(urlsplit(radosgw.endpoint).port) as proxy:
            place = Place(
                f"s3://{bucket}/team",
                options={"endpoint_url": f"http://127.0.0.1:{proxy.port}", "region": "us-east-1"},
                local={"access_key_id": key, "secret_access_key": secret},
                env=QUIET,
                secrets=[secret],
            )

            def switch(word: str) -> None:
                assert radosgw.ceph is not None
                radosgw.ceph.insist("radosgw-admin", "user", word, "--uid", name)

            yield Line(place, proxy, lambda: switch("suspend"), lambda: switch("enable"))
