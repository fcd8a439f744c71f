#!/usr/bin/env python3
# Measures serin beside other HTTP reverse proxies over loopback.
# SPDX-License-Identifier: Apache-2.0
"""Side-by-side benchmark of HTTP reverse proxies over loopback: CPU cost per request, throughput, latency, memory. Examples:

    bench.py                                     the main peers, every scenario (about an hour)
    bench.py --peers floor,nginx,haproxy --scen get128,close,tls --rounds 5 --json out.json
    bench.py --cmd 'other=./other --listen @port@ --v1 @v1@ --v2 @v2@' --peers floor,nginx,serin,other
    bench.py --list                              names of peers and scenarios

A command (or a peer's config) may use @port@ (plain HTTP), @tls@ (ECDSA P-256), @rsa@ (RSA-2048), @v1@ @v2@ (backend
ports), @cert@ @key@ @rsacert@ @rsakey@ (PEM files), @both@ (certificate + key in one file; @rsaboth@), @threads@, @dir@
(scratch folder), @fds@. TLS and HTTP/2 are probed: a peer is skipped where it does not serve a scenario's protocol.
A command runs in its scratch folder: give absolute paths (the program's own may be relative).
NAME@2 runs a peer with two threads or workers. The brief for every peer: 90 % of requests to v1, 10 % to v2, backend
connections kept alive, access log off, X-Forwarded-For added.

Peers are started together and measured in turn, A B C A B C, so that a noisy neighbour hits all of them; every figure is
the median over rounds, every ratio the median of per-round ratios. CPU per request is the whole CPU time (user + kernel,
by the process CPU clock) of all processes of the proxy, divided by the requests answered.
--pin split: proxy on the last core, load and backend on core 0; same: all on the last core (the most repeatable);
none: the scheduler decides. "x floor" compares with floor.c, an L4 relay with 2 reads and 2 writes per request.
The connection counts of the memory scenarios need RLIMIT_NOFILE >= 20000. Unless --no-netns, everything runs in a fresh network namespace, so no port clashes.

Debian: apt-get install gcc libssl-dev nginx-light haproxy h2o caddy varnish wrk nghttp2-client"""
import argparse, ctypes, fcntl, glob, json, os, re, resource, shlex, shutil, signal, socket, ssl, statistics, struct, subprocess, sys, time
from peers import FDS, HEADERS, NOT_RANKED, PEERS, SCEN, V1, V2

HERE = os.path.dirname(os.path.abspath(__file__))

class R:            # what all peers share; prepare() fills it
    pass

def sh(cmd, **kw):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kw)

def procs(root):
    """root and all its descendants"""
    kids = {}
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{p}/stat') as f:
                kids.setdefault(int(f.read().rsplit(')', 1)[1].split()[1]), []).append(int(p))
        except OSError:
            pass
    out, todo = [], [root]
    while todo:
        p = todo.pop()
        out.append(p)
        todo += kids.get(p, [])
    return out

def cpu(pids):
    """(total, user, kernel) CPU seconds; the total has nanosecond resolution, the split that of the clock tick"""
    total = user = kern = 0.0
    for p in pids:
        try:
            total += time.clock_gettime((~p << 3) | 2)      # the process CPU-time clock of another process
            with open(f'/proc/{p}/stat') as f:
                w = f.read().rsplit(')', 1)[1].split()
            user, kern = user + int(w[11]) / R.hz, kern + int(w[12]) / R.hz
        except OSError:
            pass
    return total, user, kern

def command(pid):
    try:
        with open(f'/proc/{pid}/comm') as f:
            return f.read()
    except OSError:     # it has ended meanwhile
        return ''

def status_sum(pids, file, key):
    n = 0
    for p in pids:
        try:
            with open(f'/proc/{p}/{file}') as f:
                n += sum(int(l.split()[1]) for l in f if l.startswith(key))
        except OSError:
            pass
    return n

def sleeps(pids):
    """How often all threads of these processes have gone to sleep."""
    return status_sum([t for p in pids for t in glob.glob(f'{p}/task/*', root_dir='/proc')], 'status', 'voluntary')

def pss(pids):
    return status_sum(pids, 'smaps_rollup', 'Pss:')         # KiB

def get(port, path='/b/1', timeout=2.0):
    with socket.create_connection(('127.0.0.1', port), timeout) as s:
        s.sendall(f'GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'.encode())
        data = b''
        while True:
            m = re.search(rb'content-length: *(\d+)(?s:.*?)\r\n\r\n', data, re.I)
            if m and len(data) - m.end() >= int(m[1]):
                return data
            more = s.recv(65536)
            if not more:
                return data
            data += more

def alpn(port):
    """None: no TLS there; else the ALPN protocol chosen ('' if none)"""
    ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ctx.check_hostname, ctx.verify_mode = False, ssl.CERT_NONE
    ctx.set_alpn_protocols(['h2', 'http/1.1'])
    try:
        with socket.create_connection(('127.0.0.1', port), 2) as s, ctx.wrap_socket(s, server_hostname='localhost') as t:
            return t.selected_alpn_protocol() or ''
    except OSError:
        return None

def die_with_me():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)              # PR_SET_PDEATHSIG

class Peer:
    def __init__(self, name, index):
        self.name = name
        base, _, n = name.partition('@')
        self.cmd, conf, extra = PEERS[base]
        self.base, self.port, self.proc, self.pids, self.protos = base, 5000 + 10 * index, None, [], set()
        self.dir = f'{R.dir}/peer-{name}'
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir, mode=0o755)
        threads = int(n or 1)
        sub = dict(port=self.port, tls=self.port + 1, rsa=self.port + 2, v1=V1, v2=V2, threads=threads, dir=self.dir,
                   fds=FDS, tools=R.dir, defer='', tune='', maxconn=9700, reuse='reuseport' if threads > 1 else '',
                   cert=f'{R.dir}/ec.crt', key=f'{R.dir}/ec.key', both=f'{R.dir}/ec.pem',
                   rsacert=f'{R.dir}/rsa.crt', rsakey=f'{R.dir}/rsa.key', rsaboth=f'{R.dir}/rsa.pem')
        sub.update(extra)
        def fill(text):
            for _ in range(2):
                text = re.sub(r'@(\w+)@', lambda m: str(sub.get(m[1], m[0])), text)
            return text
        if conf:
            with open(f'{self.dir}/conf', 'w') as f:
                f.write(fill(conf))
        self.argv = shlex.split(fill(self.cmd)) if self.cmd else None

    def installed(self):
        return not self.argv or bool(shutil.which(next((a for a in self.argv if a != 'env' and '=' not in a), '')))

    def start(self):
        """returns the seconds from exec to the first good reply"""
        if not self.argv:
            self.port, self.protos = V1, {'h1'}
            return 0.0
        t0 = time.perf_counter()
        log = open(f'{self.dir}/out.log', 'ab')
        self.proc = subprocess.Popen(R.pin_proxy + self.argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                     cwd=self.dir, preexec_fn=die_with_me)
        log.close()
        while True:
            try:
                if get(self.port)[:12] == b'HTTP/1.1 200':
                    break
            except OSError:
                pass
            if self.proc.poll() is not None or time.perf_counter() - t0 > 20:
                self.stop()
                raise RuntimeError(f'{self.name} did not start; see {self.dir}/out.log')
            time.sleep(0.0005)
        took = time.perf_counter() - t0
        self.pids = procs(self.proc.pid)
        self.protos = {'h1'}
        for proto, port in (('tls', self.port + 1), ('rsa', self.port + 2)):
            a = alpn(port)
            if a is not None:
                self.protos |= {proto} | ({'h2'} if a == 'h2' else set())
        return took

    def stop(self):
        if not self.proc:
            return
        pids = procs(self.proc.pid)
        self.proc.terminate()
        try:
            self.proc.wait(5)
        except subprocess.TimeoutExpired:
            pass
        for p in pids:
            try:
                os.kill(p, signal.SIGKILL)
            except OSError:
                pass
        self.proc.wait()
        self.proc = None

WRK_LUA = '''
local n = os.getenv("WRK_BODY")
if n then wrk.method = "POST"; wrk.body = string.rep("x", tonumber(n)) end
done = function(s, l)
  local e = s.errors
  io.write(string.format('{"requests":%d,"secs":%.4f,"bytes":%d,"errors":%d,"non2xx":%d,"mean":%.1f,"p50":%d,"p90":%d,"p99":%d,"p999":%d}\\n',
    s.requests, s.duration / 1e6, s.bytes, e.connect + e.read + e.write + e.timeout, e.status,
    l.mean, l:percentile(50), l:percentile(90), l:percentile(99), l:percentile(99.9)))
end'''

def load(sc, port, secs):
    """one load run: dict with requests, secs, latencies in microseconds"""
    env = dict(os.environ, OPENSSL_CONF=f'{R.dir}/client.cnf')
    hdr = [x for h in sc.get('hdr', []) for x in ('-H', h)]
    if sc['tool'] == 'wrk':
        if sc.get('body'):
            env['WRK_BODY'] = str(sc['body'])
        scheme = 'http' if sc['proto'] == 'h1' else 'https'
        cmd = ['wrk', '-t1', f'-c{sc["c"]}', f'-d{secs}s', '--timeout', '5s', '-s', f'{R.dir}/wrk.lua', *hdr,
               f'{scheme}://127.0.0.1:{port}{sc["path"]}']
    elif sc['tool'] == 'lg':
        cmd = [f'{R.dir}/lg', '-c', str(sc['c']), '-t', str(secs), *sc.get('opt', []), *hdr, str(port), sc['path']]
    else:
        cmd = ['h2load', '-t1', '-c', str(sc['c']), '-m', str(sc['m']), '-D', str(secs), f'https://127.0.0.1:{port}{sc["path"]}']
    out = sh(R.pin_load + cmd, env=env, timeout=120).stdout
    if sc['tool'] != 'h2load':
        return json.loads(out[out.index('{"'):])
    m = re.search(r'requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed', out)
    mean = re.search(r'time for request: +\S+ +\S+ +([\d.]+)(us|ms|s)', out)
    unit = {'us': 1, 'ms': 1e3, 's': 1e6}
    return dict(requests=int(m[3]), secs=secs, errors=int(m[4]), non2xx=int(m[2]) - int(m[3]), mean=float(mean[1]) * unit[mean[2]] if mean else 0)

def sample(peer, sc, secs):
    port = peer.port + {'h1': 0, 'tls': 1, 'h2': 1, 'rsa': 2}[sc['proto']]
    secs = sc.get('secs', secs)
    if sc['tool'] != 'lg':      # wrk and h2load only take whole seconds
        secs = max(1, round(secs))
    if peer.proc:               # workers may have been replaced since the last sample
        peer.pids = procs(peer.proc.pid)
    stats = lambda: json.loads(get(V1, '/stats').split(b'\r\n\r\n', 1)[1])
    b0, c0, s0, k0 = stats(), cpu(peer.pids), sleeps(peer.pids), cpu(R.softirqd)
    d = load(sc, port, secs)
    k1, s1, c1, b1 = cpu(R.softirqd), sleeps(peer.pids), cpu(peer.pids), stats()
    n = max(1, d['requests'])
    seen = [b1[v]['reqs'] - b0[v]['reqs'] for v in ('v1', 'v2')]
    total = max(n, sum(seen))       # requests the proxy worked for, those of lg's warm-up included
    d.update(peer=peer.name, scen=sc['name'], rps=n / d['secs'], cpu_us=(c1[0] - c0[0]) / total * 1e6,
             usr=(c1[1] - c0[1]) / max(1e-9, c1[1] - c0[1] + c1[2] - c0[2]), util=(c1[0] - c0[0]) / d['secs'],
             sleeps=(s1 - s0) / total, softirqd_us=(k1[0] - k0[0]) / total * 1e6, pss=pss(peer.pids),
             v1=seen[0] / max(1, sum(seen)), upconns=sum(b1[v]['conns'] - b0[v]['conns'] for v in ('v1', 'v2')) / total)
    return d

def settled_pss(pids, most_s=15):
    """When it has not moved by 1% for half a second: on a busy machine clients take their time to stall."""
    end, before, now = time.monotonic() + most_s, 0, pss(pids)
    while abs(now - before) > now / 100 and time.monotonic() < end:
        time.sleep(0.5)
        before, now = now, pss(pids)
    return now

def memory(peer, sc, secs):
    peer.stop()
    peer.start()
    time.sleep(0.3)
    port = peer.port + (1 if sc['proto'] == 'tls' else 0)
    peer.pids = procs(peer.proc.pid)
    d = dict(peer=peer.name, scen=sc['name'], pss=pss(peer.pids), rss=status_sum(peer.pids, 'status', 'VmRSS'))
    for label, args in (('i1k', ['-i', '-c', '1000']), ('i9k', ['-i', '-c', '9000']), ('stall1k', ['-z', '-c', '1000'])):
        if label == 'stall1k' and sc['proto'] != 'h1':
            break
        lg = subprocess.Popen(R.pin_load + [f'{R.dir}/lg', *args, *sc.get('opt', []), str(port), '/b/1048576' if 'stall' in label else '/b/128'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_me)
        r = json.loads(lg.stdout.readline())
        n = int(args[-1])
        d[label] = (settled_pss(peer.pids) - d['pss']) / n * 1024
        d[label + '_err'] = n - r['requests']
        lg.stdin.close()
        lg.wait()
        time.sleep(0.5)
    d['after'] = pss(peer.pids)
    return d

def startup(peer, sc, secs):
    peer.stop()
    ms = peer.start() * 1e3
    time.sleep(0.2)
    path = shutil.which(next(a for a in peer.argv if a != 'env' and '=' not in a))
    return dict(peer=peer.name, scen=sc['name'], start_ms=ms, pss=pss(peer.pids), rss=status_sum(peer.pids, 'status', 'VmRSS'),
                cpu_ms=cpu(peer.pids)[0] * 1e3, binary=os.path.getsize(path), threads=status_sum(procs(peer.proc.pid), 'status', 'Threads'))

COLS = {    # table columns: key, heading, format
    'load': [('rps', 'req/s', '{:.0f}'), ('cpu_us', 'CPU us/req', '{:.2f}'), ('usr', 'user part', '{:.0%}'), ('util', 'cores used', '{:.2f}'),
             ('mbps', 'MB/s', '{:.0f}'), ('p50', 'p50 us', '{:.0f}'), ('p99', 'p99 us', '{:.0f}'), ('p999', 'p99.9 us', '{:.0f}'),
             ('+p50', 'p50 added', '{:.0f}'), ('+p99', 'p99 added', '{:.0f}'), ('+p999', 'p99.9 added', '{:.0f}'), ('mean', 'mean us', '{:.0f}'),
             ('sleeps', 'sleeps/req', '{:.2f}'), ('upconns', 'new upstream conns/req', '{:.3f}'), ('v1', 'to v1', '{:.1%}'), ('reuse', 'resumed', '{:.0%}'),
             ('pss', 'PSS KiB', '{:.0f}'), ('bad', 'errors', '{:.0f}')],
    'memory': [('pss', 'idle PSS KiB', '{:.0f}'), ('rss', 'idle RSS KiB', '{:.0f}'), ('i1k', 'B/conn at 1k idle', '{:.0f}'), ('i9k', 'B/conn at 9k idle', '{:.0f}'),
               ('stall1k', 'B/conn at 1k stalled', '{:.0f}'), ('after', 'PSS KiB afterwards', '{:.0f}'), ('bad', 'errors', '{:.0f}')],
    'start': [('start_ms', 'first reply ms', '{:.1f}'), ('cpu_ms', 'CPU ms', '{:.1f}'), ('pss', 'PSS KiB', '{:.0f}'), ('rss', 'RSS KiB', '{:.0f}'),
              ('binary', 'binary B', '{:.0f}'), ('threads', 'threads', '{:.0f}')],
}

def report(sc, samples):
    """samples: {peer: [sample of round 0, round 1, ...]} -> (markdown table, summary dict)"""
    kind = sc['tool'] if sc['tool'] in COLS else 'load'
    key = {'memory': 'i9k', 'start': 'start_ms'}.get(kind, 'cpu_us')
    for ss in samples.values():
        for s in ss:
            if sc.get('opt', [''])[-1] in ('full', 'resume'):
                s['reuse'] = s['resumed'] / max(1, s['conns'])
            s['bad'] = s.get('errors', 0) + s.get('non2xx', 0) + sum(v for k, v in s.items() if k.endswith('_err'))
            if sc['path'][1] in 'bc' and kind == 'load':
                s['mbps'] = s['rps'] * (sc.get('body') or int(sc['path'].split('/')[-1])) / 1e6
    med = lambda ss, k: statistics.median([s[k] for s in ss if s.get(k) is not None]) if any(s.get(k) is not None for s in ss) else None
    ranked = [p for p in samples if p.partition('@')[0] not in NOT_RANKED] or list(samples)
    best = min(ranked, key=lambda p: med(samples[p], key))
    by_round = {p: {s['round']: s for s in ss} for p, ss in samples.items()}
    pairs = lambda p, q: [(by_round[p][r], by_round[q][r]) for r in by_round[p] if r in by_round[q]]
    ratio = lambda p, q: statistics.median([a[key] / b[key] for a, b in pairs(p, q) if b[key]] or [0])
    if 'direct' in samples and sc['name'].startswith('lat'):
        for p in samples:
            for a, b in pairs(p, 'direct'):
                a.update({'+' + k: a[k] - b[k] for k in ('p50', 'p99', 'p999')})
    cols = [c for c in COLS[kind] if any(s.get(c[0]) is not None for ss in samples.values() for s in ss)]
    head = ['peer'] + [c[1] for c in cols] + ['min..max', f'x best ({best})'] + (['x floor'] if 'floor' in samples and kind == 'load' else [])
    rows, summary = [], {}
    for p, ss in samples.items():
        m = {c[0]: med(ss, c[0]) for c in cols}
        lo, hi = min(s[key] for s in ss), max(s[key] for s in ss)
        m.update(spread=[lo, hi], x_best=ratio(p, best), x_floor=ratio(p, 'floor') if 'floor' in samples else None)
        row = [p] + ['' if m[c[0]] is None else c[2].format(m[c[0]]) for c in cols] + [f'{lo:.4g}..{hi:.4g}']
        rows.append(row + ['' if p == 'direct' else f'{m["x_best"]:.2f}'] + (['' if p == 'direct' else f'{m["x_floor"]:.2f}'] if head[-1] == 'x floor' else []))
        summary[p] = m
    w = [max(len(r[i]) for r in [head] + rows) for i in range(len(head))]
    line = lambda r: '| ' + ' | '.join(c.ljust(n) if i == 0 else c.rjust(n) for i, (c, n) in enumerate(zip(r, w))) + ' |'
    table = [f'### {sc["name"]}: {sc["what"]}', '', line(head), '|' + '|'.join('-' * (n + 2) for n in w) + '|'] + [line(r) for r in rows] + ['']
    return '\n'.join(table), summary

def prepare(a):
    """build the C tools, certificates, client settings; choose cores"""
    os.makedirs(R.dir, exist_ok=True)
    for src, libs in (('backend', []), ('floor', []), ('lg', ['-lssl', '-lcrypto', '-lm'])):
        s, b = f'{HERE}/{src}.c', f'{R.dir}/{src}'
        if not os.path.exists(b) or os.path.getmtime(b) < os.path.getmtime(s):
            subprocess.run(['cc', '-O2', '-o', b, s, *libs], check=True)
    os.chmod(R.dir, 0o755)
    for n, alg in (('ec', ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']), ('rsa', ['-newkey', 'rsa:2048'])):
        if not os.path.exists(f'{R.dir}/{n}.pem'):
            sh(['openssl', 'req', '-x509', *alg, '-nodes', '-days', '3650', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
                '-keyout', f'{R.dir}/{n}.key', '-out', f'{R.dir}/{n}.crt'], check=True)
            with open(f'{R.dir}/{n}.pem', 'w') as f:
                f.write(open(f'{R.dir}/{n}.crt').read() + open(f'{R.dir}/{n}.key').read())
    with open(f'{R.dir}/wrk.lua', 'w') as f:
        f.write(WRK_LUA)
    with open(f'{R.dir}/client.cnf', 'w') as f:     # the same cipher for every peer
        f.write('openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\nMinProtocol = TLSv1.3\n'
                'Ciphersuites = TLS_AES_128_GCM_SHA256\nGroups = X25519:P-256\n')
    cores = sorted(os.sched_getaffinity(0))
    one, last = ['taskset', '-c', str(cores[0])], ['taskset', '-c', str(cores[-1])]
    R.pin_load, R.pin_proxy = {'split': (one, last), 'same': (last, last), 'none': ([], [])}[a.pin]
    R.hz = os.sysconf('SC_CLK_TCK')
    R.softirqd = [int(p) for p in os.listdir('/proc') if p.isdigit() and command(p).startswith('ksoftirqd/')]

def enter_netns():
    """continue in a new network namespace with lo up, wide port range, no BBR pacing"""
    if os.environ.get('BENCH_NETNS') != '1':
        if os.geteuid() == 0 and shutil.which('unshare'):
            os.environ['BENCH_NETNS'] = '1'
            os.execvp('unshare', ['unshare', '-n', sys.executable, os.path.abspath(__file__), *sys.argv[1:]])
        return 'no namespace'
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack('16sh', b'lo', 0x1 | 0x40))      # SIOCSIFFLAGS: UP | RUNNING
    got = {}
    for key, values in (('ipv4/ip_local_port_range', ['12000 65535']), ('ipv4/tcp_tw_reuse', ['1']), ('core/somaxconn', ['65535']),
                        ('ipv4/tcp_max_syn_backlog', ['65535']), ('ipv4/tcp_congestion_control', ['cubic', 'reno'])):
        for v in values:
            try:
                with open(f'/proc/sys/net/{key}', 'w') as f:
                    f.write(v)
                break
            except OSError:
                pass
        got[key] = open(f'/proc/sys/net/{key}').read().strip()
    return f'network namespace, {got}'

def main():
    global FDS
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--peers', default='floor,nginx,haproxy,serin', help='comma-separated, or all')
    ap.add_argument('--scen', default='all', help='comma-separated scenario names, or all')
    ap.add_argument('--cmd', action='append', default=[], metavar='NAME=COMMAND', help='add a peer')
    ap.add_argument('--rounds', type=int, default=5)
    ap.add_argument('--secs', type=float, default=1.0, help='seconds of load per sample (whole seconds for wrk and h2load)')
    ap.add_argument('--pin', choices=['split', 'same', 'none'], default='split')
    ap.add_argument('--json', help='write all samples and the summary there')
    ap.add_argument('--dir', default=f'{HERE}/../../build/bench', help='scratch folder')
    ap.add_argument('--nice', type=int, default=0, help='priority of everything started (also of the shell\'s autogroup)')
    ap.add_argument('--no-netns', action='store_true')
    ap.add_argument('--list', action='store_true')
    a = ap.parse_args()
    R.dir = os.path.abspath(a.dir)
    for c in a.cmd:
        name, _, command = c.partition('=')
        words = shlex.split(command)
        words = [os.path.abspath(w) if i == 0 and '/' in w else w for i, w in enumerate(words)]     # peers run in their own folder
        PEERS[name] = (shlex.join(words), '', {})
    names = list(PEERS) if a.peers == 'all' else a.peers.split(',')
    names += [n for n in (c.partition('=')[0] for c in a.cmd) if n not in names]
    scens = [s for s in SCEN if a.scen == 'all' or s['name'] in a.scen.split(',')]
    if a.list:
        print('peers:    ', ' '.join(PEERS), '\nscenarios:', *[f'\n  {s["name"]:11} {s["what"]}' for s in SCEN])
        return
    net = 'host network' if a.no_netns else enter_netns()
    if a.nice:
        os.setpriority(os.PRIO_PROCESS, 0, a.nice)
        if os.path.exists('/proc/self/autogroup'):
            os.getsid(0) == os.getpid() or os.fork() and sys.exit(os.wait()[1] >> 8) or os.setsid()
            with open('/proc/self/autogroup', 'w') as f:
                f.write(str(a.nice))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    FDS = hard
    prepare(a)
    backend = subprocess.Popen(R.pin_load + [f'{R.dir}/backend', str(V1), str(V2)], preexec_fn=die_with_me)
    peers, results, t0 = [], [], time.time()
    try:
        for i, n in enumerate(names):
            p = Peer(n, i)
            if not p.installed():
                print(f'# {n}: not installed, skipped', flush=True)
                continue
            try:
                p.start()
                peers.append(p)
            except RuntimeError as e:
                print(f'# {e}', flush=True)
        print(f'# {time.strftime("%F %T")} pin={a.pin} rounds={a.rounds} secs={a.secs} {net}', flush=True)
        out = dict(args=vars(a), uname=' '.join(os.uname()), scenarios={})
        for sc in scens:
            run = {'memory': memory, 'start': startup}.get(sc['tool'], sample)
            able = [p for p in peers if sc['proto'] in p.protos and (p.argv or run is sample)]
            samples = {p.name: [] for p in able}
            rounds = min(a.rounds, 3) if sc["tool"] == "memory" else a.rounds
            for r in range(-1 if run is sample and sc['c'] < 1000 else 0, rounds):     # round -1 warms up
                for p in able:
                    try:
                        if sc['c'] > 1000:      # one at a time: idle upstream pools of 9000 would use up the backend's descriptors
                            p.stop()
                            p.start()
                        s = run(p, sc, 1 if r < 0 else a.secs)
                        if sc['c'] > 1000 or run is memory:
                            p.stop()
                            p.start()
                    except Exception as e:      # a peer that fails a scenario must not end the run
                        print(f'# {p.name} {sc["name"]}: {type(e).__name__}: {e}', flush=True)
                        continue
                    if r >= 0:
                        s['round'] = r
                        samples[p.name].append(s)
                        results.append(s)
            samples = {p: s for p, s in samples.items() if s}
            if samples:
                table, out['scenarios'][sc['name']] = report(sc, samples)
                print(table, flush=True)
            if a.json:
                with open(a.json, 'w') as f:
                    json.dump(dict(out, samples=results), f)
        print(f'# done in {time.time() - t0:.0f} s', flush=True)
    finally:
        for p in peers:
            p.stop()
        backend.kill()
        backend.wait()

if __name__ == '__main__':
    main()
