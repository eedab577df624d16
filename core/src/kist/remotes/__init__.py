"""Layer 4: bricks for authors of remotes; may import kist.abc and below.

Public names, each imported from its module:

- ``kist.remotes.memory``: ``MemoryRemote``, the reference implementation; read it first
- ``kist.remotes.fsspec``: ``FsspecRemote``, ``FsspecOptions``: any fsspec filesystem as a remote
- ``kist.remotes.wrappers``: ``RetryingRemote``, ``RetryPolicy``, ``VerifyingRemote``, ``ThrottledRemote``, ``Budget``,
  ``ReadOnlyRemote``, ``RecordingRemote``, and ``WrappedRemote``, their base
- ``kist.remotes.files``: ``check_key``, ``read_source``, ``write_target``: what every remote needs
"""
