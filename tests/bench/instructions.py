#!/usr/bin/env python3
# Counts the instructions that serin's data plane spends on a request, and holds them against a budget.
# SPDX-License-Identifier: Apache-2.0
"""User-space instructions of a request, under callgrind, which counts and does not measure: the same build gives the same
figure on a busy machine and on an idle one. Each scenario is served twice, by FEW and by MANY requests; what a request
costs is the difference of the two divided by that of their numbers, so that start and stop do not count. Only the worker's
thread counts: the control thread works by the clock, not by requests. The requests come one after the other on one
connection, so that every one of them pays for a turn of the loop on both sides; under load several share it. Over TLS what
OpenSSL executes is counted too: the figure is that of one release of OpenSSL, which the budget names; by another nothing
is held against it."""
import argparse, glob, json, os, random, re, shutil, socket, ssl, subprocess, sys, tempfile, time
from peers import HEADERS

HERE = os.path.dirname(os.path.abspath(__file__))
BUDGET = os.path.join(HERE, 'instructions.json')
FEW, MANY = 300, 1300
FEW_HANDSHAKES, MANY_HANDSHAKES = 50, 200      # each is as dear as fifty requests
TRIES = 3               # of a count that is over the budget
SLACK = 0.03            # above the budget: the compiler's and the kernel's doing (how a body is cut into segments)
# "rep movsb" and "rep stosb" count as an instruction a byte.
COPY = {'GLIBC_TUNABLES': 'glibc.cpu.x86_rep_movsb_threshold=0x40000000:glibc.cpu.x86_rep_stosb_threshold=0x40000000'}
START_S, ANSWER_S, STOP_S = 120, 120, 60
# Callgrind makes everything fifty times slower: on a busy machine the first handshake, which it translates OpenSSL for, takes more
# than the 10 s that serin gives a client.
PATIENCE = 'timeouts: {client_header: 10m, client_idle: 10m, connect: 10m, response_header: 10m, upstream_idle: 10m}'

BROWSER = ''.join(h + '\r\n' for h in HEADERS)
COOKIE = 'Cookie: uid=%d\r\n'
SPLIT = 'versions: {v1: {endpoints: ["127.0.0.1:@v1@"]}, v2: {endpoints: ["127.0.0.1:@v2@"]}}, stable: v1, canary: v2, weight: 10%'
ALONE = 'versions: {v1: {endpoints: ["127.0.0.1:@v1@"]}}, stable: v1'


class Scenario:
    """What is asked for, and what differs in the configuration. tls: '' = none, kept = one connection, full or resumed =
    one for each request, with such a handshake."""

    def __init__(self, about, path='/b/128', headers='', body=b'', route=SPLIT, more='', log='', tls=''):
        self.about, self.path, self.headers, self.body, self.route, self.more, self.log = about, path, headers, body, route, more, log
        self.tls = tls
        self.few, self.many = (FEW, MANY) if tls in ('', 'kept') else (FEW_HANDSHAKES, MANY_HANDSHAKES)

    def request(self, n):
        headers = self.headers % n if '%d' in self.headers else self.headers
        if self.body:
            headers += f'Content-Length: {len(self.body)}\r\n'
        method = 'POST' if self.body else 'GET'
        return f'{method} {self.path} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n'.encode() + self.body


SCENARIOS = {
    'get128': Scenario('GET, 128 bytes back'),
    'hdr': Scenario('the same with the 13 headers of a browser', headers=BROWSER),
    'get10k': Scenario('GET, 10 KiB back', '/b/10240'),
    'chunk10k': Scenario('GET, 10 KiB back in chunks', '/c/10240'),
    'post10k': Scenario('POST of 10 KiB', body=b'x' * 10240),
    'alone': Scenario('get128 without a canary: the difference is what the split costs', route=ALONE),
    'cookie': Scenario('get128 with a cookie that nobody asks about', headers=COOKIE),
    'sticky': Scenario('the same, users kept by that cookie: the difference is what stickiness costs', headers=COOKIE,
                       route=SPLIT + ', sticky: {by: cookie, name: uid}'),
    'untraced': Scenario('get128 without a trace: the difference is what it costs to begin one',
                         route=SPLIT + ', headers: {trace: false}'),
    'access': Scenario('hdr with the access log: the difference is what a line costs', headers=BROWSER,
                       log=', access: combined, access_file: access.log'),
    'access_json': Scenario('the same as JSON', headers=BROWSER, log=', access: json, access_file: access.log'),
    'tls': Scenario('get128 over TLS 1.3, one connection', tls='kept'),
    'tls10k': Scenario('get10k over TLS 1.3, one connection', '/b/10240', tls='kept'),
    'hs-ec': Scenario('get128 behind a full handshake of TLS 1.3, ECDSA', tls='full'),
    'hs-res': Scenario('get128 behind a resumed handshake of TLS 1.3', tls='resumed'),
}


def free_port():
    """Below those that the kernel hands out by itself: another program's socket does not get it in the next moment."""
    for _ in range(100):
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port := random.randrange(20000, 32000)))
            except OSError:
                continue
            return port
    sys.exit('instructions: no port between 20000 and 32000 is free')


def wait_for(port, process, seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f'instructions: {process.args[0]} ended with {process.returncode} before it served')
        try:
            return socket.create_connection(('127.0.0.1', port), 1)
        except OSError:
            time.sleep(0.05)
    sys.exit(f'instructions: {process.args[0]} does not serve after {seconds} s')


def read_answer(stream):
    """Reads one response whole; ends the program where it is not a 200."""
    status = stream.readline()
    if not status.startswith(b'HTTP/1.1 200'):
        sys.exit(f'instructions: {status!r} instead of a 200')
    length, chunked = 0, False
    while (line := stream.readline()) not in (b'\r\n', b''):
        name, _, value = line.partition(b':')
        length = int(value) if name.lower() == b'content-length' else length
        chunked = chunked or name.lower() == b'transfer-encoding'
    while chunked and (length := int(stream.readline(), 16)):
        stream.read(length + 2)
    stream.read(2 if chunked else length)


def listening_port(process, words):
    """Of a serin that chose it itself and wrote it there: one that was free a moment ago may be another's by now."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        with open(words) as f:
            if found := re.search(r' listening listener=0 address=127\.0\.0\.1:(\d+)', f.read()):
                return int(found[1])
        time.sleep(0.05)
    raise OSError('it does not serve')


def worker_instructions(folder):
    """Of all threads but the first, which is the control thread: callgrind writes a file for each."""
    most = 0
    for path in glob.glob(os.path.join(folder, 'out-*')):
        with open(path) as f:
            text = f.read()
        thread = re.search(r'^thread: (\d+)', text, re.M)
        total = re.search(r'^(?:totals|summary): (\d+)', text, re.M)
        if thread and total and int(thread[1]) > 1:
            most = max(most, int(total[1]))
    if not most:
        sys.exit('instructions: callgrind has written nothing about a worker')
    return most


def connect(port):
    client = socket.create_connection(('127.0.0.1', port), ANSWER_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def ask(scenario, port, requests):
    """Sends the requests one after the other, each when the one before it was answered."""
    context, session = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), None
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    each = requests if scenario.tls in ('', 'kept') else 1
    for first in range(0, requests, each):
        client = connect(port)
        if scenario.tls:
            client = context.wrap_socket(client, server_hostname='localhost', session=session)
            if client.session_reused != (session is not None):
                sys.exit(f'instructions: a session was {"not " if session else ""}resumed')
        with client, client.makefile('rb') as stream:
            for n in range(first, first + each):
                client.sendall(scenario.request(n))
                read_answer(stream)
            session = client.session if scenario.tls == 'resumed' else None


def make_certificate(folder):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30', '-subj',
                    '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', f'{folder}/key', '-out', f'{folder}/certificate'],
                   check=True, capture_output=True)
    return f', tls: {{certificates: [{{certificate: {folder}/certificate, key: {folder}/key}}]}}'


def count(serin, scenario, ports, requests):
    """Instructions of the worker that serves so many requests."""
    with tempfile.TemporaryDirectory(prefix='serin-instructions.') as folder:
        words = os.path.join(folder, 'words')
        tls = make_certificate(folder) if scenario.tls else ''
        route = scenario.route.replace('@v1@', str(ports[0])).replace('@v2@', str(ports[1]))
        with open(os.path.join(folder, 'serin.yaml'), 'w') as f:
            f.write(f'workers: 1\nstate_dir: {folder}/state\nlisteners: [{{bind: "127.0.0.1:0"{tls}}}]\n'
                    f'admin: {{bind: "unix:{folder}/admin"}}\nlog: {{level: info{scenario.log}}}\n{PATIENCE}\n{scenario.more}\n'
                    f'routes:\n  - {{name: bench, {route}}}\n')
        os.mkdir(os.path.join(folder, 'state'))
        command = ['valgrind', '--tool=callgrind', '--separate-threads=yes', f'--callgrind-out-file={folder}/out',
                   '-q', serin, 'run', '-c', f'{folder}/serin.yaml']
        with open(words, 'w') as f:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=f, env={**os.environ, **COPY})
        failure = ''
        try:
            ask(scenario, listening_port(process, words), requests)
            process.terminate()
            process.wait(STOP_S)
        except (OSError, subprocess.TimeoutExpired) as e:
            failure = f'{e}; '
        finally:
            ended = process.poll()
            process.kill()
            process.wait()
        if failure or ended:
            with open(words) as f:
                sys.exit(f'instructions: {failure}serin {"runs" if ended is None else f"ended with {ended}"}: {f.read()}')
        return worker_instructions(folder)


def cost(serin, scenario, ports, most):
    """Instructions of one request. Where that is over most the counts are taken again: on a machine so busy that a run takes many
    times as long, the worker's clock ticks go into them. The least of each is nearest to what the requests cost."""
    few = many = sys.maxsize
    for _ in range(TRIES):
        few = min(few, count(serin, scenario, ports, scenario.few))
        many = min(many, count(serin, scenario, ports, scenario.many))
        one = round((many - few) / (scenario.many - scenario.few))
        if most is None or one <= most:
            break
    return one


def start_backends(folder):
    program = os.path.join(folder, 'backend')
    subprocess.run(['gcc', '-O2', '-o', program, os.path.join(HERE, 'backend.c')], check=True)
    ports = [free_port(), free_port()]
    process = subprocess.Popen([program, *map(str, ports)], stdout=subprocess.DEVNULL)
    wait_for(ports[1], process, START_S).close()
    return process, ports


def openssl_of(serin):
    """The release of OpenSSL that serin runs with."""
    said = subprocess.run([serin, 'version', '--json'], check=True, capture_output=True, text=True).stdout
    return json.loads(said)['libraries']['openssl']


def main():
    p = argparse.ArgumentParser(description=__doc__.split('\n\n')[0], formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog='Example: tests/bench/instructions --scen get128,hdr')
    p.add_argument('--scen', help='only these, by commas')
    p.add_argument('--list', action='store_true', help='the scenarios, and what they show')
    p.add_argument('--check', action='store_true', help=f'exit 1 where one is over its budget by more than {100 * SLACK:.0f}%%')
    p.add_argument('--write', action='store_true', help='make what was counted the budget')
    a = p.parse_args()
    names = a.scen.split(',') if a.scen else list(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            p.error(f'unknown scenario "{name}" (one of {", ".join(SCENARIOS)})')
    if a.list:
        for name in names:
            print(f'{name:10} {SCENARIOS[name].about}')
        return 0
    serin = os.environ.get('SERIN', 'serin')
    if not shutil.which('valgrind') or not shutil.which(serin):
        sys.exit(f'instructions: valgrind and {serin} are needed')
    with open(BUDGET) as f:
        budget = json.load(f)
    openssl = openssl_of(serin)
    counted, over = {'openssl': openssl} if any(SCENARIOS[n].tls for n in names) else {}, []
    with tempfile.TemporaryDirectory(prefix='serin-instructions.') as folder:
        backend, ports = start_backends(folder)
        try:
            for name in names:
                scenario = SCENARIOS[name]
                is_other = bool(scenario.tls) and openssl != budget.get('openssl')
                allowed = None if is_other else budget.get(name)
                counted[name] = cost(serin, scenario, ports, allowed * (1 + SLACK) if allowed else None)
                share = f'{counted[name] / allowed - 1:+.1%} of the budget of {allowed}' if allowed else \
                    f'not checked: OpenSSL {openssl}, the budget is of {budget.get("openssl")}' if is_other else 'no budget'
                print(f'{name:10} {counted[name]:6} instructions a request, {share}', flush=True)
                if not is_other and (not allowed or counted[name] > allowed * (1 + SLACK)):
                    over.append(name)
        finally:
            backend.kill()
            backend.wait()
    if a.write:
        if counted.get('openssl', budget.get('openssl')) != budget.get('openssl'):  # what was not counted now is of another release
            budget = {n: v for n, v in budget.items() if n in SCENARIOS and not SCENARIOS[n].tls}
        with open(BUDGET, 'w') as f:
            json.dump({**budget, **counted}, f, indent=2)
            f.write('\n')
    elif a.check and over:
        print(f'over the budget: {", ".join(over)}')
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
