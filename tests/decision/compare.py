"""Serin's judge beside the reference rule and three usual ones, in simulated rollouts: one table, and whether serin is the rule.

SPDX-License-Identifier: Apache-2.0

Every scenario, world and rival is simulate.py's. Serin runs as a program (`serin judge`), one rollout after another; the
built-in rules run many rollouts at once. Each has its own random numbers, all from --seed, so that a run repeats exactly.

The test. Serin and the reference (`ev`) are the same rule in the same world, so their figures are two samples of one
distribution. Four are compared in every row, each at four standard errors (a wrong alarm once in 16 000): the share reverted
and the share promoted (two proportions, pooled with one success and one failure added, and half a rollout of the smaller sample
for continuity), and the seconds and the failed requests of every rollout (rank sums with ties: both are so skewed that a mean of
fifty is not normal enough for four sigma). Beside that the first rollouts of every row are judged again by the reference, on the
same numbers: they must end with the same verdict in the same second. And serin may revert a healthy canary in no more rollouts
than false_abort = 1 % explains at four sigma (binomial tail below 1/32 000).
"""
import argparse
import concurrent.futures
import datetime
import json
import math
import os
import sys

import numpy as np
import simulate
from scipy import stats

SIGMA = 4
TAIL = 6.3e-5                       # of a normal distribution beyond SIGMA, both sides
FALSE_ABORT = 0.01
PAIRS = 4                           # rollouts of a row that the reference judges again
RULES = ["ev", "flagger5", "argo99", "kayenta"]
TITLES = {"serin": "serin", "ev": "reference", "flagger5": "99% a minute, 5 strikes", "argo99": "99% a minute, 1 strike",
          "kayenta": "Mann-Whitney, 10 min"}
SEES_LATENCY = ("serin", "ev", "flagger5")      # flagger5 has a rule on requests above 500 ms
SEES_CLIENT_ERRORS = ("serin", "ev")

# name -> share of --reps for serin: rows of many ticks get fewer rollouts, so that the whole ends in minutes.
SCENARIOS = {
    "h0-p0.1%": 1, "h0-p1%": 1, "h0-p0.5%-50rps": .25, "h0-outage2m-30%": .5, "h0-total-outage1m": .5, "h0-drift-with-ramp": .5,
    "h0-shared-bursts": .25, "h0-lat-wave": .5, "h0-warmup-x3-30s": .5, "h0-sticky-badclients-dedupe": .25,
    "h1-1000rps-+0.5": 1, "h1-1000rps-+1": 1, "h1-1000rps-+5": 1, "h1-1000rps-+outage": 1, "h1-100rps-+1": .5, "h1-100rps-+5": 1,
    "h1-10rps-+5": .25, "h1-late200s-+5pp": .5, "h1-late200s-outage": .5, "h1-sticky-+5pp": 1,
    "h1-4xx+5pp": 1, "h1-lat-all+20%": 1, "h1-p99-x2": 1, "h1-100rps-p99-x2": .25,
}
QUICK = ["h0-p0.1%", "h0-total-outage1m", "h1-1000rps-+1", "h1-1000rps-+outage", "h1-100rps-+5", "h1-4xx+5pp", "h1-lat-all+20%"]


def scenarios(names):
    public = {s["name"]: s for s in simulate.public_scenarios()}
    missing = [n for n in names if n not in public]
    if missing:
        raise SystemExit(f"no scenario {missing[0]} (simulate.py --list names them)")
    return [public[n] for n in names]


class Reference:
    """The scalar reference in the place of a program."""

    judge = None

    def send(self, m, reply=True):
        if m["op"] == "start":
            self.judge = simulate.Judge(m["stages"], None, m["sticky"], m["tick_s"], m["baseline"])
        return self.judge.tick(m) if m["op"] == "tick" else {"ok": True}


def run_one(task):
    """One row of one rule: the outcomes of its rollouts; of serin's also where the reference ended on the same numbers."""
    rule, scenario, reps, seed, command = task
    if rule != "serin":
        return simulate.run_builtin(simulate.RULES[rule], scenario, reps, seed)
    margin = simulate.DEFAULTS["lat"]["margin"]
    program = simulate.External(command)
    try:
        result = simulate.run_external(program, scenario, reps, seed, margin)
    finally:
        program.close()
    result["paired"] = simulate.run_external(Reference(), scenario, min(PAIRS, reps), seed, margin)
    return result


def is_healthy(scenario):
    return scenario["kind"] != "h1"


def is_without_failures(scenario):
    """What is wrong with the canary is no failed request: latency or 4xx."""
    canary = scenario.get("canary", {})
    return any(k in canary for k in ("lat", "tail", "p4add"))


def is_blind(rule, scenario):
    canary = scenario.get("canary", {})
    if "p4add" in canary:
        return rule not in SEES_CLIENT_ERRORS
    return ("lat" in canary or "tail" in canary) and rule not in SEES_LATENCY


def reverted(result):
    return result["outcome"] == 2


def delays(result):
    return (result["end"] - result["onset"])[reverted(result)]


def number(x):
    return f"{x:,.0f}".replace(",", " ") if x >= 100 else f"{x:.2g}" if x < 1 else f"{x:.0f}" if x >= 10 else f"{x:.1f}"


def cell(rule, scenario, result):
    if is_healthy(scenario):
        return f"{number(100 * reverted(result).mean())}%"
    if is_blind(rule, scenario):
        return "not watched"
    missed = number(100 * (result["outcome"] == 1).mean())
    delay = number(np.median(delays(result))) + " s" if reverted(result).any() else "never"
    cost = np.median(result["creq"][reverted(result)]) if is_without_failures(scenario) and reverted(result).any() \
        else float("nan") if is_without_failures(scenario) else result["harm"].mean()
    return f"{missed}% · {delay} · {'-' if math.isnan(cost) else number(cost)}"


def table(rows, rules):
    lines = ["| scenario | " + " | ".join(TITLES[r] for r in rules) + " |", "|---|" + "---:|" * len(rules)]
    for kind, title in (("h0", "**healthy canary: false aborts**"),
                        ("h1", "**bad canary: missed · seconds to the revert (median) · failed requests (mean)**")):
        part = [row for row in rows if is_healthy(row[0]) == (kind == "h0")]
        if part:
            lines.append(f"| {title} |" + " |" * len(rules))
        for scenario, results in part:
            mark = " †" if not is_healthy(scenario) and is_without_failures(scenario) else ""
            lines.append(f"| {scenario['name'][3:]}{mark} | " + " | ".join(cell(r, scenario, results[r]) for r in rules) + " |")
    return "\n".join(lines)


def differ_share(what, name, a, b):
    n1, n2, x1, x2 = len(a), len(b), int(a.sum()), int(b.sum())
    p = (x1 + x2 + 1) / (n1 + n2 + 2)
    allowed = SIGMA * math.sqrt(p * (1 - p) * (1 / n1 + 1 / n2)) + 0.5 / min(n1, n2)
    if abs(x1 / n1 - x2 / n2) > allowed:
        return [f"{name}: {what} {100 * x1 / n1:.2f}% of {n1}, reference {100 * x2 / n2:.2f}% of {n2} (allowed: {100 * allowed:.2f} points)"]
    return []


def differ_rank(what, name, a, b):
    """Mann-Whitney: whether one sample tends to be larger, in standard errors."""
    both = np.concatenate([a, b])
    if np.ptp(both) == 0:
        return []
    ranks, n1, n2 = stats.rankdata(both), len(a), len(b)
    ties = np.unique(both, return_counts=True)[1].astype(float)
    spread = math.sqrt(n1 * n2 / 12 * (n1 + n2 + 1 - (ties ** 3 - ties).sum() / ((n1 + n2) * (n1 + n2 - 1))))
    off = (ranks[:n1].sum() - n1 * (n1 + n2 + 1) / 2) / spread
    if abs(off) <= SIGMA:
        return []
    return [f"{name}: {what} {np.median(a):.3g}, reference {np.median(b):.3g} (medians; ranks are {off:+.1f} standard errors off)"]


def differ_paired(name, result):
    """Rollouts that the reference ended otherwise, on the same numbers."""
    n = len(result["paired"]["end"])
    off = [r for r in range(n) if any(result[k][r] != result["paired"][k][r] for k in ("end", "outcome"))]
    return [f"{name}: rollout {off[0]} ends at {result['end'][off[0]]:.0f} s, by the reference on the same numbers at "
            f"{result['paired']['end'][off[0]]:.0f} s ({len(off)} of {n} differ)"] if off else []


def above_bound(name, hits):
    """More false aborts than a probability of 1 % explains."""
    n, x = len(hits), int(hits.sum())
    tail = 1 - sum(math.comb(n, i) * FALSE_ABORT ** i * (1 - FALSE_ABORT) ** (n - i) for i in range(x))
    return [f"{name}: {x} of {n} healthy canaries reverted, above the bound of {FALSE_ABORT:.0%}"] if x and tail < TAIL / 2 else []


def differences(rows):
    """Where serin is not the reference rule, one line each."""
    found = []
    for scenario, results in rows:
        name, a, b = scenario["name"], results["serin"], results["ev"]
        found += differ_share("reverted", name, reverted(a), reverted(b))
        found += differ_share("promoted", name, a["outcome"] == 1, b["outcome"] == 1)
        found += differ_rank("seconds", name, a["end"] - a["onset"], b["end"] - b["onset"])
        found += differ_rank("failed requests", name, a["harm"], b["harm"])
        found += differ_paired(name, a)
        if is_healthy(scenario):
            found += above_bound(name, reverted(a))
    return found


def simulate_all(scs, rules, reps, ref_reps, options):
    """[(scenario, {rule: outcomes})], the longest first on as many processes as there are cores."""
    tasks = [(rule, s, max(2, int(reps * SCENARIOS.get(s["name"], 1))) if rule == "serin" else ref_reps, options.seed, options.cmd)
             for s in scs for rule in rules]
    order = sorted(range(len(tasks)), key=lambda i: (tasks[i][0] != "serin", SCENARIOS.get(tasks[i][1]["name"], 1)))
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        futures = {i: pool.submit(run_one, tasks[i]) for i in order}
        rows = []
        for at, scenario in enumerate(scs):
            rows.append((scenario, {r: futures[at * len(rules) + k].result() for k, r in enumerate(rules)}))
            print(f"{scenario['name']} done", file=sys.stderr, flush=True)
    return rows


def parse(argv):
    p = argparse.ArgumentParser(prog="tests/decision/run", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="Example: tests/decision/run --reps 200 --set h0-p1%,h1-1000rps-+1")
    p.add_argument("--reps", type=int, default=100, help="rollouts of serin a scenario; long ones get a share of them (100)")
    p.add_argument("--ref-reps", type=int, default=1000, help="rollouts of the reference and the rivals (1000)")
    p.add_argument("--set", default="", help="scenarios by name, with commas between (default: all of compare.py)")
    p.add_argument("--quick", action="store_true", help="seven short scenarios, the reference only, few rollouts: within a minute")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (cores)")
    p.add_argument("--cmd", default=f"'{os.environ.get('SERIN', 'serin')}' judge", help="what speaks the protocol (SERIN judge)")
    p.add_argument("--json", metavar="FILE", help="also writes the summaries of every row, for other programs")
    return p.parse_args(argv)


def main(argv):
    o = parse(argv)
    names = o.set.split(",") if o.set else QUICK if o.quick else list(SCENARIOS)
    rules = ["serin", "ev"] if o.quick else ["serin", *RULES]
    reps, ref_reps = (min(o.reps, 20), min(o.ref_reps, 200)) if o.quick else (o.reps, o.ref_reps)
    rows = simulate_all(scenarios(names), rules, reps, ref_reps, o)
    print(f"{datetime.date.today()}, --reps {reps} --ref-reps {ref_reps} --seed {o.seed}\n")
    print(table(rows, rules))
    print("\n† no request fails here: the last figure is the canary requests served until the revert (median).\n")
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump([simulate.summarise(s, r, {k: v for k, v in res.items() if k != "paired"}) for s, results in rows for r, res in results.items()], f, indent=1)
    found = differences(rows)
    for line in found:
        print("NOT THE RULE: " + line)
    print("serin is not the reference rule." if found else f"serin agrees with the reference rule in {len(rows)} scenarios ({SIGMA} sigma).")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
