#!/usr/bin/env python3
"""Files over HTTP: CPU per request beside nginx and Bun, memory during large downloads, and what a large download
does to an echo session on the same service thread. See README.md; run `run.py --build` first.

    BENCH_DIR=... tests/bench/files.py [--rounds 5] [--gib 1]
"""

import argparse
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import servers as peers  # noqa: E402  the peers, ports and pinning are the same

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf("SC_CLK_TCK")
SIZES = {"1 KiB": ("small.txt", 1 << 10), "1 MiB": ("mid.bin", 1 << 20), "1 GiB": ("big.bin", 1 << 30)}


def materials(gib):
    peers.materials()
    for name, (file, size) in SIZES.items():
        path = f"{peers.WORK}/www/{file}"
        size = size * gib if name == "1 GiB" else size
        if not os.path.exists(path) or os.path.getsize(path) != size:
            with open(path, "wb") as out:
                block = os.urandom(1 << 20)
                for at in range(0, size, len(block)):
                    out.write(block[: size - at])


def servers():
    js = os.path.join(HERE, "peers", "js")
    bun = os.path.join(peers.NPM, "node_modules/bun/bin/bun.exe")
    www = f"{peers.WORK}/www"
    host = (f"{ROOT}/target/release/hotsocket serve --listen 127.0.0.1:{{port}} --threads 1 "
            f"--plugins {ROOT}/target/release --www {www}")
    known = {
        "ours": host,
        "nginx": f"nginx -c {peers.WORK}/nginx-{{port}}.conf -e stderr",
        "bun": f"{bun} {js}/bun_files.mjs --port {{port}} --root {www}",
    }
    return {name: cmd for name, cmd in known.items() if os.path.exists(shlex.split(cmd)[0]) or name == "nginx"}


class Running:
    """A server on the first core."""

    def __init__(self, cmd):
        self.port = peers.free_port()
        peers.nginx_conf(self.port)
        self.process = subprocess.Popen(shlex.split(cmd.format(port=self.port)), preexec_fn=peers.pin(0),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"it did not listen: {cmd}")

    def cpu(self):
        """Seconds of user and system time."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident_kib(self):
        for line in open(f"/proc/{self.process.pid}/status"):
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def fetch(connection, file, size, buffer, pause=0.0):
    """One GET on a connection that goes on; the content is thrown away."""
    connection.sendall(f"GET /{file} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        got = connection.recv(4096)
        if not got:
            raise RuntimeError("the connection ended")
        head += got
    assert head.startswith(b"HTTP/1.1 200"), head
    left = size - (len(head) - head.index(b"\r\n\r\n") - 4)
    while left > 0:
        got = connection.recv_into(buffer, min(left, len(buffer)))
        if not got:
            raise RuntimeError("the content is too short")
        left -= got
        if pause:
            time.sleep(pause)


def cpu_per_request(cmd, file, size, count):
    with Running(cmd) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            buffer = bytearray(1 << 20)
            fetch(connection, file, size, buffer)
            before = server.cpu()
            for _ in range(count):
                fetch(connection, file, size, buffer)
            return (server.cpu() - before) / count


def cpu_table(known, rounds, gib):
    print("CPU per request, median of", rounds, "rounds (one connection, one request at a time)\n")
    print("| file | " + " | ".join(known) + " |\n|---|" + "---|" * len(known))
    for name, (file, size) in SIZES.items():
        size = size * gib if name == "1 GiB" else size
        count = {"1 KiB": 20000, "1 MiB": 1000, "1 GiB": 2}[name]
        results = {peer: [] for peer in known}
        for _ in range(rounds):
            for peer, cmd in known.items():
                results[peer].append(cpu_per_request(cmd, file, size, count))
        cells = []
        for peer in known:
            value = statistics.median(results[peer])
            ratio = statistics.median(o / v for o, v in zip(results["ours"], results[peer]))
            cells.append(f"{value * 1e6:.1f} µs ({ratio:.2f})" if value < 0.01 else f"{value * 1e3:.0f} ms ({ratio:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    print("\nIn brackets: ours divided by theirs, median of paired rounds.\n")


def memory(cmd, gib):
    with Running(cmd) as server:
        # The plugins are installed while it listens already.
        time.sleep(2)
        size = (1 << 30) * gib
        before, most, stop = server.resident_kib(), 0, threading.Event()

        def watch():
            nonlocal most
            while not stop.wait(0.02):
                most = max(most, server.resident_kib())

        watcher = threading.Thread(target=watch)
        watcher.start()

        def download():
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                fetch(connection, "big.bin", size, bytearray(1 << 20))

        downloads = [threading.Thread(target=download) for _ in range(10)]
        for each in downloads:
            each.start()
        for each in downloads:
            each.join()
        stop.set()
        watcher.join()
        after = server.resident_kib()
        print(f"Resident memory of ours in KiB: {before} before, {most} at most during ten downloads of {gib} GiB at "
              f"once, {after} after.\n", flush=True)


def echo(port, pid, secs):
    cmd = [peers.WSLOAD, "echo", "--url", f"ws://127.0.0.1:{port}/echo", "--pid", str(pid), "--size", "20",
           "--conns", "1", "--depth", "1", "--secs", str(secs), "--warmup", "0.5"]
    done = subprocess.run(cmd, capture_output=True, text=True, preexec_fn=peers.pin(1))
    return json.loads(done.stdout.strip().splitlines()[-1])


def beside(cmd, gib, cold):
    with Running(cmd) as server:
        time.sleep(2)
        alone = echo(server.port, server.process.pid, 4)
        stop = threading.Event()

        def download():
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                buffer = bytearray(1 << 20)
                while not stop.is_set():
                    if cold:
                        with open(f"{peers.WORK}/www/big.bin", "rb") as file:
                            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    try:
                        fetch(connection, "big.bin", (1 << 30) * gib, buffer)
                    except (OSError, RuntimeError):
                        # The server is gone: this was the last download.
                        return

        thread = threading.Thread(target=download, daemon=True)
        thread.start()
        time.sleep(0.3)
        with_download = echo(server.port, server.process.pid, 4)
        stop.set()
        for name, result in [("alone", alone), (f"beside a download, {'cold' if cold else 'warm'}", with_download)]:
            print(f"| {name} | {result['p50_us']} | {result['p99_us']} | {result['p999_us']} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--gib", type=int, default=1, help="size of the large file")
    options = parser.parse_args()
    os.sched_setaffinity(0, {1})
    materials(options.gib)
    known = servers()
    cpu_table(known, options.rounds, options.gib)
    memory(known["ours"], options.gib)
    print("Round trip of an echo session on the same service thread, µs\n")
    print("| | p50 | p99 | p99.9 |\n|---|---|---|---|")
    beside(known["ours"], options.gib, cold=False)
    beside(known["ours"], options.gib, cold=True)


if __name__ == "__main__":
    main()
