import os

import pytest

from kist.engine.storage import digest_set
from kist.engine.storage.digest_set import DigestSet


@pytest.mark.parametrize("few", [7, 100, 1 << 17])
@pytest.mark.parametrize("spread", [True, False], ids=["spread", "close"])
def test_holds_what_it_was_given(monkeypatch, few, spread):
    monkeypatch.setattr(digest_set, "FEW", few)
    names = [os.urandom(32) if spread else b"\xfe" + bytes(29) + os.urandom(2) for _ in range(2000)]
    inside, outside = set(names[:1000]), sorted({*names[1000:], bytes(32), b"\xff" * 32} - set(names[:1000]))
    found = DigestSet(names[:10])
    for start in range(0, 1000, 50):
        found.update(names[max(0, start - 20) : start + 50])
        assert found.lacks(sorted(set(names[: start + 50]))) == []
    assert found.lacks(outside) == list(range(len(outside)))
    mixed = sorted(inside | set(outside))
    assert [mixed[at] for at in found.lacks(mixed)] == outside
    assert [mixed[at * 40] for at in found.lacks(mixed[::40])] == [raw for raw in mixed[::40] if raw in outside]
    assert names[0] in found
    assert bytes(32) not in found
    assert set(found) == inside
