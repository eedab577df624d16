"""What must hold after harm to a file of the cache; each flow is called with the harmed site and the name of the harm."""

from damage_support import clear, fine, only_right, right

from kist.engine.storage.indexes import Index


def named_and_mended(site, harm):
    """Verify finds it and says who needs it; a repair brings everything back."""
    kist = site.kist
    found = fine(kist.json("verify", code=None), 8)
    if harm == "removed" and _unlisted(site.cache):  # what an index said stands in its packs too
        assert found.code == 0
    else:
        assert found.code == 8, "verify does not see it"
        named = [*found.data["damaged"], *found.data["missing"]]
        assert any(one["paths"] or one["digest"].startswith(("pack:", "index:")) for one in named), named
    kist.json("verify", "--repair")
    again = kist.json("verify").data
    assert (again["damaged"], again["missing"]) == ([], [])
    kist("checkout")
    assert right(kist.folder)


def found_by_checkout(site, harm):
    """A checkout hands on nothing that is wrong; a fetch brings what it left out."""
    kist = site.kist
    result = fine(kist.json("checkout", code=None), 8)
    assert only_right(kist.folder)
    assert (result.code == 0) == right(kist.folder)
    kist("fetch")
    kist("checkout")
    assert right(kist.folder)
    assert kist.json("status").data["clean"]


def pulled(site, harm):
    """One pull is enough."""
    site.kist("pull")
    assert right(site.work)


def not_sent(site, harm):
    """A push sends nothing that is damaged."""
    kist = site.kist
    pushed = fine(kist.json("push", "-r", "second", code=None), 8, 11)
    read = fine(kist.json("verify", "--remote", "second", code=None), 8, 10)
    if read.code != 10:  # nothing was ever written there
        assert read.data["damaged"] == []
    if pushed.code:
        kist("verify", "--repair")
        kist("push", "-r", "second")
        read = kist.json("verify", "--remote", "second")
    assert (read.code, read.data["missing"]) == (0, [])


def without_remotes(site):
    """The data is in the workspace, and no remote is known."""
    site.kist("checkout")
    for name in ("store", "second"):
        site.kist("remote", "remove", name)


def brought_from_workspace(site, harm):
    """What is in the workspace comes back from there."""
    kist = site.kist
    result = fine(kist.json("verify", "--repair", code=None), 8)
    lost = {path for one in result.json["data"]["missing"] for path in one["paths"]}
    assert not lost
    clear(site.work)
    kist("checkout")
    assert right(kist.folder)


def _unlisted(cache):
    """The packs that no index lists: their footers are read instead."""
    listed = {pack.id for path in cache.glob("index/*") for pack in Index.load(path.read_bytes()).packs}
    return {path.name for path in cache.glob("packs/*")} - listed
