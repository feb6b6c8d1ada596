"""From measurements to figures: for each scenario and server the median over the rounds with a bootstrap interval of
95 %, and whether the goal in goals.toml is reached.

A ratio is taken inside each round, between servers that ran within seconds of each other, and only then the median over
the rounds: what disturbs the machine for a while disturbs both sides of a pair."""

import dataclasses
import functools
import os
import random
import statistics
import tomllib

import servers
from scenarios import BY_NAME

RESAMPLES = 4000
# With fewer the interval is hardly more than the range, and so a goal is reached too easily.
ENOUGH_ROUNDS = 12
MIB = 1 << 20

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "goals.toml"), "rb") as f:
    GOALS = tomllib.load(f)


@dataclasses.dataclass
class Figure:
    """A median and its interval, over `rounds` rounds."""

    what: str
    median: float
    low: float
    high: float
    rounds: int

    def text(self):
        def number(x):
            return f"{x:.0f}" if abs(self.median) >= 20 else f"{x:.2f}"
        one = number(self.median)
        return one if self.rounds == 1 else f"{one} [{number(self.low)}, {number(self.high)}]"


@functools.lru_cache
def interval(values):
    """The middle 95 % of the medians of samples drawn from `values`, a tuple, with replacement. The same values give the
    same interval, since the draws do not differ from call to call."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def figure_of(what, values):
    if not values:
        return None
    low, high = interval(tuple(values))
    return Figure(what, statistics.median(values), low, high, len(values))


def efficiency(row):
    """What raw's is divided by: the inverse, so that more is better."""
    cost = row.get("server_us_per_msg")
    return 1 / cost if cost else None


class Results:
    """All measurements of a run: `rows[scenario, server]` is a list of (round, what wsload printed)."""

    def __init__(self):
        self.rows = {}

    def add(self, scenario, server, number, row):
        self.rows.setdefault((scenario, server), []).append((number, row))

    def good(self, scenario, server):
        return [(k, d) for k, d in self.rows.get((scenario, server), []) if d.get("ok")]

    def values(self, scenario, server, key):
        return [d[key] for _, d in self.good(scenario, server) if d.get(key) is not None]

    def ratios(self, scenario, server, of):
        """Of `of(row)` to that of raw in the same round."""
        base = {k: of(d) for k, d in self.good(scenario, "raw")}
        return [of(d) / base[k] for k, d in self.good(scenario, server) if base.get(k) and of(d)]

    def failures(self):
        return [(server, scenario, k, d.get("error")) for (scenario, server), rows in self.rows.items()
                for k, d in rows if not d.get("ok")]

    def as_json(self):
        return [{"scenario": scenario, "server": server, "round": k, **d}
                for (scenario, server), rows in self.rows.items() for k, d in rows]

    def figure(self, scenario, server):
        """The one figure of this scenario, which its goal is about."""
        mode = BY_NAME[scenario].mode
        if mode == "idle":
            return figure_of("bytes", self.values(scenario, server, "rss_per_conn_after_echo"))
        if mode == "paced":
            return figure_of("p99 µs", self.values(scenario, server, "p99_us"))
        if mode == "burst":
            return figure_of("MiB kept", [(d["rss_after"] - d["rss_before"]) / MIB for _, d in self.good(scenario, server)])
        if mode == "threads":
            return figure_of("one / two", [d["one_us_per_msg"] / d["two_us_per_msg"]
                                           for _, d in self.good(scenario, server)])
        if mode == "instructions":
            return figure_of("one / two", [d["one_instructions"] / d["two_instructions"]
                                           for _, d in self.good(scenario, server)])
        if mode == "reload":
            return figure_of("p99.9 µs added", [d["full_replaced_p999_us"] - d["full_quiet_p999_us"]
                                                for _, d in self.good(scenario, server)])
        return figure_of("efficiency", self.ratios(scenario, server, efficiency))


# Of these more is better; of the others less.
MORE = {"efficiency", "one / two"}


def goal_text(goal):
    for key, text in (("efficiency", "{:.2f}"), ("bytes", "{} B"), ("lead", "lead"), ("same", "1 − {}"),
                      ("within", "10 % + 1 MiB")):
        if key in goal:
            return text.format(goal[key])
    return ""


def best_peer(results, scenario, names, what):
    """The peer with the best median, and that; None without one."""
    found = {n: results.figure(scenario, n) for n in names}
    found = {n: f.median for n, f in found.items() if f}
    if not found:
        return None
    name = (max if what in MORE else min)(found, key=found.get)
    return name, found[name]


def judge(results, scenario, server, peers):
    """(reached or not, what was compared with) for a server; None where there is no goal or no figure."""
    goal, figure = GOALS.get(scenario), results.figure(scenario, server)
    if not goal or not figure:
        return None
    if "efficiency" in goal:
        return figure.high >= goal["efficiency"], goal.get("beat", "")
    if "bytes" in goal:
        return figure.low <= goal["bytes"], goal.get("beat", "")
    if "same" in goal:
        return figure.high >= 1 - goal["same"], "one thread"
    if "within" in goal:
        kept = [(d["rss_after"] - d["rss_before"]) <= d["rss_before"] / 10 + MIB
                for _, d in results.good(scenario, server)]
        return sum(kept) * 2 > len(kept), "before"
    best = best_peer(results, scenario, peers, figure.what)
    if not best:
        return None
    reached = figure.high >= best[1] if figure.what in MORE else figure.low <= best[1]
    return reached, f"{best[0]} {best[1]:.2f}" if best[1] < 20 else f"{best[0]} {best[1]:.0f}"


def figures_json(results, scenarios, names, judged):
    """What the tables say, for programs: a figure of each scenario and server, and the verdicts on `judged`."""
    found = []
    peers = [n for n in names if n not in servers.YARDSTICKS and n not in judged]
    for scenario in scenarios:
        for name in names:
            figure = results.figure(scenario.name, name)
            if not figure:
                continue
            row = {"scenario": scenario.name, "server": name, **dataclasses.asdict(figure)}
            verdict = judge(results, scenario.name, name, peers) if name in judged else None
            if verdict:
                row |= {"goal": goal_text(GOALS[scenario.name]), "against": verdict[1], "reached": verdict[0]}
            found.append(row)
    return found
