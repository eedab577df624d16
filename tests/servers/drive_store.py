"""What the fake of Drive keeps: files by id, folders that are files, shared drives, and the language of queries.

Written after Google's documentation of Drive API v2, and not checked against Google.
"""

import hashlib
import itertools
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

FOLDER = "application/vnd.google-apps.folder"
MY_DRIVE = "0AMyDriveRootPVA"
USAGE = "usageLimits"


class ApiError(Exception):
    """An answer that is no success.

    Args:
        code: HTTP status.
        reason: the machine's word for it.
        message: the sentence.
        domain: the family of reasons.
        headers: further headers.
    """

    def __init__(self, code, reason, message, domain="global", headers=()):
        super().__init__(message)
        self.code, self.headers = code, list(headers)
        one = {"domain": domain, "reason": reason, "message": message}
        self.body = {"error": {"errors": [one], "code": code, "message": message}}


def not_found(name):
    return ApiError(404, "notFound", f"File not found: {name}")


def not_allowed():
    return ApiError(403, "insufficientFilePermissions", "The user does not have sufficient permissions for this file.")


class Ticks:
    """The time, at least a millisecond later with each call: what is told in milliseconds has an order."""

    def __init__(self):
        self._last = 0.0

    def __call__(self):
        self._last = max(time.time(), self._last + 0.001)
        return self._last


@dataclass
class Item:
    """A file or a folder."""

    id: str
    title: str
    kind: str
    parent: str | None
    drive: str | None
    data: bytes = b""
    created: float = field(default_factory=Ticks())
    modified: float = field(default_factory=time.time)
    trashed: bool = False

    @property
    def is_folder(self):
        return self.kind == FOLDER

    def show(self):
        """The item as the API tells it."""
        told = {
            "kind": "drive#file",
            "id": self.id,
            "title": self.title,
            "mimeType": self.kind,
            "parents": [{"id": self.parent}] if self.parent else [],
            "labels": {"trashed": self.trashed},
            "createdDate": stamp(self.created),
            "modifiedDate": stamp(self.modified),
        }
        if self.drive:
            told["driveId"] = self.drive
        if not self.kind.startswith("application/vnd.google-apps."):
            told["fileSize"] = str(len(self.data))
            told["md5Checksum"] = hashlib.md5(self.data, usedforsecurity=False).hexdigest()
        return told


def stamp(seconds):
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


class Store:
    """Everything that lies in the fake.

    Attributes:
        limits: ``bytes`` of all files together, ``items`` of each shared drive; None for no limit.
        roles: (drive id, who) to ``reader``, ``contentManager`` or ``manager``; drives that are not named are open.
    """

    def __init__(self):
        self.items, self.children = {}, {}
        self.limits = {"bytes": None, "items": None}
        self.roles, self.pages = {}, {}
        self._count = itertools.count()
        self.add(Item(MY_DRIVE, "My Drive", FOLDER, None, None))

    def add(self, item):
        self.items[item.id] = item
        self.children.setdefault(item.parent, {})[item.id] = item
        return item

    def new_drive(self, name, roles):
        """A shared drive; who is not in *roles* does not see it."""
        root = self.add(Item("0A" + secrets.token_urlsafe(12) + "Uk9PVA", name, FOLDER, None, None))
        root.drive = root.id
        for who, role in roles.items():
            self.roles[root.id, who] = role
        return root

    # ── rights ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def role(self, item, who):
        """What somebody may do with an item; accounts say it by their names, shared drives by their members."""
        if item.drive:
            return self.roles.get((item.drive, who))
        return {"reader": "reader", "stranger": None}.get(who.partition("@")[0], "manager")

    def get(self, name, who, *, all_drives=True):
        item = self.items.get(MY_DRIVE if name == "root" else name)
        if item is None or self.role(item, who) is None or (item.drive and not all_drives):
            raise not_found(name)
        return item

    def get_for_writing(self, name, who, *, all_drives=True, last=False):
        """An item that somebody may change; *last*: delete for ever, which in shared drives only managers may."""
        item = self.get(name, who, all_drives=all_drives)
        if self.role(item, who) not in (("manager",) if last else ("manager", "contentManager")):
            raise not_allowed()
        return item

    # ── changes ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def insert(self, told, data, who, *, all_drives=True):
        """Make a file or folder; another of the same title stays beside it, as in Drive."""
        parent = self.get_for_writing(parent_of(told), who, all_drives=all_drives)
        limit = self.limits["items"]
        if parent.drive and limit is not None and limit < sum(one.drive == parent.drive for one in self.items.values()):
            raise ApiError(403, "teamDriveFileLimitExceeded", "The file limit for this shared drive was exceeded.")
        self.check_space(len(data))
        name = f"1{next(self._count):06}{secrets.token_urlsafe(20)}"
        kind = told.get("mimeType") or "application/octet-stream"
        return self.add(Item(name, told.get("title", "Untitled"), kind, parent.id, parent.drive, data))

    def update(self, item, data):
        self.check_space(len(data) - len(item.data))
        item.data, item.modified = data, max(time.time(), item.modified + 0.001)
        return item

    def check_space(self, more):
        limit = self.limits["bytes"]
        if limit is not None and more > 0 and sum(len(one.data) for one in self.items.values()) + more > limit:
            raise ApiError(403, "storageQuotaExceeded", "The user's Drive storage quota has been exceeded.")

    def trash(self, item):
        item.trashed = True
        for child in list(self.children.get(item.id, {}).values()):
            self.trash(child)
        return item

    def remove(self, item):
        for child in list(self.children.get(item.id, {}).values()):
            self.remove(child)
        del self.items[item.id]
        del self.children[item.parent][item.id]

    # ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def list(self, asked, who):
        """A page of what a query finds, the newest first."""
        size = int(asked.get("maxResults", 100))
        if not 1 <= size <= 1000:
            raise ApiError(400, "invalidParameter", f"Invalid value '{size}'. Values must be in [1, 1000]")
        if (asked.get("corpora") == "drive") != ("driveId" in asked):
            raise ApiError(400, "invalid", "driveId and corpora=drive must be given together")
        if "pageToken" in asked:
            found = self.pages.pop(asked["pageToken"], None)
            if found is None:
                raise ApiError(400, "invalid", "Invalid Value")
        else:
            found = self._find(asked, who)
        page = [self.items[one].show() for one in found[:size] if one in self.items]
        answer = {"kind": "drive#fileList", "incompleteSearch": False, "items": page}
        if found[size:]:
            answer["nextPageToken"] = token = secrets.token_urlsafe(20)
            self.pages[token] = found[size:]
        return answer

    def _find(self, asked, who):
        all_drives = asked.get("supportsAllDrives") == "true" and asked.get("includeItemsFromAllDrives") == "true"
        query = Query(asked.get("q", ""))
        for name in query.parents:
            self.get(name, who)  # a parent that does not exist is an error, not an empty answer
        known = [self.children.get(MY_DRIVE if name == "root" else name, {}) for name in sorted(query.parents)]
        pool = itertools.chain.from_iterable(one.values() for one in known) if known else self.items.values()
        found = [
            one
            for one in pool
            if one.parent
            and (all_drives or not one.drive)
            and asked.get("driveId") in (None, one.drive)
            and self.role(one, who)
            and query.matches(one)
        ]
        return [one.id for one in sorted(found, key=lambda one: one.modified, reverse=True)]


def parent_of(told):
    parents = told.get("parents") or [{"id": "root"}]
    return parents[0]["id"]


class Query:
    """The part of Drive's query language that is used: ``and``, ``or``, ``not``, brackets, ``in parents``, ``=``.

    Attributes:
        parents: every folder that it names.
    """

    _WORD = re.compile(r"\s*('(?:[^'\\]|\\.)*'|!=|[=()]|[A-Za-z]+)")

    def __init__(self, text):
        self.parents = set()
        self._words, at = [], 0
        while text[at:].strip():
            match = self._WORD.match(text, at)
            if not match:
                raise ApiError(400, "invalid", f"Invalid Value: {text[at:]}")
            self._words.append(match[1])
            at = match.end()
        self.matches = self._any() if self._words else (lambda item: True)
        if self._words:
            raise ApiError(400, "invalid", "Invalid Value")

    def _next(self, *wanted):
        word = self._words.pop(0) if self._words else ""
        if wanted and word not in wanted:
            raise ApiError(400, "invalid", f"Invalid Value: {word}")
        return word

    def _joined(self, word, part, join):
        parts = [part()]
        while self._words and self._words[0] == word:
            self._next()
            parts.append(part())
        return parts[0] if len(parts) == 1 else (lambda item: join(one(item) for one in parts))

    def _any(self):
        return self._joined("or", self._all, any)

    def _all(self):
        return self._joined("and", self._one, all)

    def _one(self):
        word = self._next()
        if word == "not":
            inner = self._one()
            return lambda item: not inner(item)
        if word == "(":
            inner = self._any()
            self._next(")")
            return inner
        if word.startswith("'"):
            self._next("in")
            self._next("parents")
            name = plain(word)
            self.parents.add(name)
            wanted = MY_DRIVE if name == "root" else name
            return lambda item: item.parent == wanted
        return self._comparison(word)

    def _comparison(self, word):
        sign, value = self._next("=", "!="), self._next()
        if word == "trashed":
            wanted = {"true": True, "false": False}[value]
            return lambda item: (item.trashed == wanted) == (sign == "=")
        if word not in ("title", "mimeType") or not value.startswith("'"):
            raise ApiError(400, "invalid", f"Invalid Value: {word}")
        wanted = plain(value).casefold()  # titles are compared without regard to case
        return lambda item: ((item.title if word == "title" else item.kind).casefold() == wanted) == (sign == "=")


def plain(word):
    return re.sub(r"\\(.)", r"\1", word[1:-1])
