"""The last line of the tests, checked: every kind of result of both runners is counted once.

SPDX-License-Identifier: Apache-2.0
"""
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
