#!/usr/bin/env python3
# Prints the short table of a measurement that bench.py wrote with --json.
# SPDX-License-Identifier: Apache-2.0
"""usage: summary.py FILE.json

Example: tests/bench/run --json run.json && tests/bench/summary.py run.json

One row per scenario: requests a second, CPU per request and p99 of each peer, and serin's CPU per request as a ratio to the
better of nginx and haproxy and to the floor (the median of per-round ratios, so that a noisy neighbour hits both sides)."""
import json
import statistics
import sys

SHOWN = ['floor', 'nginx', 'haproxy', 'serin']


def cell(figures):
    if 'cpu_us' not in figures:
        return '–'
    return f"{figures['cpu_us']:.1f} / {figures['rps'] / 1000:.1f} k / {figures['p99'] / 1000:.1f}"


def ratio(samples, scenario, peer, other):
    """The median over the rounds of peer's CPU per request to the other's."""
    by_round = {p: {s['round']: s['cpu_us'] for s in samples if s['scen'] == scenario and s['peer'] == p} for p in (peer, other)}
    return statistics.median(by_round[peer][r] / by_round[other][r] for r in by_round[peer] if r in by_round[other])


def main():
    if sys.argv[1:] in (['-h'], ['--help']):
        print(__doc__)
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        run = json.load(f)
    print('| scenario (CPU µs per request / requests a second / p99 ms) | ' + ' | '.join(SHOWN) + ' | to the better peer | to the floor |')
    print('|---|' + '---|' * (len(SHOWN) + 2))
    for name, figures in run['scenarios'].items():
        if any('cpu_us' not in figures.get(p, {}) for p in SHOWN[1:]):
            continue
        floor = f"{ratio(run['samples'], name, 'serin', 'floor'):.2f}" if 'floor' in figures else '–'     # it speaks no TLS
        better = min(('nginx', 'haproxy'), key=lambda p: figures[p]['cpu_us'])
        print(f'| {name} | ' + ' | '.join(cell(figures.get(p, {})) for p in SHOWN) +
              f" | {ratio(run['samples'], name, 'serin', better):.2f} ({better}) | {floor} |")


if __name__ == '__main__':
    main()
