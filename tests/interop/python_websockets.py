"""Usage: python_websockets.py URL. One line of JSON for each set of options."""

import json
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate
from websockets.sync.client import connect

SIZES = [0, 1, 125, 126, 127, 255, 256, 1000, 4096, 16384, 65535, 65536, 65537, 262144, 1048576]
# How much may be under way at once: `send` blocks when the host waits for us to read.
TOGETHER = 8
SETS = {
    "defaults": {},
    "no takeover": {"extensions": [Deflate(server_no_context_takeover=True, client_no_context_takeover=True)]},
    "windows of 9 bits": {"extensions": [Deflate(server_max_window_bits=9, client_max_window_bits=9)]},
    "windows of 8 and 15 bits": {"extensions": [Deflate(server_max_window_bits=8, client_max_window_bits=15)]},
    "windows of 12 bits, or any": {"extensions": [
        Deflate(server_max_window_bits=12, client_max_window_bits=12), Deflate()]},
}


def text(size):
    parts, nth = [], size
    length = 0
    while length < size:
        parts.append('{"id":%d,"name":"Grüße %d 🙂","price":%d},' % (nth * 7919 % 100003, nth % 17, nth * 31 % 977))
        length += len(parts[-1].encode())
        nth += 1
    whole = "".join(parts).encode()[:size].decode(errors="ignore")
    return whole + " " * (size - len(whole.encode()))


def binary(size):
    out, state = bytearray(size), size + 1
    for at in range(size):
        state = (state * 1103515245 + 12345) & 0xFFFFFFFF
        out[at] = at & 0xFF if at >> 6 & 1 else state >> 28
    return bytes(out)


def fragments(message):
    half = len(message) // 2
    return [message[:half], message[:0], message[half:]]


def size_of(message):
    return len(message.encode() if isinstance(message, str) else message)


def exercise(url, options):
    told = {"extensions": "", "messages": 0, "bytes": 0, "faults": []}

    def check(message, came):
        told["messages"] += 1
        told["bytes"] += size_of(message)
        if message != came:
            told["faults"].append("%s of %d differs" % (type(message).__name__, size_of(message)))

    messages = [make(size) for size in SIZES for make in (text, binary)]
    try:
        with connect(url, max_size=None, open_timeout=30, close_timeout=30, **options) as connection:
            told["extensions"] = connection.response.headers.get("Sec-WebSocket-Extensions", "")
            for way in (lambda message: message, lambda message: message, fragments):
                for message in messages:
                    connection.send(way(message))
                    check(message, connection.recv(timeout=60))
            small = [message for message in messages if size_of(message) <= 4096]
            for begin in range(0, len(small), TOGETHER):
                batch = small[begin:begin + TOGETHER]
                for message in batch:
                    connection.send(message)
                for message in batch:
                    check(message, connection.recv(timeout=60))
            connection.close(1000, "done")
        if connection.close_code != 1000:
            told["faults"].append("closed with %s" % connection.close_code)
    except Exception as fault:
        told["faults"].append("%s: %s" % (type(fault).__name__, fault))
    return told


for name, options in SETS.items():
    print(json.dumps({"version": websockets.__version__, "set": name, **exercise(sys.argv[1], options)}), flush=True)
