"""What is measured: the scenarios, and what each asks of a server."""

import dataclasses

KI = 1024
MI = KI * KI


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    # A mode of wsload, or one of measure.py that runs wsload several times: threads, instructions, reload.
    mode: str
    # For wsload.
    args: str
    # What the server has to offer, for `--skip`; and how it is started.
    kind: str
    quick: bool = False
    secs: float = 0.0


def echo(name, size, conns, kind="plain", depth=1, more="", quick=False):
    return Scenario(name, "echo", f"--size {size} --conns {conns} --depth {depth} {more}", kind, quick)


def idle(name, kind, more="--size 20"):
    return Scenario(name, "idle", f"--conns {{idle}} {more}", kind)


SCENARIOS = [
    echo("20 B, 1 conn, depth 1", 20, 1),
    echo("20 B, 100 conns, depth 1", 20, 100, quick=True),
    echo("20 B, 100 conns, depth 16", 20, 100, depth=16, quick=True),
    echo("125 B, 100 conns, depth 16", 125, 100, depth=16),
    echo("126 B, 100 conns, depth 16", 126, 100, depth=16),
    echo("1 KiB, 100 conns, depth 4", KI, 100, depth=4),
    echo("UTF-8 text 1 KiB, 100 conns, depth 4", KI, 100, depth=4, more="--utf8"),
    echo("16 KiB, 100 conns", 16 * KI, 100, "big", quick=True),
    echo("65,535 B, 100 conns", 64 * KI - 1, 100, "big"),
    # 65,536 B.
    echo("64 KiB, 100 conns", 64 * KI, 100, "big"),
    echo("1 MiB, 10 conns", MI, 10, "big"),
    echo("upload 1 MiB, 10 conns", MI, 10, "upload", more="--upload"),
    echo("download 1 MiB, 10 conns", MI, 10, "download", more="--download"),
    echo("deflate 1 KiB JSON, 100 conns", KI, 100, "deflate", more="--deflate", quick=True),
    echo("deflate with takeover 128 B JSON, 100 conns", 128, 100, "takeover", more="--deflate --takeover"),
    echo("deflate with compressors kept 128 B JSON, 100 conns", 128, 100, "kept", more="--deflate --takeover"),
    echo("TLS 1 KiB, 100 conns", KI, 100, "tls"),
    echo("TLS 20 B, 100 conns", 20, 100, "tls"),
    echo("10,000 conns, 100 of them active", 20, 10000, more="--active 100 --spread"),
    Scenario("handshake+echo+close, 50 at once", "handshake", "--size 20 --conns 50", "plain"),
    Scenario("TLS handshake+echo+close, 50 at once", "handshake", "--size 20 --conns 50", "tls"),
    Scenario("TLS resumed+echo+close, 50 at once", "handshake", "--size 20 --conns 50 --resume", "tls"),
    Scenario("churn, 1,000 conns of 10 echoes", "churn", "--size 20 --conns 1000 --msgs 10", "plain"),
    Scenario("fan-out 1000 subs x 100 B", "fanout", "--size 100 --subs 1000 --msgs 100000", "fanout", quick=True),
    Scenario("HTTP GET 1 KiB, 50 conns", "http", "--conns 50", "http", quick=True),
    # Twice a second: of the saturated server, and of half that load.
    Scenario("latency at half load, 1,000 conns", "paced", "--size 20 --conns 1000", "plain", secs=2.0),
    idle("idle connections", "plain"),
    idle("TLS idle connections", "tls"),
    idle("deflate idle connections", "deflate", f"--size {KI} --deflate"),
    idle("deflate with takeover idle connections", "takeover", f"--size {KI} --deflate --takeover"),
    idle("deflate with compressors kept idle connections", "kept", f"--size {KI} --deflate --takeover"),
    Scenario("memory 10 s after a burst", "burst", "--size 65536 --conns 500 --depth 16 --rest 10", "plain"),
    Scenario("CPU per message of two service threads", "threads", "--size 20 --conns 100 --depth 16", "threads"),
    Scenario("instructions per message of two service threads", "instructions", "--size 20 --conns 100 --depth 16",
             "threads", secs=4.0),
    Scenario("a plugin replaced every second", "reload", "--size 20 --conns 100", "reload", secs=5.0),
]
BY_NAME = {s.name: s for s in SCENARIOS}

# Where the figure of a scenario is the CPU time that one of these takes.
RATE = {"echo": "msgs_s", "paced": "msgs_s", "http": "msgs_s", "handshake": "handshakes_s", "churn": "lives_s",
        "fanout": "deliveries_s"}
