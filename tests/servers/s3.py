"""What the servers that speak S3 have in common: a client beside the plugin's, and a back door to a bucket."""

import functools
import itertools
import os
from dataclasses import dataclass

from botocore.config import Config
from botocore.session import Session

_numbers = itertools.count()


@dataclass(frozen=True)
class S3Server:
    """A running server.

    Args:
        endpoint: its URL.
        access_key: of the user who owns the buckets.
        secret_key: likewise.
    """

    endpoint: str
    access_key: str
    secret_key: str

    def client(self):
        """A client of botocore, with these keys and nothing from the environment."""
        return _client(self.endpoint, self.access_key, self.secret_key)

    def make_bucket(self):
        """A new bucket; returns its name."""
        name = f"kist-{os.getpid()}-{next(_numbers)}"
        self.client().create_bucket(Bucket=name)
        return name


@functools.cache
def _client(endpoint, access_key, secret_key):
    return Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}),
    )


class RawBucket:
    """The back door: what really lies below a prefix.

    Args:
        server: the server.
        bucket: the bucket.
        prefix: as in the remote's URL, without slashes at its ends.
    """

    def __init__(self, server, bucket, prefix=""):
        self.client, self.bucket = server.client(), bucket
        self._start = f"{prefix}/" if prefix else ""

    def keys(self):
        """All keys, and unfinished uploads as if they were keys."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._start)
        found = [one["Key"] for page in pages for one in page.get("Contents", ())]
        left = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        found += [one["Key"] for one in left if one["Key"].startswith(self._start)]
        return [key[len(self._start) :] for key in found]

    def write(self, key, data):
        """Put an object."""
        self.client.put_object(Bucket=self.bucket, Key=self._start + key, Body=data)

    def read(self, key):
        """The bytes of an object."""
        return self.client.get_object(Bucket=self.bucket, Key=self._start + key)["Body"].read()
