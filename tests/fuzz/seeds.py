#!/usr/bin/env python3
"""Writes the cases of fixtures/http1 as seeds for a fuzzer: seeds.py head|peer|body FOLDER

Example: tests/fuzz/seeds.py head /tmp/seeds

SPDX-License-Identifier: Apache-2.0
"""
import base64
import glob
import hashlib
import json
import os
import sys
import zlib

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "http1")
SEED_BYTES_MAX = 4096   # the fuzzers run with this length
IS_RESPONSE, TO_HEAD, STEP = 1, 2, 6     # what the first two bytes of an input mean


def decode(text):
    if text.startswith("t:"):
        return text[2:].encode("latin1")
    return zlib.decompress(base64.b64decode(text[2:])) if text.startswith("z:") else base64.b64decode(text)


def seed(target, case):
    """An input, or None where the case is nothing for that target."""
    is_response = "script" in case
    pieces = case["script"] if is_response else case["parts"] if "parts" in case else [[0, case["raw"]]]
    raw = b"".join(decode(piece) for _, piece in pieces)
    if target == "body":
        head, end, body = raw.partition(b"\r\n\r\n")
        return bytes([STEP]) + body if end and b"chunked" in head.lower() else None
    flags = IS_RESPONSE * is_response | TO_HEAD * (case.get("req", {}).get("method") == "HEAD")
    return bytes([flags, STEP]) + raw


def main():
    if sys.argv[1:] == ["--help"]:
        print(__doc__)
        return
    target, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    for path in glob.glob(f"{FIXTURES}/*/*.jsonl"):
        with open(path) as f:
            for line in f:
                data = seed(target, json.loads(line))
                if data and len(data) <= SEED_BYTES_MAX:
                    with open(os.path.join(folder, hashlib.sha1(data).hexdigest()), "wb") as out:
                        out.write(data)


if __name__ == "__main__":
    main()
