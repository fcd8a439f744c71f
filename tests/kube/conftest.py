"""Fixtures of the Kubernetes tests.

SPDX-License-Identifier: Apache-2.0
"""
import pytest

from recorded import Client
from standin import StandIn


@pytest.fixture
def standin():
    """A stand-in without TLS where everything is allowed."""
    with StandIn() as one:
        yield one


@pytest.fixture
def client(standin):
    return Client(standin)
