#!/usr/bin/env python3
"""Starts a host as the command says and makes it do a little of everything: echo, compression, broadcast, bad peers, plugins
replaced under open sessions, TERM. The standard library only, since what is tested is slow enough.

    load.py BINARIES -- COMMAND...

BINARIES holds the plugin files; the arguments of the host are added to COMMAND. Exit status: that of the host, or 1.
"""

import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

DEADLINE = 300
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OFFER = "permessage-deflate; client_max_window_bits"


class Peer:
    """A client. With an offer that is accepted its messages are compressed."""

    def __init__(self, port, path, offer=None):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
        self.read = b""
        field = "Sec-WebSocket-Extensions: %s\r\n" % offer if offer else ""
        self.socket.sendall(("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"
                             % (path, field)).encode())
        while b"\r\n\r\n" not in self.read:
            self.more()
        head, self.read = self.read.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert (b"permessage-deflate" in head) == bool(offer), head
        self.takes_over = [side + b"_no_context_takeover" not in head for side in (b"client", b"server")]
        self.deflater = zlib.compressobj(6, zlib.DEFLATED, -12) if offer else None
        self.inflater = zlib.decompressobj(-15)

    def more(self):
        got = self.socket.recv(1 << 16)
        if not got:
            raise EOFError
        self.read += got

    def take(self, count):
        while len(self.read) < count:
            self.more()
        taken, self.read = self.read[:count], self.read[count:]
        return taken

    def frame(self, first, payload):
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", first, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", first, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, size)
        key = os.urandom(4)
        mask = (key * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(size, "big")
        self.socket.sendall(head + key + masked)

    def send(self, opcode, message, fragments=1):
        rsv = 0
        if self.deflater:
            message = self.deflater.compress(message) + self.deflater.flush(zlib.Z_SYNC_FLUSH)
            message, rsv = message[:-4], 0x40
            if not self.takes_over[0]:
                self.deflater = zlib.compressobj(6, zlib.DEFLATED, -12)
        size = len(message) // fragments + 1
        for index in range(fragments):
            final = 0x80 if index + 1 == fragments else 0
            self.frame(final | (opcode | rsv if index == 0 else 0), message[index * size:][:size])
            if not final:
                self.frame(0x80 | PING, b"between")

    def receive_frame(self):
        first, size = self.take(2)
        if size == 126:
            size, = struct.unpack("!H", self.take(2))
        elif size == 127:
            size, = struct.unpack("!Q", self.take(8))
        return first, self.take(size)

    def receive(self):
        """The next message or Close, as opcode and payload."""
        opcode, message, marked = None, b"", False
        while True:
            first, payload = self.receive_frame()
            if first & 15 == PONG:
                assert payload == b"between"
                continue
            if first & 15 == CLOSE:
                return CLOSE, payload
            if first & 15:
                opcode, marked = first & 15, bool(first & 0x40)
            message += payload
            if first & 0x80:
                break
        if marked:
            message = self.inflater.decompress(message + b"\0\0\xff\xff")
            if not self.takes_over[1]:
                self.inflater = zlib.decompressobj(-15)
        return opcode, message

    def echo(self, opcode, message, fragments=1):
        self.send(opcode, message, fragments)
        assert self.receive() == (opcode, message)

    def close(self):
        self.frame(0x80 | CLOSE, struct.pack("!H", 1000))
        assert self.receive() == (CLOSE, struct.pack("!H", 1000))
        self.socket.close()

    def fails_with(self, code):
        told, payload = self.receive()
        assert (told, payload[:2]) == (CLOSE, struct.pack("!H", code)), (told, payload)
        self.socket.close()


def texts():
    for size in (0, 1, 125, 126, 5000, 70000):
        yield (json.dumps({"id": size, "user": "name"}) * (size // 20 + 1))[:size].encode()


def talk(peer):
    for text in texts():
        peer.echo(TEXT, text)
        peer.echo(TEXT, text, fragments=3)
        peer.echo(BINARY, os.urandom(len(text)))


class Log:
    """What the host writes on standard error; the lines are kept."""

    def __init__(self, stream):
        self.lines = []
        self.changed = threading.Condition()
        threading.Thread(target=self.follow, args=(stream,), daemon=True).start()

    def follow(self, stream):
        for line in stream:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def wait(self, *parts):
        told = lambda: any(all(part in line for part in parts) for line in self.lines)
        with self.changed:
            assert self.changed.wait_for(told, DEADLINE), "not told: %s\n%s" % (parts, "".join(self.lines))


def work(port, binaries, plugins, log):
    plain, packed = Peer(port, "/echo"), Peer(port, "/echo", OFFER)
    afresh = Peer(port, "/echo", "permessage-deflate; server_no_context_takeover; server_max_window_bits=9")
    peers = [plain, packed, afresh]
    for peer in peers:
        talk(peer)

    crowd = [Peer(port, "/broadcast", offer) for offer in (None, OFFER, OFFER)]
    for sender in crowd:
        for text in texts():
            sender.send(TEXT, text)
            for member in crowd:
                assert member.receive() == (TEXT, text)

    # Peers that do wrong, or go in the middle of a message.
    peer = Peer(port, "/echo")
    peer.frame(0x80 | TEXT, b"\xc3\x28")
    peer.fails_with(1007)
    peer = Peer(port, "/echo", OFFER)
    peer.frame(0xc0 | BINARY, b"\xff" * 40)
    peer.fails_with(1007)
    peer = Peer(port, "/echo", OFFER)
    peer.frame(0x90 | TEXT, b"")
    peer.fails_with(1002)
    peer = Peer(port, "/echo", OFFER)
    # The limit of the config is 1 MiB.
    peer.send(BINARY, bytes(2 << 20))
    peer.fails_with(1009)
    for offer in (None, OFFER):
        peer = Peer(port, "/echo", offer)
        peer.frame(TEXT | (0x40 if offer else 0), b"\x2a\x49")
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.socket.close()

    # Replaced by `cp`, with other bytes that do the same. Old sessions go on, on what they began with.
    for name in ("echo", "permessage_deflate"):
        other = os.path.join(os.path.dirname(plugins), name + ".so")
        subprocess.run(["strip", "--strip-debug", "-o", other, os.path.join(binaries, "lib%s.so" % name)], check=True)
        subprocess.run(["cp", other, os.path.join(plugins, "lib%s.so" % name)], check=True)
        log.wait(name.replace("_", "-"), '"generation":2')
        peers += [Peer(port, "/echo", OFFER), Peer(port, "/echo")]
        for peer in peers:
            talk(peer)
    for member in crowd + peers:
        member.close()


def main():
    binaries, dashes, *command = sys.argv[1:]
    assert dashes == "--"
    with tempfile.TemporaryDirectory() as directory:
        plugins = os.path.join(directory, "plugins")
        os.mkdir(plugins, 0o755)
        for name in ("echo", "broadcast", "permessage_deflate"):
            shutil.copy(os.path.join(binaries, "lib%s.so" % name), plugins)
        config = os.path.join(directory, "hotsocket.json")
        with open(config, "w") as file:
            takeover = {"server_context_takeover": True, "client_context_takeover": True, "threshold_bytes": 10}
            json.dump({"extensions": {"permessage-deflate": {"options": takeover}},
                       "limits": {"message_bytes": 1 << 20}}, file)
        began = time.monotonic()
        host = subprocess.Popen(
            command + ["serve", "--config", config, "--listen", "127.0.0.1:0", "--plugins", plugins, "--threads", "2",
                       "--control", os.path.join(directory, "control.sock")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        log = Log(host.stderr)
        try:
            line = host.stdout.readline()
            assert line.startswith("listening on "), "the host does not listen\n" + "".join(log.lines)
            work(int(line.rsplit(":", 1)[1]), binaries, plugins, log)
        except BaseException:
            sys.stderr.write("".join(log.lines))
            raise
        finally:
            host.terminate()
            status = host.wait(DEADLINE)
        print("load: done in %.0f s, the host ended with %d" % (time.monotonic() - began, status))
        if status:
            sys.stderr.write("".join(log.lines))
    return 1 if status < 0 else status


sys.exit(main())
