"""The tables in Markdown."""

import statistics

import servers
from figures import ENOUGH_ROUNDS, GOALS, MIB, efficiency, figure_of, goal_text, judge
from scenarios import RATE


def median(values):
    return statistics.median(values) if values else None


def num(x):
    if x is None:
        return "–"
    if abs(x) >= 10000:
        return f"{x / 1000:.0f}k" if abs(x) < 1e6 else f"{x / 1e6:.2f}M"
    return f"{x:.0f}" if abs(x) >= 100 else f"{x:.3g}"


def table(title, note, rows, cols, cell, first="scenario"):
    """Rows and columns without a single figure are left out."""
    cells = {(r, c): cell(r, c) for r in rows for c in cols}
    rows = [r for r in rows if any(cells[r, c] != "–" for c in cols)]
    cols = [c for c in cols if any(cells[r, c] != "–" for r in rows)]
    if not rows:
        return
    print(f"\n### {title}\n\n{note}\n")
    print(f"| {first} | " + " | ".join(cols) + " |")
    print("|---|" + "---|" * len(cols))
    for r in rows:
        print(f"| {r} | " + " | ".join(cells[r, c] for c in cols) + " |")


def report(results, names, done, judged, idle):
    """Everything; `judged` are the servers whose goals are told, `idle` how many connections were idle."""
    rows = [s.name for s in done if s.mode in RATE]
    mode = {s.name: s.mode for s in done}
    of_mode = {m: [s.name for s in done if s.mode == m] for m in {s.mode for s in done}}

    def figure(r, c):
        f = results.figure(r, c)
        return f.text() if f else "–"

    def middle(key):
        return lambda r, c: num(median(results.values(r, c, key)))

    def ratio(r, c, of):
        v = results.ratios(r, c, of)
        return f"{median(v):.2f} ({min(v):.2f}–{max(v):.2f})" if v else "–"

    table("CPU efficiency: raw's server CPU per message / the server's",
          "1.00 = as cheap as raw. Median over the rounds of the ratio inside each round [bootstrap interval, 95 %]. "
          "The figure to trust on a shared machine.", rows, names,
          lambda r, c: text_of(results.ratios(r, c, efficiency)))
    goals(results, names, done, judged)
    table("Rate relative to raw (wall clock)",
          "Median (min–max) over rounds. Where raw or the client is bound by the client's core, this flatters. Where "
          "there is a schedule it is the rate that half load was.", rows, names,
          lambda r, c: ratio(r, c, lambda d: d[RATE[mode[r]]]))
    table("Rate, median", "msgs/s, handshakes/s, connections/s, deliveries/s or requests/s. Not stable on a shared machine.",
          rows, names, lambda r, c: num(median(results.values(r, c, RATE[mode[r]]))))
    table("Server CPU per message, median, µs", "All threads, user and system; of handshakes and churn per connection.",
          rows, names, middle("server_us_per_msg"))
    latencies(results, names, rows, mode)
    table("CPU of the core used: server % / client %", "A server well under 100 % with a client near 100 % "
          "means the client was the limit; both well under 100 % means other load on the machine, "
          "or waiting (one connection).", rows, names,
          lambda r, c: pair(results, r, c, "server_cpu_pct", "client_cpu_pct", "{:.0f} / {:.0f}"))
    table("Context takeover agreed on", "Whose messages may refer to earlier ones.",
          [s.name for s in done if s.kind in servers.TAKEOVER_KINDS and s.mode in RATE], names,
          lambda r, c: " ".join(sorted(set(results.values(r, c, "takeover")))) or "–")
    for r in of_mode.get("idle", []):
        memory(results, names, r, idle)
    churn(results, names, of_mode.get("churn", []))
    burst(results, names, of_mode.get("burst", []))
    table("CPU per message of one service thread / of two", "On one core both times; 1.00 = a second one costs nothing.",
          of_mode.get("threads", []), names, figure)
    table("Instructions per message: one service thread, two", "By callgrind, in user space, within turns of the service "
          "threads; medians.", of_mode.get("instructions", []), names,
          lambda r, c: pair(results, r, c, "one_instructions", "two_instructions", "{:.0f}, {:.0f}"))
    reload(results, names, of_mode.get("reload", []))
    failed = results.failures()
    if failed:
        print("\n### Failures\n")
        for server, scenario, k, error in failed:
            print(f"- {server}, {scenario}, round {k + 1}: {error}")


def text_of(ratios):
    f = figure_of("efficiency", ratios)
    return f.text() if f else "–"


def goals(results, names, done, judged):
    """Reached or not, for each server in `judged`."""
    peers = [n for n in names if n not in servers.YARDSTICKS and n not in judged]
    rows = [s.name for s in done if s.name in GOALS]
    for name in [n for n in names if n in judged]:
        def cell(r, c, name=name):
            figure, verdict = results.figure(r, name), judge(results, r, name, peers)
            if not figure or not verdict:
                return "–"
            few = "" if figure.rounds >= ENOUGH_ROUNDS else f" ({figure.rounds} of {ENOUGH_ROUNDS} rounds)"
            return {"figure": f"{figure.what} {figure.text()}", "goal": goal_text(GOALS[r]), "against": verdict[1],
                    "verdict": ("reached" if verdict[0] else "**not reached**") + few}[c]
        table(f"Goals: {name}", "From goals.toml. Reached: the interval holds the goal or lies beyond it; to lead is to be "
              "as good as the best peer of this run.", rows, ["figure", "goal", "against", "verdict"], cell)


def pair(results, r, c, one, two, form):
    a, b = median(results.values(r, c, one)), median(results.values(r, c, two))
    return "–" if a is None or b is None else form.format(a, b)


def latencies(results, names, rows, mode):
    def cell(r, c):
        if mode[r] == "fanout":
            keys = ("last_sub_p50_us", "last_sub_p99_us")
        else:
            keys = ("p50_us", "p99_us", "p999_us")
        found = [median(results.values(r, c, k)) for k in keys]
        return "–" if None in found else " / ".join(num(x) for x in found)
    closed = [r for r in rows if mode[r] != "paced"]
    paced = [r for r in rows if mode[r] == "paced"]
    table("Latency p50 / p99 / p99.9, µs", "Round trip in a closed loop; of handshakes and churn from connect to the first "
          "echo; for fan-out (p50 / p99) until the last subscriber has the message.", closed, names, cell)
    table("Latency by schedule p50 / p99 / p99.9, µs", "From when a message was due to its reply, at half of the load that "
          "saturates the server with the same connections.", paced, names, cell)
    table("Of that, sent late by p50 / p99 / p99.9, µs", "What of the latency is the client's: how long after it was due a "
          "message was handed to the socket. Where it is near the latency itself, the machine was busy with other things.",
          paced, names,
          lambda r, c: " / ".join(num(median(results.values(r, c, f"sent_late_{q}_us"))) for q in ("p50", "p99", "p999"))
          if results.good(r, c) else "–")


def memory(results, names, scenario, idle):
    cols = {"RSS": ("rss_per_conn", 1, "{:.0f}"), "Pss": ("pss_per_conn", 1, "{:.0f}"),
            "RSS after one echo each": ("rss_per_conn_after_echo", 1, "{:.0f}"),
            "base RSS MiB": ("rss_base", MIB, "{:.1f}"), "RSS after close MiB": ("rss_after_close", MIB, "{:.1f}"),
            "idle CPU %": ("idle_cpu_pct", 1, "{:.1f}"), "opened/s": ("open_per_s", 1, "{:.0f}")}

    def cell(server, col):
        key, unit, form = cols[col]
        x = median(results.values(scenario, server, key))
        return "–" if x is None else form.format(x / unit)
    table(f"Memory, {scenario} ({idle})", "Bytes for each, medians.", names, list(cols), cell, first="server")


def churn(results, names, rows):
    def grown(r, c):
        v = [(d["rss_after"] - d["rss_before"]) / MIB for _, d in results.good(r, c) if d["rss_before"] and d["lives"]]
        return "–" if not v else f"{median(v):+.2f}"
    table("Growth of resident memory during churn, MiB", "From the beginning to the end of the window; median.",
          rows, names, grown)


def burst(results, names, rows):
    def cell(server, col):
        good = [d for r in rows for _, d in results.good(r, server)]
        if not good:
            return "–"
        before, after = median([d["rss_before"] for d in good]), median([d["rss_after"] for d in good])
        return {"before": f"{before / MIB:.1f}", "peak": f"{median([d['rss_peak'] for d in good]) / MIB:.1f}",
                "after": f"{after / MIB:.1f}",
                "within 10 % + 1 MiB": "yes" if after <= before * 1.1 + MIB else "**no**"}[col]
    table("Memory before, during and after a burst, MiB", "Resident, medians. 500 connections that stay open send 16 messages "
          "of 64 KiB each at once, and begin to read 300 ms later; after it they are silent for 10 s.",
          names if rows else [], ["before", "peak", "after", "within 10 % + 1 MiB"], cell, first="server")


def reload(results, names, rows):
    keys = {"p50": "p50_us", "p99": "p99_us", "p99.9": "p999_us", "most": "max_us", "CPU per message": "us_per_msg"}
    for name in [n for n in names if any(results.good(r, n) for r in rows)]:
        def cell(row, col, name=name):
            load, when = row.split(", ")
            key = f"{load.split()[0]}_{'quiet' if when == 'quiet' else 'replaced'}_{keys[col]}"
            return num(median([x for r in rows for x in results.values(r, name, key)]))
        table(f"A plugin replaced every second: {name}, µs", "Full load is a closed loop over 100 connections, half load has a "
              "schedule. The host opens the new file on the one core that its service thread has.",
              [f"{load} load, {when}" for load in ("full", "half") for when in ("quiet", "replaced")], list(keys), cell,
              first="")
