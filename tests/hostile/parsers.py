"""Every parser of ours as one function of bytes, with valid files to start from and what seals them.

A parser takes bytes and a fresh folder. It may return, or raise what its documentation says; anything else is a fault.
"""

import base64
import hashlib
import json
import struct
import zlib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from kist.abc.kernel import STAT_FIELDS, Listing
from kist.abc.remote import RemoteURL
from kist.builtin.hashlib_hasher import HashlibHasher
from kist.builtin.node_manifest import NodeManifestCodec
from kist.builtin.yaml_metafile import YamlMetafile
from kist.engine.cache.folder import CacheFolder
from kist.engine.cache.record_file import RecordFile
from kist.engine.manifest import format as nodes
from kist.engine.process.journal import Journal
from kist.engine.process.locks import find_holder
from kist.engine.storage.index_builder import IndexBuilder
from kist.engine.storage.indexes import Index, PackEntry
from kist.engine.storage.members import Members, decode, encode, memory_reader
from kist.engine.storage.packs import DATA, HEADER_SIZE, TRAILER_SIZE, PackReader, file_header, member_header, trailer
from kist.engine.storage.trash import Trash
from kist.engine.transfer import objects
from kist.engine.transfer.published import Published, dump_published, set_key
from kist.engine.transfer.remote_store import CONDEMNED_KEY, FORMAT_KEY, RemoteStore
from kist.engine.transfer.segments import SegmentList
from kist.engine.workspace.fingerprints import Fingerprints
from kist.engine.workspace.ignore import IgnoreRules
from kist.engine.workspace.rows import Row, StoredRow, pack_contents, pack_states
from kist.errors import KistError
from kist.model.columns import Columns
from kist.model.digest import Digest
from kist.model.entry import Entry
from kist.operations.intents import targets_of
from kist.plugins import index as plugin_index
from kist.remotes.memory import MemoryRemote, Stored
from kist.repo import cache_refs, gitignore, trust
from kist.repo.config import Config
from kist.repo.layout import Place, find_git
from kist.util.paths import check_path
from kist.util.yaml12 import YAMLError, parse
from kist.util.yaml_edit import Document

HASHER = HashlibHasher("sha256")
WIDTH = 32


def digest(data):
    return Digest.from_raw("sha256", hashlib.sha256(data).digest())


@dataclass(frozen=True)
class Parser:
    """One parser.

    Args:
        seeds: valid files.
        parse: reads one, given a fresh folder.
        seal: puts the checksum of changed bytes right, so that what stands behind it is reached.
        allowed: what it may raise.
    """

    seeds: list
    parse: Callable
    seal: Callable = None
    allowed: tuple = (KistError,)
    words: list = field(default_factory=list)


PARSERS = {}


def parser(*seeds, seal=None, allowed=(KistError,), words=()):
    def keep(function):
        PARSERS[function.__name__] = Parser(list(seeds), function, seal, allowed, list(words))
        return function

    return keep


# ── files of the repository ──────────────────────────────────────────────────────────────────────────────────────────

_D = str(digest(b"x"))
_METAFILE = (
    f"format: kist/1\npath: data # here\nmanifest: {_D}\nfiles: 3\nsize: 12\nlinks: [copy, hardlink]\n"
    f"labels: {{a: 1, b: [x, 'y', \"z\\x41\"]}}\ndescription: |\n  two\n  lines\n"
).encode()
_ENCODED = f"format: kist/1\npath: a\npath_b64: {base64.b64encode(b'a').decode()}\nfile: {_D}\nsize: 1\n".encode()
_YAML = [
    b"*a",
    b"&a",
    b"<<: ",
    b"!!python/object:x",
    b"[" * 40,
    b"{" * 40,
    b"0o7",
    b".inf",
    b"9" * 30,
    b"- ",
    b"? ",
    b"---\n",
]


@parser(_METAFILE, _ENCODED, words=_YAML)
def metafile(data, folder):
    output = YamlMetafile().loads(data, "x.kist").outputs[0]
    assert "/" not in output.path


@parser(_METAFILE, allowed=(YAMLError,), words=_YAML)
def yaml(data, folder):
    parse(data)


@parser(_METAFILE, allowed=(YAMLError, ValueError), words=_YAML)
def yaml_edit(data, folder):
    document = Document(data, max_size=1 << 20)
    document.set(("size",), 7)
    assert parse(document.dump()).data["size"] == 7


_CONFIG = b"""repository:
  id: 0123456789abcdef
  format: 1
core: {remote: store, jobs: 4, fsync: batch}
cache:
  type: [reflink, copy]
  pack_threshold: 1 MiB
remote:
  store: {url: ../store, readonly: false, retry_time: 5m}
gc: {grace: 14d}
plugins: {prefer: {remotes: {file: kist-local}}}
"""


@parser(_CONFIG, words=[*_YAML, b'"5"', b"1e999", b"99999999999999999999"])
def config(data, folder):
    (folder / ".kist").mkdir()
    (folder / ".kist" / "config.yaml").write_bytes(data)
    place = Place(folder, "0123456789abcdef", None, folder / "shared", folder / "own", folder / "own")
    found = Config.load(place, env={"HOME": str(folder), "KIST_SYSTEM_CONFIG": str(folder / "none")})
    found.get("core.jobs"), found.get("cache.pack_threshold"), found.get("plugins.prefer"), found.section("remote")
    list(found.settings())


@parser(
    b"*.log\n!keep.log\n/build/\n**/x/**/y*.[ch]\n# note\nab?c\\ \n",
    words=[b"*a" * 12, b"**/", b"[z-a]", b"[[:alpha:]]", b"\\", b"[!"],
)
def kistignore(data, folder):
    import os

    (folder / ".kistignore").write_bytes(data)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        rules = IgnoreRules().for_directory(b"", descriptor)
        for name in (b"a" * 200, b"x.log", b"\xff\n", b"a[z"):
            rules.hides_name(b"", name, is_directory=False)
            rules.hides_name(b"a/" * 60, name, is_directory=True)
    finally:
        os.close(descriptor)


@parser(gitignore.edit(b"*.pyc\n", add=[b"data", b"a b "]), words=[gitignore.BEGIN, gitignore.END])
def gitignore_block(data, folder):
    once = gitignore.edit(data, add=[b"new"])
    assert b"/new" in once
    assert gitignore.edit(once, add=[b"new"]) == once


@parser(b"gitdir: ../.git/worktrees/x\n")
def git_pointer(data, folder):
    (folder / ".git").write_bytes(data)
    find_git(folder)


@parser(b"data/sub/file.txt", words=[b"../", b"/", b"\0", b".git/", b".KIST", b"GIT~1", b"\xe2\x80\x8c"])
def path(data, folder):
    check_path(data)
    assert not data.startswith(b"/")
    assert b".." not in data.split(b"/")


@parser(b"s3://bucket/path?x=1", b"ssh://user@[::1]:22/a%20b", b"../store", words=[b"://", b"@", b":", b"%00", b"["])
def remote_url(data, folder):
    str(RemoteURL.parse(data.decode("utf-8", "surrogateescape")))


# ── manifests ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _columns(names):
    rows = [Entry(name, "file", 3, digest(name)) for name in names]
    rows += [Entry(b"z/link", "symlink", 0, None, b"../x"), Entry(b"z0", "directory", 0, None)]
    return Columns.from_entries("sha256", WIDTH, rows)


def _leaf(names):
    columns = _columns(names)
    return nodes.encode_leaf(columns, b"\0".join(columns.paths))


_LEAF = _leaf([b"a", b"b/c", b"b/d"])
_INNER = nodes.encode_inner(
    1, "sha256", WIDTH, [nodes.Ref(b"b/d", digest(_LEAF).raw, 5, 9), nodes.Ref(b"z1", digest(b"2").raw, 2, 1)]
)


@parser(_LEAF, _INNER)
def manifest_node(data, folder):
    found = nodes.decode(data)
    if isinstance(found, Columns):
        nodes.check_columns(found, found.algorithm, found.width)
        for name in found.paths:
            check_path(name)


@parser(_LEAF)
def manifest(data, folder):
    view = NodeManifestCodec().open(digest(data), lambda raws: [data for _ in raws])
    sum(len(leaf.paths) for leaf in view.leaves())
    view.find(b"b/c")
    sum(1 for _ in view.nodes())


# ── stores ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pack(contents):
    head = file_header(DATA, "sha256", WIDTH)
    body, rows = head, []
    for content in contents:
        codec, stored = encode(content)
        body += member_header(digest(content).raw, len(stored), len(content), codec)
        rows.append((digest(content).raw, len(body), len(stored), len(content), codec))
        body += stored
    footer = Members.from_rows(WIDTH, *zip(*rows, strict=True)).dump()
    return body + footer + trailer(head, footer, len(body))


def _seal_pack(data):
    if len(data) < HEADER_SIZE + TRAILER_SIZE:
        return data
    offset = int.from_bytes(data[-40:-32], "little")
    return data[:-TRAILER_SIZE] + trailer(data[:HEADER_SIZE], data[offset:-TRAILER_SIZE], min(offset, 1 << 62))


_PACK = _pack([b"one", b"two" * 100, bytes(2000)])


@parser(_PACK, seal=_seal_pack)
def pack(data, folder):
    for find in (lambda reader: reader.members, lambda reader: reader.scan()):
        try:
            reader = PackReader(memory_reader(data), len(data), "x")
            members = find(reader)
            for _position, _good in reader.check(HASHER, members):
                pass
            for position, stored in reader.read_many(members.in_offset_order(), members):
                decode(members.codecs[position], stored, members.plains[position])
            assert reader.id
        except KistError:
            continue


@parser(zlib.compress(bytes(5000)), zlib.compress(b"abc" * 40), allowed=())
def packed_member(data, folder):
    content = decode(1, data, 5000)
    assert content is None or len(content) == 5000


def _index():
    builder = IndexBuilder("sha256", WIDTH)
    with_pack = PackReader(memory_reader(_PACK), len(_PACK), "x")
    builder.add_pack(PackEntry(with_pack.id, len(_PACK), DATA), with_pack.members)
    builder.add_loose([digest(b"big").raw], [70 << 20], segmented=True)
    return builder.build()


@parser(_index())
def index(data, folder):
    found = Index.load(data)
    raws = sorted([digest(b"one").raw, digest(b"big").raw, bytes(32), b"\xff" * 32])
    if found.width == WIDTH:
        found.lookup_many(raws)
    for _raw, _place in found:
        pass
    found.rows(), found.digests()


def _seal_text(data):
    body = data[: data.rfind(b"sha256:")] if b"sha256:" in data else data
    return body + f"sha256:{hashlib.sha256(body).hexdigest()}\n".encode()


_ROOT = digest(b"root")
_PUBLISHED = Published((_ROOT,), {"sha256": ("0" * 64, "1" * 64)}, ("0123456789abcdef",))
_JSON = [b"[" * 5000, b"NaN", b"-1", b"1e999", b"9" * 400, b"null", b"true", b"{}", b"[]", b'"\\ud800"']


@parser(dump_published("root", _PUBLISHED), seal=_seal_text, words=_JSON)
def marker(data, folder):
    store_of({objects.root_key(_ROOT): data}).read_marker(_ROOT)


@parser(dump_published("set", _PUBLISHED), seal=_seal_text, words=_JSON)
def remote_set(data, folder):
    key = set_key([_ROOT])
    store = store_of({key: data})
    store.read_set([_ROOT]), store.read_any_set(key)


@parser(objects.dump_text("ref", {"repository": "0123456789abcdef", "root": _D}), seal=_seal_text, words=_JSON)
def ref(data, folder):
    objects.load_text("ref", data, where="refs/x")
    objects.parse_ref_key(data.decode("latin-1"))


@parser(objects.dump_text("condemned", {"keys": {"packs/" + "0" * 64: 1.5, "x": 3}}), seal=_seal_text, words=_JSON)
def condemned(data, folder):
    store_of({CONDEMNED_KEY: data}).read_condemned()


@parser(objects.dump_text("remote", {"pack_threshold": 1 << 20}), seal=_seal_text, words=_JSON)
def remote_format(data, folder):
    remote = MemoryRemote({FORMAT_KEY: Stored(data, 0.0, "")})
    RemoteStore(remote, hashers=lambda name: HASHER).open()


@parser(
    SegmentList(_ROOT, 5, ((digest(b"1"), 3), (digest(b"2"), 2))).dump(), seal=_seal_text, words=_JSON
)  # fmt: skip
def segment_list(data, folder):
    found = SegmentList.load(data, _ROOT)
    assert sum(size for _, size in found.segments) == found.size


def store_of(texts):
    """A store on a remote that holds these texts."""
    texts = {FORMAT_KEY: _format_text()} | texts
    return RemoteStore(
        MemoryRemote({key: Stored(data, 0.0, "") for key, data in texts.items()}), hashers=lambda name: HASHER
    )


def _format_text():
    remote = MemoryRemote()
    RemoteStore(remote, hashers=lambda name: HASHER).open(create=True)
    return remote.objects[FORMAT_KEY].data


# ── private files ────────────────────────────────────────────────────────────────────────────────────────────────────


@parser(
    b"kist-cache-refs/1\n"
    + b"".join(map(cache_refs._sealed, (b"{}", f"{_D} directory".encode(), f"{_D} file".encode())))
)
def cache_ref(data, folder):
    (folder / "refs").write_bytes(data)
    place = SimpleNamespace(own=folder)
    cache = SimpleNamespace(folder=SimpleNamespace(refs=folder), root=folder)
    cache_refs._read(folder / "refs", SimpleNamespace(place=place, id="x", cache=cache))


@parser(b'{"format": "kist-cache/1"}\n', words=[*_JSON, b"/", b"kist-cache/99999999999999999999"])
def cache_marker(data, folder):
    (folder / "kist-cache").write_bytes(data)
    CacheFolder(folder, {"sha256": HASHER}.__getitem__).check()


def _journal():
    line = json.dumps(
        {"verb": "checkout", "output": "data", "metafile": "data.kist", "target": _D, "inside": "", "is_directory": True,
         "executable": False, "size": 3}
    ).encode() + b"\n"  # fmt: skip
    return b"kist-journal/1\n" + line + b"sha256:" + hashlib.sha256(line + b"more").hexdigest().encode() + b"\nmore"


def _seal_journal(data):
    head, _, rest = data.partition(b"\n")
    line, _, rest = rest.partition(b"\n")
    _, _, more = rest.partition(b"\n")
    seal = hashlib.sha256(line + b"\n" + more).hexdigest().encode()
    return head + b"\n" + line + b"\nsha256:" + seal + b"\n" + more


@parser(_journal(), seal=_seal_journal, words=_JSON)
def journal(data, folder):
    record = folder / "journal" / "0123-token"
    record.mkdir(parents=True)
    (folder / "journal").chmod(0o700)
    (record / "record").write_bytes(data)
    for one in Journal(folder / "journal", sync=False).pending():
        try:
            targets_of(one.header)
        finally:
            one.release()


def _rows():
    listing = Listing([b"a", b"b"], b"fl", array("q", range(2 * STAT_FIELDS)))
    return Row(b"data", "sha256", listing, bytes(2 * WIDTH), [b"target"])


def _fingerprints(folder=None):
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "db")
        memory = Fingerprints(file)
        memory.base(b"data")
        memory.put_many([_rows()])
        memory.set_base(b"data", _ROOT)
        memory.save()
        memory.close()
        return file.read_bytes()


@parser(_fingerprints(), allowed=())
def fingerprints(data, folder):
    (folder / "db").write_bytes(data)
    memory = Fingerprints(folder / "db")
    try:
        memory.base(b"data"), memory.get(b"data")
        for row in memory.get_below(b""):
            row.row()
        memory.put_many([_rows()])
        saved = memory.save()
    finally:
        memory.close()
    again = Fingerprints(folder / "db")
    assert not saved or again.get(b"data") is not None
    again.close()


_STATE = pack_states(_rows().listing)
_CONTENT = pack_contents(_rows(), _STATE)
_CUT = len(_STATE[0]).to_bytes(2, "big")


def _seal_row(data):
    state, content = _parts_of_row(data)
    state = struct.pack("<II", *struct.unpack_from("<I", state.ljust(8, b"\0")), zlib.crc32(state[8:])) + state[8:]
    crc = zlib.crc32(content[8:], zlib.crc32(state))
    content = struct.pack("<II", *struct.unpack_from("<I", content.ljust(8, b"\0")), crc) + content[8:]
    return len(state).to_bytes(2, "big") + state + content


def _parts_of_row(data):
    at = 2 + int.from_bytes(data[:2], "big")
    return data[2:at], data[at:]


@parser(_CUT + _STATE[0] + _CONTENT[0], seal=_seal_row, allowed=())
def fingerprint_row(data, folder):
    state, content = _parts_of_row(data)
    StoredRow(b"data/", "sha256", [state], [content]).row()


def _seal_sha16(data):
    return data[:-16] + hashlib.sha256(data[:-16]).digest()[:16]


_VERIFIED = _seal_sha16(
    struct.pack("<8sBBB37sQ8x", b"KISTVERI", 1, WIDTH, 6, b"sha256", 2)
    + bytes(32) + b"\1" * 32 + array("Q", range(10)).tobytes() + bytes(16)
)  # fmt: skip


@parser(_VERIFIED, seal=_seal_sha16, allowed=())
def verified_record(data, folder):
    found = RecordFile.parse(memory_reader(data), len(data), "sha256", WIDTH)
    if found is not None and found.whole:
        list(found.looks([bytes(32), b"\1" * 32, b"\xff" * 32]))
        [found.under(byte) for byte in range(256)]


def _seal_crc(data):
    body = data.rstrip(b"\n").rpartition(b"\n")[0]
    return body + b"\n" + plugin_index._check(body) + b"\n"


@parser(
    _seal_crc(f"{plugin_index._HEADER}\nstate\nremotes\tfile\tkist_local\tkist-local\t1\n{'x'}\n".encode()),
    seal=_seal_crc, allowed=(),
)  # fmt: skip
def plugin_offers(data, folder):
    plugin_index._parse(data, "state")


@parser(
    b'{"format":"kist-trash/1","items":[{"name":"0","original":"a","size":3}],"reason":"r","when":1.5}', words=_JSON
)
def trash_record(data, folder):
    entry = folder / "20260101T000000-00000000"
    entry.mkdir()
    (entry / "0").touch()
    (entry / "record.json").write_bytes(data)
    trash = Trash(folder, sync=False)
    trash.list()
    trash.empty(3600)


@parser(b'{"format":"kist-trust/1","trusted":{"0123456789abcdef":["s3://x"]}}', words=_JSON)
def trusted_endpoints(data, folder):
    file = folder / ".config" / "kist" / "trusted-endpoints.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    trust.is_trusted("0123456789abcdef", ("s3://x",), {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config")})


@parser(b'{"host": "h", "machine": "m", "pid": 1, "since": 1.5, "verb": "add"}\n', words=_JSON)
def lock_holder(data, folder):
    (folder / "lock").write_bytes(data)
    found = find_holder(folder / "lock")
    if found is not None:
        found.describe(), found.when()
