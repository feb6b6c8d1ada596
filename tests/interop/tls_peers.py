"""Clients of TLS that share no code with the host: `openssl s_client`, curl, and Python's `ssl` as a client of HTTP and of
WebSocket."""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import subprocess

DEADLINE_S = 60
REQUEST = b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n"


class Refused(Exception):
    """The host did not serve; says how the client puts it."""


def s_client(host, authority, name, *options, request=REQUEST):
    """Asks once; gives all that openssl tells, the answer among it. No request is sent without a name."""
    command = ["openssl", "s_client", "-connect", "%s:%s" % host.address, "-CAfile", authority.certificate,
               "-verify_return_error", "-ign_eof", *(("-servername", name) if name else ("-noservername",)), *options]
    done = subprocess.run(command, input=request.replace(b"%s", (name or "127.0.0.1").encode()), timeout=DEADLINE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    told = done.stdout.decode(errors="replace")
    if "HTTP/1.1 200 " not in told:
        raise Refused(alert(told))
    return told


def alert(told):
    """The word for what went wrong in what OpenSSL tells, here and in curl and Python."""
    found = re.search(r"(?:sslv3|tlsv1|tlsv13)[ _]alert[ _]([a-z0-9_ ]+)", told, re.IGNORECASE)
    return found.group(1).strip().lower().replace("_", " ") if found else told[-300:]


def curl(host, authority, name, *options, scheme="https"):
    """The content of the answer to `GET /`."""
    port = host.address[1]
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", str(DEADLINE_S), "--noproxy", "*",
               "--cacert", authority.certificate, "--resolve", "%s:%d:%s" % (name, port, host.address[0]), *options,
               "%s://%s:%d/" % (scheme, name, port)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise Refused(alert(done.stderr.decode().split("\n")[0]) + done.stdout.decode())
    return done.stdout.decode()


def context(authority, certificate=None):
    """What Python goes by that trusts this authority, and shows this certificate."""
    made = ssl.create_default_context(cafile=authority.certificate)
    if certificate:
        made.load_cert_chain(*certificate)
    return made


def connect(host, name, by, session=None):
    """A connection of Python's, after the handshake."""
    transport = socket.create_connection(host.address, timeout=DEADLINE_S)
    try:
        # An end without `close_notify` is an error.
        return by.wrap_socket(transport, server_hostname=name, suppress_ragged_eofs=False, session=session)
    except (ssl.SSLError, ConnectionError) as error:
        transport.close()
        raise Refused(alert(str(error)))


def ask(secured, name):
    """The content of the answer to `GET /`; the connection is over afterwards."""
    try:
        secured.sendall(REQUEST.replace(b"%s", name.encode()))
        told = b""
        while part := secured.recv(1 << 16):
            told += part
    # With TLS 1.3 a client hears only here what the host thinks of its certificate.
    except (ssl.SSLError, ConnectionError) as error:
        raise Refused(alert(str(error)))
    head, _, content = told.decode().partition("\r\n\r\n")
    if not head.startswith("HTTP/1.1 200 "):
        raise Refused(head)
    return content


class WebSocket:
    """A session over a connection of Python's."""

    def __init__(self, secured, name, target):
        self.secured = secured
        self.received = b""
        key = base64.b64encode(os.urandom(16))
        secured.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
                        % (target.encode(), name.encode(), key))
        while b"\r\n\r\n" not in self.received:
            self.receive()
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        if not head.startswith(b"HTTP/1.1 101 ") or accept not in head:
            raise Refused(head.decode())

    def receive(self):
        part = self.secured.recv(1 << 16)
        if not part:
            raise Refused("the host has ended the connection")
        self.received += part

    def take(self, count):
        while len(self.received) < count:
            self.receive()
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def send(self, opcode, payload):
        length = len(payload)
        short = length if length < 126 else 126 if length < 1 << 16 else 127
        long = b"" if length < 126 else struct.pack(">H" if short == 126 else ">Q", length)
        # A mask of zeros is one, and keeps this script fast.
        self.secured.sendall(bytes([0x80 | opcode, 0x80 | short]) + long + bytes(4) + payload)

    def frame(self):
        first, length = self.take(2)
        if length > 125:
            form, size = (">H", 2) if length == 126 else (">Q", 8)
            length, = struct.unpack(form, self.take(size))
        return first & 15, self.take(length)

    def end(self):
        """Both Close frames, and then the end of TLS as it must be."""
        self.send(8, struct.pack(">H", 1000))
        closing = self.frame()
        rest = self.secured.recv(1)
        return closing, rest
