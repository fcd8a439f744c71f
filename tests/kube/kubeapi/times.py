"""Times as objects carry them.

SPDX-License-Identifier: Apache-2.0
"""
from datetime import datetime, timedelta, timezone


def now(after_s=0):
    """Whole seconds, UTC: 2026-11-23T06:11:40Z."""
    return (datetime.now(timezone.utc) + timedelta(seconds=after_s)).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def http_date():
    return datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
