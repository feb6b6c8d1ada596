"""What run.py concludes from measurements: `python3 -m unittest discover -b tests/bench`."""

import json
import tempfile
import types
import unittest

import figures
import run
from scenarios import BY_NAME, SCENARIOS

DEPTH_1 = "20 B, 100 conns, depth 1"
SMALL_TLS = "TLS 20 B, 100 conns"


def results(scenario, **costs):
    """Each server with the CPU time of its rounds."""
    made = figures.Results()
    for server, rounds in costs.items():
        for k, cost in enumerate(rounds):
            made.add(scenario, server, k, {"ok": True, "server_us_per_msg": cost})
    return made


class Figures(unittest.TestCase):
    def test_a_ratio_is_taken_inside_a_round(self):
        # The machine is slower by and by, for both.
        found = results(DEPTH_1, raw=[1.0, 2.0, 4.0], ours=[2.0, 4.0, 8.0]).figure(DEPTH_1, "ours")
        self.assertEqual((found.median, found.low, found.high, found.rounds), (0.5, 0.5, 0.5, 3))

    def test_a_round_without_its_raw_does_not_count(self):
        found = results(DEPTH_1, raw=[1.0], ours=[2.0, 100.0]).figure(DEPTH_1, "ours")
        self.assertEqual((found.median, found.rounds), (0.5, 1))

    def test_an_interval_lies_around_the_median_and_inside_the_range(self):
        values = (0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 1.0, 1.5)
        low, high = figures.interval(values)
        self.assertTrue(0.90 < low < 0.955 < high < 1.5, (low, high))
        self.assertEqual((low, high), figures.interval(values))

    def test_a_goal_is_reached_when_the_interval_holds_it_or_lies_above(self):
        goal = figures.GOALS[DEPTH_1]["efficiency"]
        for ratios, reached in [((goal - 0.1,) * 12, False), ((goal - 0.1,) * 6 + (goal + 0.1,) * 6, True),
                                ((goal + 0.1,) * 12, True)]:
            made = results(DEPTH_1, raw=[1.0] * 12, ours=[1 / r for r in ratios])
            self.assertEqual(figures.judge(made, DEPTH_1, "ours", [])[0], reached, ratios)

    def test_to_lead_is_to_be_as_good_as_the_best_peer(self):
        made = results(SMALL_TLS, raw=[1.0] * 3, slow=[4.0] * 3, fast=[2.0] * 3, ours=[2.5] * 3)
        self.assertEqual(figures.judge(made, SMALL_TLS, "ours", ["slow", "fast"]), (False, "fast 0.50"))
        self.assertEqual(figures.judge(made, SMALL_TLS, "ours", ["slow"]), (True, "slow 0.25"))
        self.assertIsNone(figures.judge(made, SMALL_TLS, "ours", []))

    def test_memory_may_stay_a_tenth_and_a_mebibyte_above(self):
        name = "memory 10 s after a burst"
        for kept, within in [(2 * figures.MIB, True), (2 * figures.MIB + 1, False)]:
            made = figures.Results()
            made.add(name, "ours", 0, {"ok": True, "rss_before": 10 * figures.MIB, "rss_after": 10 * figures.MIB + kept})
            self.assertEqual(figures.judge(made, name, "ours", [])[0], within)

    def test_each_goal_is_that_of_a_scenario(self):
        self.assertEqual([name for name in figures.GOALS if name not in BY_NAME], [])
        self.assertEqual(len(BY_NAME), len(SCENARIOS))

    def test_rounds_of_several_runs_are_put_together(self):
        with tempfile.TemporaryDirectory() as place:
            rows = [{"scenario": DEPTH_1, "server": s, "round": 0, "ok": True, "server_us_per_msg": c,
                     "msgs_s": 1.0, "p50_us": 1.0, "p99_us": 1.0} for s, c in (("raw", 1.0), ("ours", 2.0))]
            old, new, out = f"{place}/old.json", f"{place}/new.json", f"{place}/out.json"
            with open(old, "w") as f:
                json.dump(rows, f)
            with open(new, "w") as f:
                json.dump({"judged": ["ours"], "figures": [], "rows": rows}, f)
            run.merge(types.SimpleNamespace(merge=[old, new], judge=None, out=out, idle=1))
            with open(out) as f:
                found = {f["server"]: f for f in json.load(f)["figures"]}
        self.assertEqual((found["ours"]["median"], found["ours"]["rounds"]), (0.5, 2))
        self.assertFalse(found["ours"]["reached"])


if __name__ == "__main__":
    unittest.main()
