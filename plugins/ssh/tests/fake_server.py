"""A tiny SFTP server on standard input and output that misbehaves as its first argument says."""

import struct
import sys

WAY = sys.argv[1]
CONTENT = bytes(range(256)) * 2000


def text(data):
    return struct.pack(">I", len(data)) + data


def send(kind, body):
    sys.stdout.buffer.write(struct.pack(">IB", len(body) + 1, kind) + body)
    sys.stdout.buffer.flush()


def receive():
    head = sys.stdin.buffer.read(4)
    if len(head) < 4:
        sys.exit()
    return sys.stdin.buffer.read(struct.unpack(">I", head)[0])


def status(number, code, words=b""):
    send(101, number + struct.pack(">I", code) + text(words) + text(b""))


def attributes(size, mode):
    return struct.pack(">IQI", 0x1 | (0 if WAY == "no-modes" else 0x4), size, mode)[: 12 if WAY == "no-modes" else None]


def read_directory(number, pages):
    if pages:
        return status(number, 1)
    names = [(b"one", b"-rw-r--r--", 0o100644), (b"folder", b"drwxr-xr-x", 0o040755)]
    if WAY == "names":
        names += [(name, b"-rw-r--r--", 0o100644) for name in (b"../up", b"a/b", b"..", b"", b"nul\0", b"\xff")]
        names.append((b"link", b"lrwxrwxrwx", 0o120777))
    entries = b"".join(text(name) + text(line) + attributes(1, mode) for name, line, mode in names)
    return send(104, number + struct.pack(">I", len(names)) + entries)


def read_data(number, offset, length):
    if WAY == "stalls" and offset >= 2 * 32768:
        return None
    if offset >= (1000 if WAY == "shrinks" else len(CONTENT)):
        return status(number, 1)
    data = CONTENT[offset : offset + length]
    if WAY == "short-reads":
        data = data[: max(1, length // 3)]
    elif WAY == "empty-reads":
        data = b""
    elif WAY == "long-reads":
        data += b"more than was asked for"
    return send(103, number + text(data))


def answer(kind, number, body, seen):
    if WAY == "silent":
        return
    if WAY == "huge-packet":
        sys.stdout.buffer.write(struct.pack(">IB", 1 << 30, 103) + number)
        sys.stdout.buffer.flush()
    elif WAY == "wrong-kind":
        send(105, number)
    elif WAY == "refuses":
        status(number, 4, b"no \x1b[31mway " + b"x" * 1000)
    elif WAY == "quits":
        sys.exit(3)
    elif kind in {3, 11}:
        folder = kind == 11 and body.endswith(b"folder")
        send(102, number + text(b"folder" if folder else b"handle"))
    elif kind == 12:
        read_directory(number, seen.count(body) > 1 or b"folder" in body)
    elif kind in (7, 8, 17):
        send(105, number + attributes(len(CONTENT), 0o100644))
    elif kind == 5:
        read_data(number, *struct.unpack(">QI", body[-12:]))
    else:
        status(number, 0)


def main():
    receive()
    version = 2 if WAY == "old" else 3
    send(2, struct.pack(">I", version))
    seen = []
    while True:
        packet = receive()
        seen.append(packet[5:])
        answer(packet[0], packet[1:5], packet[5:], seen)


main()
