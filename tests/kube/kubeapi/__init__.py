"""The parts of the stand-in of a Kubernetes API server; tests use standin.py, which puts them together.

SPDX-License-Identifier: Apache-2.0
"""
