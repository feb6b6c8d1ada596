"""The servers: the peers, how they are built, and how one is started alone on the first core."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.environ.get("BENCH_DIR", os.path.join(tempfile.gettempdir(), "peers"))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(WORK, "target"))
BIN = os.path.join(TARGET, "release")
WSLOAD = os.path.join(BIN, "wsload")
NPM = os.path.join(WORK, "npm")
CERT, KEY = f"{WORK}/tls/cert.pem", f"{WORK}/tls/key.pem"

# What they are measured against; no peers.
YARDSTICKS = {"raw", "raw-bytes"}
# permessage-deflate with context takeover; `kept` with what takes the least time for it, where a server has a choice.
TAKEOVER_KINDS = ("takeover", "kept")
DEFLATE_KINDS = ("deflate",) + TAKEOVER_KINDS
# Kinds that only a server given by --hotsocket has.
OWN_KINDS = {"threads", "reload"}


class Server:
    def __init__(self, name, cmd, skip=(), env=None, only=None):
        self.name, self.cmd, self.env = name, cmd, env or {}
        self.skip, self.only = set(skip) | OWN_KINDS, only
        self.path, self.protocol, self.port = "/echo", None, None

    def command(self, kind, port, threads=1):
        if self.name == "nginx":
            nginx_conf(port)
        tls = kind == "tls"
        return self.cmd.format(
            port=port, file=f"{WORK}/www/small.txt", www=f"{WORK}/www", cert=CERT, key=KEY, threads=threads,
            deflate="--deflate" if kind in DEFLATE_KINDS else "",
            takeover="--takeover" if kind in TAKEOVER_KINDS else "",
            tls=f"--tls {CERT} {KEY}" if tls else "",
            gotls=f"--cert {CERT} --key {KEY}" if tls else "",
            lwsrx="--rx 65536" if kind == "big" else "")

    def offers(self, kind):
        return kind not in self.skip and (self.only is None or kind in self.only)


class Hotsocket(Server):
    """This host: `directory` has the program and its plugin files, as `target/release` has."""

    PLUGINS = ("echo", "broadcast", "permessage_deflate")
    # Of the harness itself: `build` makes it for the host of this tree, and one that was made for another host may lie
    # in its directory.
    OWN_PLUGIN = "libtransfers.so"

    def __init__(self, name, directory):
        self.directory = os.path.abspath(directory)
        super().__init__(name, os.path.join(self.directory, "hotsocket"))
        self.skip = set()

    def plugins(self, directory):
        """Puts copies of the plugin files there."""
        for name in [f"lib{plugin}.so" for plugin in self.PLUGINS] + [self.OWN_PLUGIN]:
            at = [os.path.join(place, name) for place in (self.directory, BIN)]
            for file in [file for file in at if os.path.exists(file)][:1]:
                shutil.copy(file, directory)

    def command(self, kind, port, threads=1, plugins=None, control=None):
        at = f"{WORK}/hosts/{self.name}"
        os.makedirs(at, exist_ok=True)
        if plugins is None:
            plugins = f"{at}/plugins"
            shutil.rmtree(plugins, ignore_errors=True)
            os.makedirs(plugins)
            self.plugins(plugins)
        config = ""
        if kind in TAKEOVER_KINDS:
            options = {"server_context_takeover": True, "client_context_takeover": True, "threshold_bytes": 0,
                       "takeover_keeps": "compressor" if kind == "kept" else "window"}
            config = f"--config {at}/{kind}.json"
            with open(f"{at}/{kind}.json", "w") as f:
                json.dump({"extensions": {"permessage-deflate": {"options": options}}}, f)
        return " ".join([
            f"{self.cmd} serve {config} --listen 127.0.0.1:{port} --plugins {plugins} --threads {threads}",
            f"--tls-cert {CERT} --tls-key {KEY}" if kind == "tls" else "",
            f"--www {WORK}/www" if kind == "http" else "",
            f"--control {control}" if control else ""])


def peers():
    """All of them; the ones that are not built are left out by `is_built`."""
    js = os.path.join(HERE, "peers", "js")
    bun = os.path.join(NPM, "node_modules/bun/bin/bun.exe")
    deno = os.path.join(NPM, "node_modules/@deno/linux-x64-glibc/deno")
    std = "--port {port} {tls} {deflate} --file {file}"
    one_way = ("upload", "download")
    return [
        Server("raw", f"{BIN}/raw {std}"),
        Server("raw-bytes", f"{BIN}/raw --bytes --port {{port}} {{tls}}", DEFLATE_KINDS + one_way + ("fanout", "http")),
        Server("tokio-tungstenite", f"{BIN}/tt {std}", DEFLATE_KINDS + ("http",)),
        Server("tungstenite-4k", f"{BIN}/tt --rbuf 4096 {std}", DEFLATE_KINDS + ("http",)),
        Server("fastwebsockets", f"{BIN}/fws {std}", DEFLATE_KINDS),
        Server("libwebsockets", f"{WORK}/lwsecho --port {{port}} {{tls}} {{deflate}} --file {{file}} {{lwsrx}}", one_way),
        Server("bun", f"{bun} {js}/bun.mjs {std} {{takeover}}"),
        Server("node-ws", f"node {js}/ws.mjs {std}", env={"WS_MODULES": NPM}),
        Server("deno", f"{deno} run -A --no-check {js}/deno.mjs {std}", DEFLATE_KINDS),
        Server("go-gorilla", f"{WORK}/goecho --port {{port}} {{gotls}} {{deflate}} --file {{file}}",
               one_way + TAKEOVER_KINDS, env={"GOMAXPROCS": "1"}),
        Server("nginx", f"nginx -c {WORK}/nginx-{{port}}.conf -e stderr", only={"http"}),
    ]


def is_built(server):
    return bool(shutil.which(shlex.split(server.cmd)[0]))


def sh(cmd, **kw):
    print("+", cmd, file=sys.stderr)
    r = subprocess.run(cmd, shell=True, **kw)
    if r.returncode:
        print(f"  failed ({r.returncode}): that peer is left out", file=sys.stderr)


def build():
    os.makedirs(WORK, exist_ok=True)
    env = dict(os.environ, CARGO_TARGET_DIR=TARGET)
    for d in ("wsload", "peers/rust", "plugin"):
        sh(f"cargo build --release --manifest-path {HERE}/{d}/Cargo.toml", env=env)
    sh(f"cc -O2 -Wall -Wextra {HERE}/peers/lws/echo.c -o {WORK}/lwsecho -lwebsockets")
    if not os.path.exists(f"{NPM}/node_modules/ws"):
        os.makedirs(NPM, exist_ok=True)
        sh(f"cd {NPM} && npm init -y >/dev/null && npm install --silent bun ws bufferutil deno")
    if shutil.which("go"):
        sh(f"cd {HERE}/peers/go && go build -o {WORK}/goecho main.go",
           env=dict(os.environ, GO111MODULE="off", GOPATH="/usr/share/gocode",
                    GOCACHE=f"{WORK}/gocache"))


def materials():
    os.makedirs(f"{WORK}/www", exist_ok=True)
    with open(f"{WORK}/www/small.txt", "w") as f:
        f.write(("The quick brown fox jumps over the lazy dog. " * 30)[:1024])
    if not os.path.exists(CERT):
        os.makedirs(f"{WORK}/tls", exist_ok=True)
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
             "-nodes", "-keyout", KEY, "-out", CERT,
             "-days", "3650", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
            check=True, capture_output=True)


def nginx_conf(port):
    with open(f"{WORK}/nginx-{port}.conf", "w") as f:
        f.write(f"""daemon off; master_process off; pid {WORK}/nginx-{port}.pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{ access_log off; error_log stderr crit; sendfile on; tcp_nodelay on;
keepalive_requests 1000000000; types {{ text/plain txt; }} open_file_cache max=100;
client_body_temp_path {WORK}/ngx; proxy_temp_path {WORK}/ngx; fastcgi_temp_path {WORK}/ngx;
uwsgi_temp_path {WORK}/ngx; scgi_temp_path {WORK}/ngx;
server {{ listen 127.0.0.1:{port} backlog=4096; root {WORK}/www; }} }}
""")


next_port = [21500 + os.getpid() % 4000]


def free_port():
    while True:
        next_port[0] += 1
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", next_port[0]))
                return next_port[0]
            except OSError:
                pass


# Whether servers and load have the right of way over all else on the machine, see `demand_realtime`.
realtime = False


def demand_realtime():
    """From now on what is started goes before everything else on its core. Where other programs run, latencies are theirs
    otherwise; niceness does not help against those of other sessions."""
    global realtime
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except PermissionError as e:
        sys.exit(f"--realtime: the kernel does not allow it ({e}): it takes root, or CAP_SYS_NICE")
    realtime = True


def pin(core):
    def f():
        os.sched_setaffinity(0, {core})
        if realtime:
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    return f


class Running:
    """A server on the first core, from when it takes connections until the end of a `with`."""

    def __init__(self, server, kind, under="", **more):
        """`under` is what the command stands behind, and `more` goes to `server.command`."""
        self.port = server.port or free_port()
        cmd = f"{under} {server.command(kind, self.port, **more)}"
        # In a file: a pipe that nobody reads would hold up a server that logs.
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            shlex.split(cmd), stdout=subprocess.DEVNULL, stderr=self.log, stdin=subprocess.DEVNULL,
            preexec_fn=pin(0), env=dict(os.environ, **server.env))
        self.pid = self.process.pid
        try:
            self.await_listener()
        except BaseException:
            self.end()
            raise

    def await_listener(self):
        t = time.time()
        while time.time() - t < 15:
            if self.process.poll() is not None:
                raise RuntimeError("it ended: " + self.logged()[-300:])
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("it did not listen within 15 s")

    def logged(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def terminate(self):
        """Asks it to end, and gives back what it logged."""
        self.process.terminate()
        self.process.wait(timeout=30)
        return self.logged()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
