"""What the core brings itself: plugins like any other, found without a look at installed metadata."""

from __future__ import annotations

DISTRIBUTION = "kist-core"
"""The distribution that brings them."""

BUILTIN: dict[tuple[str, str], str] = {
    ("hashers", "md5"): "kist.builtin.hashlib_hasher",
    ("hashers", "sha1"): "kist.builtin.hashlib_hasher",
    ("hashers", "sha256"): "kist.builtin.hashlib_hasher",
    ("hashers", "sha512"): "kist.builtin.hashlib_hasher",
    ("hashers", "blake2b"): "kist.builtin.hashlib_hasher",
    ("links", "copy"): "kist.builtin.copy_link",
    ("links", "hardlink"): "kist.builtin.hardlink",
    ("links", "symlink"): "kist.builtin.symlink",
    ("links", "reflink"): "kist.builtin.reflink",
    ("metafiles", "kist"): "kist.builtin.yaml_metafile",
    ("dialects", ".kist"): "kist.builtin.kist_dialect",
    ("executors", "pool"): "kist.builtin.pool_executor",
    ("executors", "threads"): "kist.builtin.pool_executor",
    ("executors", "processes"): "kist.builtin.pool_executor",
    ("kernels", "pure"): "kist.builtin.pure_kernel",
}
"""(group, key) -> module."""
