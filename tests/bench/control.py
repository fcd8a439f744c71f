#!/usr/bin/env python3
# Measures what the control thread costs with one route and with a thousand: a tick, a scrape, and what workers notice of them.
# SPDX-License-Identifier: Apache-2.0
"""usage: SERIN=build/release/serin tests/bench/control.py [--routes 1,1000] [--static]

Example: SERIN=build/release/serin tests/bench/control.py --routes 100

For each number of routes, all of them with a rollout under way (1%, for as long as this runs), or with a static weight of 1%:
  start    from exec to the first answer
  begun    from then until all rollouts are at their first step
  tick     CPU of the control thread a second while nobody asks it anything: it ticks every second
  scrape   time and size of GET /metrics over the admin socket, median of SCRAPES, and the CPU of the control thread for one
  worker   longest and median time of a request while it is scraped without pause, and while it is not"""
import argparse, contextlib, json, os, socket, statistics, subprocess, sys, tempfile, threading, time
from instructions import free_port, start_backends

SCRAPES, ASKED_S, QUIET_S = 10, 3.0, 10.0
SETTLED_S = 300         # at most, until all rollouts have begun and the control thread is at rest
ROLLOUT, STATIC = 'rollout: {start: auto, steps: [1%, 50%], hold: 10m}', 'weight: 1%'


def write_config(folder, port, ports, routes, split=ROLLOUT):
    with open(f'{folder}/serin.yaml', 'w') as f:
        f.write(f'workers: 1\nstate_dir: {folder}/state\nlisteners: [{{bind: "127.0.0.1:{port}"}}]\nadmin: {{bind: "unix:{folder}/admin"}}\n'
                'log: {level: error}\nroutes:\n')
        for n in range(routes):
            hosts = f'hosts: ["h{n}.test"], ' if n else ''
            f.write(f'  - {{name: r{n}, {hosts}versions: {{v1: {{endpoints: ["127.0.0.1:{ports[0]}"]}}, '
                    f'v2: {{endpoints: ["127.0.0.1:{ports[1]}"]}}}}, stable: v1, canary: v2, {split}}}\n')
    os.mkdir(f'{folder}/state')


def ask(connection, path):
    """The whole answer to a GET on a kept connection."""
    connection.sendall(f'GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n'.encode())
    data = b''
    while b'\r\n\r\n' not in data:
        data += connection.recv(1 << 20) or sys.exit('control: the connection has ended')
    head, _, body = data.partition(b'\r\n\r\n')
    if not head.startswith(b'HTTP/1.1 200'):
        sys.exit(f'control: {head[:100]!r}')
    length = next(int(line.split(b':')[1]) for line in head.split(b'\r\n') if line.lower().startswith(b'content-length'))
    while len(body) < length:
        body += connection.recv(1 << 20) or sys.exit('control: the answer is cut')
    return body


@contextlib.contextmanager
def connected(family, address):
    with socket.socket(family) as s:
        s.settimeout(30)
        s.connect(address)
        yield s


def control_ms(pid):
    """CPU that the control thread, which is the first one, has used."""
    with open(f'/proc/{pid}/task/{pid}/schedstat') as f:
        return int(f.read().split()[0]) / 1e6


def begun_s(folder):
    """Waits until every canary has its share."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLED_S:
        with connected(socket.AF_UNIX, f'{folder}/admin') as s:
            if all(r['weight']['intended'] == 1 for r in json.loads(ask(s, '/api/v1/routes'))['routes']):
                return time.monotonic() - began
        time.sleep(1)
    sys.exit('control: not all rollouts have begun')


def settle(pid):
    """Waits until the thread is at rest for the most part, and no more so than five seconds ago."""
    last, end = float('inf'), time.monotonic() + SETTLED_S
    while time.monotonic() < end:
        before = control_ms(pid)
        time.sleep(5)
        spent = control_ms(pid) - before
        if 0.9 * last < spent < 2000:
            return
        last = spent


def first_answer_ms(port, process, since):
    while True:
        try:
            with connected(socket.AF_INET, ('127.0.0.1', port)) as s:
                ask(s, '/b/1')
                return (time.perf_counter() - since) * 1e3
        except ConnectionRefusedError:
            if process.poll() is not None or time.perf_counter() - since > 60:
                sys.exit(f'control: serin does not serve ({process.poll()})')
            time.sleep(0.001)


def requests_ms(port, seconds):
    times, end = [], time.perf_counter() + seconds
    with connected(socket.AF_INET, ('127.0.0.1', port)) as s:
        while time.perf_counter() < end:
            began = time.perf_counter()
            ask(s, '/b/128')
            times.append((time.perf_counter() - began) * 1e3)
    return times


def scraped(folder, until):
    with connected(socket.AF_UNIX, f'{folder}/admin') as s:
        while not until.is_set():
            ask(s, '/metrics')


def told(times):
    return f'median {statistics.median(times):.2f} ms, longest {max(times):.1f} ms of {len(times)}'


def measure(serin, ports, routes, split):
    with tempfile.TemporaryDirectory(prefix='serin-control.') as folder:
        port = free_port()
        write_config(folder, port, ports, routes, split)
        began = time.perf_counter()
        process = subprocess.Popen([serin, 'run', '-c', f'{folder}/serin.yaml'])
        try:
            started_ms = first_answer_ms(port, process, began)
            begun = begun_s(folder)
            settle(process.pid)
            quiet = control_ms(process.pid)
            time.sleep(QUIET_S)
            tick_ms = (control_ms(process.pid) - quiet) / QUIET_S
            times, before = [], control_ms(process.pid)
            with connected(socket.AF_UNIX, f'{folder}/admin') as s:
                for _ in range(SCRAPES):
                    began = time.perf_counter()
                    page = ask(s, '/metrics')
                    times.append((time.perf_counter() - began) * 1e3)
            scrape_cpu_ms = (control_ms(process.pid) - before) / SCRAPES
            alone, end = requests_ms(port, ASKED_S), threading.Event()
            scraper = threading.Thread(target=scraped, args=(folder, end))
            scraper.start()
            meanwhile = requests_ms(port, ASKED_S)
            end.set()
            scraper.join()
        finally:
            process.terminate()
            process.wait(30)
    print(f'{routes} route{"s" if routes > 1 else ""}: start {started_ms:.0f} ms, begun {begun:.0f} s; tick {tick_ms:.2f} ms of CPU a second; scrape '
          f'{statistics.median(times):.1f} ms for {len(page) / 1024:.0f} KiB, {scrape_cpu_ms:.1f} ms of CPU\n'
          f'  a worker, not scraped: {told(alone)}\n  scraped without pause: {told(meanwhile)}', flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--routes', default='1,1000', help='how many, by commas')
    p.add_argument('--static', action='store_true', help='no rollouts: a static weight')
    a = p.parse_args()
    with tempfile.TemporaryDirectory(prefix='serin-control.') as folder:
        backend, ports = start_backends(folder)
        try:
            for routes in map(int, a.routes.split(',')):
                measure(os.path.abspath(os.environ.get('SERIN', 'serin')), ports, routes, STATIC if a.static else ROLLOUT)
        finally:
            backend.kill()
            backend.wait()


if __name__ == '__main__':
    main()
