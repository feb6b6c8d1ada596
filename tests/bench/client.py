#!/usr/bin/env python3
"""What an echo client costs beside its server: CPU time of both for the same messages, in one run.

    tests/bench/client.py [--rounds N] [--sessions N] [--seconds N]

The server is `hotsocket serve` with the plugin `echo` from a file, the client `host/examples/echo_client.rs`: the library
with a linked protocol that sends back what comes. Each message is one read and one write for each of them. Both have one
service thread. The ratio is what counts, client by server; the goal is 1.1 at most.
"""

import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def target():
    told = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version", "1"],
                          cwd=ROOT, check=True, capture_output=True, text=True)
    return pathlib.Path(json.loads(told.stdout)["target_directory"]) / "release"


def cpu(pid):
    """User and system time of a process that lives, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def one_round(built, plugins, sessions, seconds):
    serve = [built / "hotsocket", "serve", "--listen", "127.0.0.1:0", "--plugins", plugins, "--threads", "1"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = server.stdout.readline().split("://", 1)[1].strip()
            before = cpu(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
            client = [built / "examples" / "echo_client", f"ws://{address}/echo", str(sessions), str(seconds)]
            done = subprocess.run(client, check=True, capture_output=True, text=True)
            after = cpu(server.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
        finally:
            server.terminate()
    messages = int(done.stdout)
    ours = (after[1].ru_utime + after[1].ru_stime) - (before[1].ru_utime + before[1].ru_stime)
    return ours / messages * 1e6, (after[0] - before[0]) / messages * 1e6


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=4)
    options = parser.parse_args()
    build = ["cargo", "build", "--release", "-p", "hotsocket", "-p", "hotsocket-echo", "--example", "echo_client", "--bins"]
    subprocess.run(build, cwd=ROOT, check=True)
    subprocess.run(["cargo", "build", "--release", "-p", "hotsocket-echo"], cwd=ROOT, check=True)
    built, ratios = target(), []
    with tempfile.TemporaryDirectory() as directory:
        (pathlib.Path(directory) / "libecho.so").write_bytes((built / "libecho.so").read_bytes())
        for _ in range(options.rounds):
            client, server = one_round(built, directory, options.sessions, options.seconds)
            ratios.append(client / server)
            print(f"client {client:.2f} µs per message, server {server:.2f}, ratio {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


main()
