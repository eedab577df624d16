"""What the tests of gc share: time that passes on a remote."""

from kist.engine.transfer import objects
from kist.engine.transfer.remote_store import GRACE


def age(remote, seconds=GRACE + 10):
    """Let time pass on the remote: everything becomes older, the list of condemned keys too."""
    for key, stored in list(remote.objects.items()):
        remote.objects[key] = stored._replace(mtime=stored.mtime - seconds)
    if "condemned" in remote.objects:
        stored = remote.objects["condemned"]
        value = objects.load_text("condemned", stored.data, where="condemned")
        for name in ("keys", "deleting"):
            if name in value:
                value[name] = {key: when - seconds for key, when in value[name].items()}
        remote.objects["condemned"] = stored._replace(data=objects.dump_text("condemned", value))
