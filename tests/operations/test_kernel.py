"""The kernel's hasher is the one that hashes many objects, wherever that is done."""

import shutil

from kist.api import Repo
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.pure_kernel import PureKernel
from kist.operations.remote import add_remote
from kist.operations.verify import VerifyOptions


def test_all_that_is_hashed_together_goes_through_the_kernel(tmp_path, monkeypatch):
    hashed = []

    class Counting(HashlibHasher):
        def raw_many(self, buffers):
            together = list(buffers)
            hashed.append(len(together))
            return super().raw_many(together)

    monkeypatch.setattr(PureKernel, "hasher", lambda _kernel, hasher: Counting(hasher.name))
    monkeypatch.setenv("KIST_KERNEL", "pure")
    monkeypatch.setenv("KIST_HASH", "sha256")
    data = tmp_path / "repo" / "data"
    data.mkdir(parents=True)
    for number in range(20):
        (data / f"{number}").write_bytes(b"%d" % number)
    Repo.init(data.parent)
    with Repo(data.parent) as repo:
        add_remote(repo.context, "store", str(tmp_path / "store"), default=True)
    steps = {
        "add": lambda repo: repo.add([str(data)]),
        "push": Repo.push,
        "verify": Repo.verify,
        "verify a remote": lambda repo: repo.verify(options=VerifyOptions(remote="store")),
        "fetch": Repo.fetch,
    }
    for name, step in steps.items():
        with Repo(data.parent) as repo:
            if name == "fetch":
                shutil.rmtree(repo.context.cache_folder)
            hashed.clear()
            step(repo)
            assert 20 in hashed, name
