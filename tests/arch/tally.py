"""Adds up the JUnit reports of all runners and prints "N passed, N failed, N skipped" as the last line.

A test may stand for many cases of a suite: properties cases_passed, cases_failed and cases_skipped of a test case count too.
SPDX-License-Identifier: Apache-2.0
"""
import argparse
import sys
import xml.etree.ElementTree as xml


def tally(paths):
    """(counts of passed, failed and skipped; names of the failed ones, and skipped ones with their reason)."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failed, skipped = [], []
    for path in paths:
        for case in xml.parse(path).iter("testcase"):
            name = f"{case.get('classname', '')} {case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
                counts["failed"] += 1
                failed.append(name)
            elif case.find("skipped") is not None or case.get("status") in ("disabled", "notrun"):
                counts["skipped"] += 1
                reason = case.find("skipped")
                skipped.append(f"{name}: {reason.get('message', '') if reason is not None else ''}")
            else:
                counts["passed"] += 1
            for p in case.iter("property"):
                if (p.get("name") or "").startswith("cases_"):
                    counts[p.get("name")[len("cases_"):]] += int(p.get("value"))
    return counts, failed, skipped


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                 epilog="Example: tests/arch/tally.py --broken 1 unit.xml e2e.xml")
    ap.add_argument("--broken", type=int, default=0, help="failures outside any test, a build for example")
    ap.add_argument("reports", nargs="*")
    a = ap.parse_args()
    counts, failed, skipped = tally([r for r in a.reports if not r.endswith("*.xml")])
    counts["failed"] += a.broken
    for name in skipped:
        print(f"skipped: {name}")
    for name in failed:
        print(f"FAILED: {name}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
