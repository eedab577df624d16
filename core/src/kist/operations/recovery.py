"""recovery: before a command changes something, finish what a killed one left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from kist.errors import StorageError
from kist.repo.context import RepoContext
from kist.util.atomic import FULL

if TYPE_CHECKING:
    from kist.engine.checkout.relocate import Finished


@contextmanager
def changing(context: RepoContext) -> Iterator[None]:
    """The block of a command that changes the workspace or its metafiles: left-overs of dead processes go first.

    No gc comes in between: what the command finds in the cache stays there.

    Args:
        context: the repository.

    Raises:
        KistError: what a killed command left cannot be finished now, such as on a full disk.
    """
    with context.writing(), context.using_cache():
        if any(context.place.journal.glob("*")):
            _finish(context)
        yield


def _finish(context: RepoContext) -> None:
    from kist.engine.checkout.relocate import finish_pending
    from kist.operations.checkout import redo_checkout
    from kist.operations.move import redo_move
    from kist.operations.remove import redo_remove

    finishers = {
        "checkout": lambda record: redo_checkout(context, record.header),
        "remove": lambda record: redo_remove(context, record.header),
        "move": lambda record: redo_move(context, record),
        "relink": lambda _record: None,  # each file is whole, a link or not; the next add of it goes on
    }
    with context.write_lock():
        told = [_told(one) for one in finish_pending(context.root, context.journal, finishers)]
    for text in dict.fromkeys(told):  # one command that was killed again and again left as many records
        context.progress.message(text)


def _told(one: Finished) -> str:
    what = f"{one.header.get('verb')} of {one.header.get('output') or one.header.get('source') or '.'}"
    return f"finished a killed {what}" if one.error is None else f"a killed {what} was given up: {one.error}"


@contextmanager
def transferring(context: RepoContext, remote: str) -> Iterator[None]:
    """The block of a transfer: what is remembered of the remote is swept if this process dies.

    A repository that cannot be written, or whose disk is full, can still be pushed; nothing is remembered then.

    Args:
        context: the repository.
        remote: the remote's name.
    """
    from kist.repo.remotes import memory_folder

    with ExitStack() as stack:
        if not entered(context, stack):
            stack.enter_context(context.using_cache())
            yield
            return
        folder = memory_folder(context, remote)
        context.scratch.register([os.fsencode(folder), os.fsencode(folder / "index")], sync=False)
        yield


def entered(context: RepoContext, stack: ExitStack) -> bool:
    """Enter the block of a command that changes something, if that can be done here and now.

    Args:
        context: the repository.
        stack: leaves the block.

    Returns:
        False where nothing can be written, or the disk is full.
    """
    if not os.access(context.place.own if context.place.own.exists() else context.root, os.W_OK):
        return False
    try:
        stack.enter_context(changing(context))
    except StorageError as error:
        if error.errno not in FULL:
            raise
        return False
    return True
