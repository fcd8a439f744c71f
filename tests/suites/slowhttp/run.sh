#!/usr/bin/env bash
# slowhttptest in its modes against a proxy: slow header, slow body, slow reader, and a Range header of many parts.
# SPDX-License-Identifier: Apache-2.0
set -u

usage() {
    cat <<'TEXT'
Usage: run.sh PROXY_PORT BACKEND_PORT

Attacks the proxy on 127.0.0.1:PROXY_PORT in all modes at once, CONNS (200) connections each, for SECS (20) seconds. The
backend that the proxy knows as 127.0.0.1:BACKEND_PORT is started here. Of each mode two things are asked: meanwhile ten
ordinary requests are answered within six seconds each, where one that waited for a slow one would take ten; before the
end no slow connection is open any more. Of slow readers the kernel is asked: slowhttptest itself would read on for minutes
what came before the reset. The proxy's time for a head has to be well below SECS.

Ends with "N passed, N failed"; exit code 0 where nothing failed.

Example: CONNS=50 tests/suites/slowhttp/run.sh 8080 8001
TEXT
}

[ "${1:-}" != --help ] || { usage && exit 0; }
[ $# = 2 ] || { usage >&2 && exit 2; }
port=$1 proxy=http://127.0.0.1:$1 conns=${CONNS:-200} secs=${SECS:-20}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mktemp -d "${TMPDIR:-/tmp}/slowhttp.XXXXXX")
started=()
finish() {
    for pid in "${started[@]}"; do kill "$pid" 2>/dev/null; done
    rm -rf "$out"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

python3 "$here/backend.py" "$2" >"$out/backend" 2>&1 &
started+=($!)
for ((i = 0; i < 100; i++)); do
    grep -q ready "$out/backend" && break
    sleep 0.1
done
grep -q ready "$out/backend" || { cat "$out/backend" >&2 && echo "run.sh: the backend does not start" >&2 && exit 2; }

# mode, path, and what makes it slow
attack() { # NAME PATH ARGUMENT...
    local name=$1 path=$2
    shift 2
    slowhttptest -c "$conns" -r 100 -l "$secs" -p 3 -u "$proxy$path" "$@" >"$out/$name" 2>&1 &
    started+=($!)
    attacks+=($!)
    names+=("$name")
}
attacks=() names=()
attack slow-header / -H -i 4 -s 4096 -x 10
attack slow-body / -B -i 4 -s 8192 -x 10
attack slow-read /size/2000000 -X -w 10 -y 20 -n 5 -z 32 -k 3
attack range / -R -a 10 -b 3000 -t HEAD
end=$((SECONDS + secs))

late=''
for ((i = 0; i < 10; i++)); do
    sleep "$(awk "BEGIN { print $secs / 12 }")"
    answer=$(curl -s -m 8 -o /dev/null -w '%{http_code} %{time_total}' "$proxy/x")
    case $answer in "200 "[0-5].*) ;; *) late="$late [$answer]" ;; esac
done

# Connections to the proxy, in state ESTABLISHED, on the clients' side.
established() {
    awk -v port=":$(printf %04X "$port")$" '$3 ~ port && $4 == "01"' /proc/net/tcp | wc -l
}
while left=$(established) && [ "$left" != 0 ] && [ "$SECONDS" -lt $((end - 1)) ]; do sleep 0.2; done

passed=0 failed=0
verdict() { # NAME WHAT yes|no DETAIL
    if [ "$3" = yes ]; then
        passed=$((passed + 1)) && echo "ok   $1: $2"
    else
        failed=$((failed + 1)) && echo "FAIL $1: $2: $4"
    fi
}
for i in "${!names[@]}"; do
    wait "${attacks[i]}"
    status=$(sed 's/\x1b\[[0-9;]*m//g' "$out/${names[i]}" | grep -a 'Exit status' | tail -n 1)
    verdict "${names[i]}" "ten ordinary requests are answered within three seconds each" "$([ -z "$late" ] && echo yes)" "$late"
    case $status in *"No open"*) closed=yes ;; *) closed='' ;; esac
    [ "${names[i]}" != slow-read ] || [ "$left" != 0 ] || closed=yes
    verdict "${names[i]}" "no slow connection is left after $secs s" "$closed" "$status, $left left"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
