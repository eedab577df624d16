"""What a remote in a folder lets people set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from kist.abc import Options, option
from kist.errors import InvalidOption

_SHARED = {"no": (0o666, 0o777, True), "group": (0o664, 0o2775, False), "everyone": (0o666, 0o2777, False)}


def _octal(name: str, text: str | None, *, least: int) -> int | None:
    if text is None:
        return None
    try:
        mode = int(text, 8)
    except ValueError:
        raise InvalidOption(f"the option '{name}' must be an octal mode such as 0644") from None
    if not 0 <= mode <= 0o7777 or mode & least != least:
        raise InvalidOption(f"the option '{name}' must give the owner at least {least:04o}")
    return mode


_file_mode = partial(_octal, least=0o400)
_dir_mode = partial(_octal, least=0o700)


@dataclass(frozen=True, kw_only=True)
class LocalOptions(Options):
    """Options of a remote in a folder."""

    fsync: bool = option(True, help="Wait until the disk has what was stored; off risks it in a power cut.")
    shared: str = option(
        "no",
        help="Who else may write into the remote: nobody beyond the umask, the folder's group, or everyone.",
        choices=("no", "group", "everyone"),
        shared=True,
    )
    file_mode: str | None = option(
        None, help="Mode of stored files in octal, instead of what `shared` says.", choices=_file_mode
    )
    dir_mode: str | None = option(
        None, help="Mode of folders in octal, instead of what `shared` says.", choices=_dir_mode
    )

    def modes(self) -> Modes:
        """The modes that these options ask for.

        Returns:
            Modes for files and folders.

        Raises:
            InvalidOption: a mode that is not octal, or that shuts out the owner.
        """
        file_mode, dir_mode, masked = _SHARED[self.shared]
        chosen_file = _file_mode("file_mode", self.file_mode)
        chosen_dir = _dir_mode("dir_mode", self.dir_mode)
        return Modes(
            file=file_mode if chosen_file is None else chosen_file,
            folder=dir_mode if chosen_dir is None else chosen_dir,
            file_exact=chosen_file is not None or not masked,
            folder_exact=chosen_dir is not None or not masked,
        )


@dataclass(frozen=True)
class Modes:
    """Modes for what is made; the umask applies where they are not exact."""

    file: int = 0o666
    folder: int = 0o777
    file_exact: bool = False
    folder_exact: bool = False
