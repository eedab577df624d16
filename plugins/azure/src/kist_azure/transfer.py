"""What goes over the wire in several steps: blocks of an upload and of a download, pages, batches, copies."""

from __future__ import annotations

import asyncio
import io
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock

from kist.abc import Progress
from kist_azure.connection import BLOCK, PAGE

_MOST_BLOCKS = 50_000
"""Blocks that a blob may have."""

_FOLDER = "hdi_isfolder"
"""Metadata of the blobs that stand for folders, where an account has a hierarchical namespace."""


def block_size(size: int) -> int:
    """How large the blocks of an object are.

    Args:
        size: bytes of the object.

    Returns:
        8 MiB, or more where so many would be too many.
    """
    return max(BLOCK, -(-size // _MOST_BLOCKS))


def grouped(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Join the pieces of a file to blocks, with hardly more than one of them in memory.

    Args:
        pieces: its bytes.
        size: bytes that a block has at least, but for the last.

    Yields:
        The blocks; none for an empty file.
    """
    waiting = io.BytesIO()
    for piece in pieces:
        waiting.write(piece)
        if waiting.tell() >= size:
            block, waiting = waiting.getvalue(), io.BytesIO()
            yield block
            del block
    if waiting.tell():
        yield waiting.getvalue()


def cut(data: bytes, size: int, progress: Progress) -> Iterator[bytes]:
    """Cut bytes that are in memory into blocks.

    Args:
        data: the bytes.
        size: bytes of a block.
        progress: told of each block before it is handed on.

    Yields:
        The blocks; none for no bytes.
    """
    for at in range(0, len(data), size):
        block = data[at : at + size]
        progress.advance(len(block))
        yield block


def send_blocks(
    ask: Callable[[Callable[[Any], Coroutine[Any, Any, Any]]], Any], blocks: Iterator[bytes], *, if_absent: bool
) -> None:
    """Send blocks, and make them the blob at the end; until then nobody sees any of them.

    Args:
        ask: runs a call with the blob's client.
        blocks: the bytes.
        if_absent: whether the blob must not be there.
    """
    upload, names = secrets.token_hex(8), []
    for number, block in enumerate(blocks):
        name = f"{upload}-{number:06}"
        ask(partial(_stage, name=name, block=block))
        names.append(BlobBlock(name))
        del block
    condition = {"match_condition": MatchConditions.IfMissing} if if_absent else {}
    ask(lambda blob: blob.commit_block_list(names, **condition))


def _stage(blob: Any, name: str, block: bytes) -> Coroutine[Any, Any, Any]:
    staged: Coroutine[Any, Any, Any] = blob.stage_block(name, block, len(block), validate_content=True)
    return staged


async def first_block(client: Any, name: str, start: int, length: int | None) -> tuple[bytes, AsyncIterator[bytes]]:
    """Begin to read a blob.

    Args:
        client: the container's client.
        name: the blob.
        start: first byte.
        length: how many bytes at most, None for all.

    Returns:
        The first block, and how to get the others.
    """
    if length == 0:
        await client.get_blob_client(name).get_blob_properties()
        return b"", _nothing()
    try:
        download = await client.download_blob(name, offset=start, length=length, max_concurrency=1)
    except HttpResponseError as exc:
        if exc.status_code == 416:
            return b"", _nothing()
        raise
    blocks = download.chunks()
    return await anext(blocks, b""), blocks


async def _nothing() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for block in nothing:
        yield block


class BlockReader(io.RawIOBase):
    """Reads a blob block by block, as they are wanted.

    Args:
        block: the first.
        blocks: the others.
        ask: runs a coroutine and translates what it raises.
    """

    def __init__(
        self, block: bytes, blocks: AsyncIterator[bytes], ask: Callable[[Coroutine[Any, Any, bytes]], bytes]
    ) -> None:
        super().__init__()
        self._block, self._blocks, self._ask = memoryview(block), blocks, ask

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with what the current block still has."""
        if not self._block:
            self._block = memoryview(self._ask(_next_block(self._blocks)))
        count = min(len(buffer), len(self._block))
        buffer[:count] = self._block[:count]
        self._block = self._block[count:]
        return count


async def _next_block(blocks: AsyncIterator[bytes]) -> bytes:
    return await anext(blocks, b"")


def pages_of(client: Any, prefix: str) -> AsyncIterator[Any]:
    """Begin to list; nothing is asked yet.

    Args:
        client: the container's client.
        prefix: what the names begin with.

    Returns:
        The pages.
    """
    found = client.list_blobs(name_starts_with=prefix or None, include=["metadata"], results_per_page=PAGE)
    pages: AsyncIterator[Any] = found.by_page()
    return pages


async def next_page(pages: AsyncIterator[Any]) -> list[Any] | None:
    """The next page of a listing.

    Args:
        pages: as :func:`pages_of` gives them.

    Returns:
        What the service tells of each blob, None at the end.
    """
    page = await anext(pages, None)
    return None if page is None else [one async for one in page]


def is_folder(blob: Any) -> bool:
    """Whether a blob stands for a folder of an account with a hierarchical namespace.

    Args:
        blob: the SDK's properties of it.

    Returns:
        True where it is no object.
    """
    return str((blob.metadata or {}).get(_FOLDER, "")).lower() == "true"


async def delete_batch(client: Any, names: tuple[str, ...]) -> list[Any]:
    """Delete blobs by one request.

    Args:
        client: the container's client.
        names: the blobs.

    Returns:
        What the service answered for each.
    """
    return [part async for part in await client.delete_blobs(*names, raise_on_any_failure=False)]


async def copy_blob(client: Any, source: str, target: str) -> None:
    """Copy a blob and wait until it is done.

    Args:
        client: the container's client.
        source: the blob.
        target: the name of the copy.
    """
    blob = client.get_blob_client(target)
    started = await blob.start_copy_from_url(client.get_blob_client(source).url)
    status = started["copy_status"]
    while status == "pending":
        await asyncio.sleep(0.2)
        status = (await blob.get_blob_properties()).copy.status
