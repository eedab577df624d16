"""move, where outputs change folders."""

from cli_support import write


def test_an_output_that_keeps_its_name_keeps_its_metafile(tracked):
    write(tracked.folder, {"model.bin": "m", "models/readme": "r"})
    tracked("add", "model.bin")
    before = (tracked.folder / "model.bin.kist").read_bytes()
    tracked("move", "model.bin", "models")
    assert (tracked.folder / "models" / "model.bin.kist").read_bytes() == before
    tracked("move", "data", "models/")
    assert [one["path"] for one in tracked.json("list").data["entries"]] == ["models/data", "models/model.bin"]
    assert tracked.json("status").data["clean"]
