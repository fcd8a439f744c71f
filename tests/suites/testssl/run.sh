#!/usr/bin/env bash
# testssl.sh against the TLS side of a proxy, and of another server that it may not be worse than.
# SPDX-License-Identifier: Apache-2.0
set -u

usage() {
    cat <<'TEXT'
Usage: run.sh CA PORT REFERENCE_PORT

Looks at what listens with TLS on 127.0.0.1:PORT and on 127.0.0.1:REFERENCE_PORT, at once: protocols, ciphers, forward
secrecy, preferences, certificates, and the vulnerabilities that testssl.sh knows. CA is the PEM file of the authority
that both certificates come from. A finding of severity MEDIUM or more at PORT fails, and one that is worse than the same
one at REFERENCE_PORT. What is the test's own is left out: how long its certificates live, what a public authority adds.
LIMIT (500) seconds at most.

Ends with "N passed, N failed"; exit code 0 where nothing failed.

Example: tests/suites/testssl/run.sh ca.pem 8443 9443
TEXT
}

[ "${1:-}" != --help ] || { usage && exit 0; }
[ $# = 3 ] || { usage >&2 && exit 2; }
ca=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/testssl.XXXXXX")
started=()
finish() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
    rm -rf "$out"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

look() { # NAME PORT
    timeout "${LIMIT:-500}" testssl --quiet --color 0 --warnings off --openssl-timeout 20 --add-ca "$ca" -p -s -f -P -S -U \
        --jsonfile "$out/$1.json" "127.0.0.1:$2" >"$out/$1.txt" 2>&1 </dev/null &
    started+=($!)
}
look proxy "$2"
look reference "$3"
for pid in "${started[@]}"; do
    wait "$pid" || true # its exit code counts findings
done
started=()
python3 "$here/judge.py" "$out/proxy.json" "$out/reference.json" || { tail -n 20 "$out"/*.txt >&2 && exit 1; }
