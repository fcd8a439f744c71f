"""Judges the findings of testssl.sh at a proxy, beside those at another server: judge.py PROXY.json REFERENCE.json

Example: tests/suites/testssl/judge.py serin.json nginx.json

SPDX-License-Identifier: Apache-2.0
"""
import json
import sys

SEVERITIES = ("OK", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL")
BAD = SEVERITIES.index("MEDIUM")
ENOUGH = 60     # findings of a run that came to its end
# Of certificates that live for a month and whose authority is the test's own; and of testssl's surroundings.
NOT_OURS = ("cert_expirationStatus", "cert_notAfter", "cert_revocation", "DNS_CAArecord", "engine_problem", "scanTime")
# testssl.sh hangs up before a TLS 1.3 server's tickets have come, most times, and then cannot tell whether they work.
RACY = ("sessionresumption_ticket",)


def read(path):
    """{id: (severity, finding)}, the worst of each id; empty ids of testssl's own slips are left out."""
    worst = {}
    with open(path, encoding="utf-8") as f:
        for item in json.load(f):
            name, severity = item["id"].split(" ")[0], item["severity"]
            if name.startswith(NOT_OURS) or name.endswith("_"):
                continue
            if name in RACY and severity == "WARN":
                continue
            rank = SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)     # WARN, FATAL: it could not look
            if name not in worst or rank > worst[name][0]:
                worst[name] = (rank, severity, item["finding"])
    return worst


def main(proxy, reference):
    ours, theirs = read(proxy), read(reference)
    failed = 0
    for name, (rank, severity, finding) in sorted(ours.items()):
        there = theirs.get(name, (SEVERITIES.index("INFO"), "not found", ""))
        if rank >= BAD or rank > max(there[0], SEVERITIES.index("INFO")):
            failed += 1
            print(f"FAIL {severity} {name}: {finding[:160]} (the other one: {there[1]})")
    for name, (rank, severity, finding) in sorted(theirs.items()):
        if rank > ours.get(name, (0,))[0] and rank > SEVERITIES.index("INFO"):
            print(f"note: the other one has {severity} {name}: {finding[:100]}")
    for path, found in ((proxy, ours), (reference, theirs)):
        if len(found) < ENOUGH or "BEAST" not in found:
            failed += 1
            print(f"FAIL {path}: {len(found)} findings, so the run did not come to its end")
    print(f"{len(ours) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["--help"]:
        sys.exit(print(__doc__))
    sys.exit(main(*sys.argv[1:]))
