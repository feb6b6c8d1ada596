"""One measurement: a server, wsload on the other core, and what it prints."""

import argparse
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading

import servers
from servers import Running

PATHS = {"fanout": "/broadcast", "http": "/small.txt", "upload": "/upload", "download": "/download"}
CALLGRIND = ("valgrind --tool=callgrind --collect-atstart=no --callgrind-out-file=/dev/null "
             "--toggle-collect=hotsocket::server::worker::ServiceThread::turn")
PERCENTILES = ("p50_us", "p99_us", "p999_us", "max_us")


def measure(server, scenario, o):
    if scenario.mode == "threads":
        return threads(server, scenario, o)
    if scenario.mode == "instructions":
        return instructions(server, scenario, o)
    if scenario.mode == "reload":
        return reload(server, scenario, o)
    with Running(server, scenario.kind) as running:
        return load(running, server, scenario.kind, scenario.mode, scenario.args.format(idle=o.idle), o, scenario.secs)


def load(running, server, kind, mode, args, o, secs=0.0):
    path = PATHS.get(kind, server.path)
    scheme = {"http": "http", "tls": "wss"}.get(kind, "ws")
    cmd = [servers.WSLOAD, mode, "--url", f"{scheme}://127.0.0.1:{running.port}{path}", "--pid", str(running.pid),
           "--secs", str(max(secs, o.secs)), "--warmup", str(o.warmup)]
    if server.protocol and kind != "http":
        cmd += ["--protocol", server.protocol]
    r = subprocess.run(cmd + shlex.split(args), capture_output=True, text=True, timeout=180,
                       preexec_fn=servers.pin(1))
    try:
        return json.loads(r.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"ok": False, "error": (r.stdout + r.stderr)[-300:]}


def threads(server, scenario, o):
    """The same load on one and on two service threads, which share a core, so that nothing but their number differs."""
    found = {}
    for count in (1, 2):
        with Running(server, scenario.kind, threads=count) as running:
            found[count] = load(running, server, scenario.kind, "echo", scenario.args, o)
        if not found[count].get("ok"):
            return found[count]
    if found[2]["server_threads_busy"] < 2:
        return {"ok": False, "error": "of two service threads only one had work"}
    return {"ok": True, "one_us_per_msg": found[1]["server_us_per_msg"], "two_us_per_msg": found[2]["server_us_per_msg"]}


def instructions(server, scenario, o):
    """The same by callgrind, which counts what the service threads do in their turns; not what the kernel does. Of a
    short and a long load the difference counts, so that starting and opening do not."""
    per_message = {}
    for count in (1, 2):
        (few, in_few), (many, in_many) = (counted(server, scenario, count, secs, o) for secs in (1.0, scenario.secs))
        per_message[count] = (in_many - in_few) / (many - few)
    return {"ok": True, "one_instructions": per_message[1], "two_instructions": per_message[2]}


def counted(server, scenario, count, secs, o):
    """Messages and instructions of a host with so many service threads."""
    with Running(server, scenario.kind, under=CALLGRIND, threads=count) as running:
        d = load(running, server, scenario.kind, "echo", scenario.args, argparse.Namespace(**vars(o) | {"secs": secs}))
        log = running.terminate()
    if not d.get("ok"):
        raise RuntimeError(d["error"])
    found = re.search(r"Collected : (\d+)", log)
    if not found or found.group(1) == "0":
        raise RuntimeError(f"callgrind counted nothing: {log[-300:]}")
    return d["replies_total"], int(found.group(1))


def reload(server, scenario, o):
    """Latency with and without a new version of the plugin every second, in a closed loop at full load, and by schedule
    at half of it. The plugin file is given a few more bytes each time, which makes it another version."""
    place = tempfile.mkdtemp(prefix="bench-")
    try:
        plugins, control = os.path.join(place, "plugins"), os.path.join(place, "control")
        os.mkdir(plugins)
        server.plugins(plugins)
        with Running(server, scenario.kind, plugins=plugins, control=control) as running:
            found = {"ok": True}
            rate = None
            for name, mode in (("full", "echo"), ("half", "paced")):
                args = scenario.args + (f" --rate {rate / 2:.0f}" if rate else "")
                for when in ("quiet", "replaced"):
                    with Replacing(plugins, scenario.secs) if when == "replaced" else Nothing():
                        d = load(running, server, scenario.kind, mode, args, o, scenario.secs)
                    if not d.get("ok"):
                        return d
                    rate = rate or d["msgs_s"]
                    found |= {f"{name}_{when}_{key}": d[key] for key in PERCENTILES}
                    found[f"{name}_{when}_us_per_msg"] = d["server_us_per_msg"]
            found["generations"] = generations(server, control)
        if found["generations"] < scenario.secs:
            return {"ok": False, "error": f"only {found['generations']} versions of the plugin were installed"}
        return found
    finally:
        shutil.rmtree(place, ignore_errors=True)


def generations(server, control):
    """How many versions of `echo` the host has had."""
    done = subprocess.run([server.cmd, "plugin", "list", "--control", control], capture_output=True, text=True, timeout=10)
    rows = [line.split() for line in done.stdout.splitlines()]
    return max((int(row[2]) for row in rows if row[0] == "echo"), default=0)


class Nothing:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Replacing:
    """Replaces `libecho.so` once a second for as long as the `with` lasts."""

    number = itertools.count()

    def __init__(self, plugins, secs):
        self.file = os.path.join(plugins, "libecho.so")
        with open(self.file, "rb") as f:
            content = f.read()
        # Written ahead of time, since writing would disturb what is measured; names with a dot are not looked at.
        self.ready = [os.path.join(plugins, f".{next(self.number)}") for _ in range(int(secs) + 2)]
        for name in self.ready:
            with open(name, "wb") as f:
                # Behind the end of an ELF file bytes mean nothing.
                f.write(content + os.path.basename(name).encode())
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.replace)

    def replace(self):
        for new in self.ready:
            if self.over.wait(1.0):
                return
            os.rename(new, self.file)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
