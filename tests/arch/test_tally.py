"""The last line of the tests, checked: every kind of result of both runners is counted once.

SPDX-License-Identifier: Apache-2.0
"""
import subprocess
import sys

import tally

REPORT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no"/></testcase>
<testcase classname="a" name="torn"><error message="fixture"/></testcase>
<testcase classname="a" name="later"><skipped message="needs TLS"/></testcase>
<testcase classname="ctest" name="unit/x" status="run"/>
<testcase classname="ctest" name="unit/y" status="fail"/>
<testcase classname="ctest" name="unit/z" status="disabled"/>
<testcase classname="a" name="suite"><properties><property name="cases_passed" value="20"/>
<property name="cases_skipped" value="4"/></properties></testcase>
</testsuite></testsuites>"""


def test_counts(tmp_path):
    report = tmp_path / "r.xml"
    report.write_text(REPORT)
    counts, failed, skipped = tally.tally([report, report])
    assert counts == {"passed": 2 * 23, "failed": 2 * 3, "skipped": 2 * 6}
    assert [f.split()[-1] for f in failed[:3]] == ["bad", "torn", "unit/y"]
    assert "needs TLS" in skipped[0]


def test_a_process_that_dies_is_a_failure(tmp_path):
    """Of those that run tests at once: the report tells of it, and the tests behind it are not lost."""
    (tmp_path / "test_it.py").write_text("import os\ndef test_before(): pass\ndef test_dies(): os._exit(0)\ndef test_behind(): pass\n")
    report = tmp_path / "r.xml"
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadgroup",
                           "--junitxml", report, "-o", "junit_family=xunit1", tmp_path], capture_output=True, text=True, timeout=60)
    counts, failed, _ = tally.tally([report])
    assert done.returncode == 1 and counts["passed"] == 2, done.stdout
    assert {f.split()[-1] for f in failed} == {"test_dies"}
