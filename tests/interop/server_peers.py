"""What `servers` talks to: programs that are installed, each in a directory of its own until `end`, and a server that lies."""

import base64
import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

from support import HERE, Unusable

DEADLINE_S = 60
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

NGINX = """
daemon off;
master_process off;
pid %(directory)s/pid;
error_log %(directory)s/error.log;
events {}
http {
    access_log off;
    client_body_temp_path %(directory)s/body;
    proxy_temp_path %(directory)s/proxy;
    fastcgi_temp_path %(directory)s/fastcgi;
    uwsgi_temp_path %(directory)s/uwsgi;
    scgi_temp_path %(directory)s/scgi;
    server {
        listen 127.0.0.1:%(port)d ssl;
        ssl_certificate %(certificate)s;
        ssl_certificate_key %(key)s;
        ssl_protocols %(version)s;
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        location / { proxy_pass http://127.0.0.1:%(behind)d; }
        location /down { proxy_pass http://127.0.0.1:%(closed)d; }
        location /moved { return 301 /echo; }
        location /plain { return 301 http://127.0.0.1:%(behind)d/echo; }
        location /forbidden { return 403; }
        location /private { auth_basic here; auth_basic_user_file %(users)s; proxy_pass http://127.0.0.1:%(behind)d/echo; }
    }
}
"""

TINYPROXY = """
Port %(port)d
Listen 127.0.0.1
Timeout 60
MaxClients 20
PidFile "%(directory)s/pid"
LogFile "%(directory)s/log"
%(rules)s
"""


def must(*command, cwd):
    done = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise Unusable("%s: %s" % (" ".join(command), done.stdout.decode()[-500:]))


def free_port():
    """One that nobody listens at just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """A program that serves, which is ended by `end`."""

    def start(self, command, **more):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)

    def await_port(self, port):
        self.port = port
        end = time.monotonic() + DEADLINE_S
        while self.process.poll() is None and time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.02)
        self.end()
        raise Unusable("`%s` does not listen" % " ".join(self.process.args))

    def end(self):
        self.process.terminate()
        self.process.wait()


class Script(Server):
    """`ws_server.mjs`, by Node and the package `ws` or by Bun."""

    def __init__(self, program, directory, deflate):
        script = os.path.join(directory, "ws_server.mjs")
        shutil.copy(os.path.join(HERE, "ws_server.mjs"), script)
        self.start([program, script], stdout=subprocess.PIPE, env={**os.environ, "DEFLATE": "01"[deflate]})
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.end()
            raise Unusable("%s does not serve: %r" % (program, line))
        self.port = int(line)

    def url(self, target):
        return "ws://127.0.0.1:%d%s" % (self.port, target)

    def told(self):
        """What it tells of the connection that has ended next."""
        return json.loads(self.process.stdout.readline())


class Nginx(Server):
    """In front of what listens at the port `behind`, over TLS."""

    def __init__(self, directory, files, behind, version):
        os.makedirs(directory)
        users = os.path.join(directory, "users")
        with open(users, "w") as file:
            file.write("a:{PLAIN}b\n")
        port = free_port()
        config = os.path.join(directory, "nginx.conf")
        with open(config, "w") as file:
            file.write(NGINX % {"directory": directory, "port": port, "certificate": files[0], "key": files[1],
                                "version": version, "behind": behind, "closed": free_port(), "users": users})
        self.start(["nginx", "-e", os.path.join(directory, "early.log"), "-p", directory, "-c", config],
                   stderr=subprocess.DEVNULL)
        self.await_port(port)

    def url(self, target, name="127.0.0.1"):
        return "wss://%s:%d%s" % (name, self.port, target)


class Tinyproxy(Server):
    """A proxy with these further lines of config."""

    def __init__(self, directory, rules):
        os.makedirs(directory)
        port = free_port()
        config = os.path.join(directory, "tinyproxy.conf")
        with open(config, "w") as file:
            file.write(TINYPROXY % {"directory": directory, "port": port, "rules": rules})
        self.log = os.path.join(directory, "log")
        self.start(["tinyproxy", "-d", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.await_port(port)

    def address(self, who=""):
        return "%s127.0.0.1:%d" % (who and who + "@", self.port)

    def tunnels(self):
        """How many it was asked for."""
        with open(self.log) as log:
            return log.read().count("CONNECT 127.0.0.1:")


class Liar:
    """Takes connections, and does with each what `behave` says: it gets the connection, and the head of the request where
    `reads` says that one is read first."""

    def __init__(self, behave, reads=True):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.behave, self.reads = behave, reads
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            connection, _ = self.listener.accept()
        except OSError:
            return
        connection.settimeout(DEADLINE_S)
        with connection:
            try:
                self.behave(connection, *((head(connection),) if self.reads else ()))
            # The client has gone, which is what many of these lies are for.
            except OSError:
                pass

    def end(self):
        # This wakes `accept`, which closing alone does not.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.thread.join(DEADLINE_S)


def head(connection):
    """Reads the head of a request."""
    read = b""
    while b"\r\n\r\n" not in read:
        part = connection.recv(1 << 16)
        if not part:
            raise ConnectionError("no request")
        read += part
    return read


def answer(request, accept=None, upgrade=b"Upgrade: websocket\r\n", connection=b"Connection: Upgrade\r\n", more=b""):
    """What opens a WebSocket, apart from what is said to be otherwise."""
    if accept is None:
        key = next(line[18:].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
        accept = b"Sec-WebSocket-Accept: " + base64.b64encode(hashlib.sha1(key + GUID).digest()) + b"\r\n"
    return b"HTTP/1.1 101 Switching Protocols\r\n" + upgrade + connection + accept + more + b"\r\n"


def reset(connection, _=None):
    """Ends it by RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def stall(connection, _=None):
    """Says nothing until the client has gone."""
    while connection.recv(1 << 16):
        pass


def sends(content, then=stall):
    """Sends this, and goes on as `then` says."""
    def behave(connection, request=None):
        connection.sendall(content(request) if callable(content) else content)
        then(connection)
    return behave


def ends(connection, _=None):
    """Ends it in order: what the client has sent is read first."""
    connection.shutdown(socket.SHUT_WR)
    stall(connection)
