"""What must hold after harm to a file of a remote; each flow is called with the harmed site and the name of the harm."""

from damage_support import fine, only_right, right


def named_and_mended(site, harm):
    """Verify finds it and says who needs it; a push sends it again."""
    kist = site.kist
    found = fine(kist.json("verify", "--remote", "store", code=None), 8)
    assert found.code == 8, "verify does not see it"
    named = [*found.data["damaged"], *found.data["missing"]]
    assert all(one["paths"] or one["digest"].startswith("pack:") for one in named), named
    kist.json("push", "--repair")
    read = kist.json("verify", "--remote", "store").data
    assert (read["damaged"], read["missing"]) == ([], [])
    other = site.clone()
    other("pull")
    assert right(other.folder)


def found_by_pull(site, harm):
    """A pull takes nothing that is wrong, and brings the rest."""
    other = site.clone()
    fetched = fine(other.json("fetch", code=None), 8, 10, 11)
    assert fine(other.json("verify", code=None), 8).data["damaged"] == []
    pulled = fine(other.json("pull", code=None), 8, 10, 11)
    assert only_right(other.folder)
    assert (fetched.code == 0) == (pulled.code == 0)
    assert (pulled.code == 0) == right(other.folder)
    assert fine(other.json("verify", code=None), 8).data["damaged"] == []
    site.kist("push", "--repair")
    other("pull")
    assert right(other.folder)


def not_relied_on(site, harm):
    """A push of another version relies on nothing that is damaged."""
    kist = site.kist
    kist("checkout")
    (kist.folder / "data" / "z" / "one.txt").write_bytes(b"another\n")
    kist("commit")
    fine(kist.json("push", code=None), 8, 10, 11)
    read = fine(kist.json("verify", "--remote", "store", code=None), 8)
    if read.code:
        kist("push", "--repair")
        kist("verify", "--remote", "store")
