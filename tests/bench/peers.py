"""What is compared: the peers with their configurations, and the scenarios."""
# SPDX-License-Identifier: Apache-2.0
import os

SERIN = os.environ.get('SERIN', 'serin')
V1, V2, FDS = 9001, 9002, 0
HEADERS = [  # what a browser sends: about 850 bytes
    'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
    'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
    'Accept-Language: en-US,en;q=0.5', 'Accept-Encoding: gzip, deflate, br, zstd', 'Referer: http://localhost/some/page/index.html?q=1',
    'Cookie: session=0123456789abcdef0123456789abcdef; theme=dark; lang=en; tracking=' + 'a' * 180,
    'Upgrade-Insecure-Requests: 1', 'Sec-Fetch-Dest: document', 'Sec-Fetch-Mode: navigate', 'Sec-Fetch-Site: same-origin',
    'Sec-Fetch-User: ?1', 'Cache-Control: max-age=0', 'Authorization: Bearer ' + 'b' * 60]

NGINX = '''
user root; worker_processes @threads@; worker_rlimit_nofile @fds@; daemon off; pid @dir@/pid; error_log @dir@/err.log crit;
events { worker_connections 19500; }
http {
  access_log @log@; keepalive_requests 1000000000; keepalive_timeout 600s; server_tokens off;
  client_body_temp_path @dir@/b; proxy_temp_path @dir@/p; fastcgi_temp_path @dir@/f; uwsgi_temp_path @dir@/u; scgi_temp_path @dir@/s;
  split_clients "$connection.$connection_requests" $pool { 90% v1; * v2; }
  upstream v1 { server 127.0.0.1:@v1@; keepalive 10000; keepalive_requests 1000000000; keepalive_timeout 600s; }
  upstream v2 { server 127.0.0.1:@v2@; keepalive 2000; keepalive_requests 1000000000; keepalive_timeout 600s; }
  ssl_session_cache shared:s:10m; ssl_protocols TLSv1.2 TLSv1.3; client_max_body_size 0; http2_max_concurrent_streams 128;
  proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_request_buffering off; proxy_max_temp_file_size 0; proxy_read_timeout 600s; @buffers@
  server { listen 127.0.0.1:@port@ backlog=65535 @reuse@ @defer@; listen 127.0.0.1:@tls@ ssl http2 backlog=65535 @reuse@ @defer@;
    ssl_certificate @cert@; ssl_certificate_key @key@; location / { proxy_pass http://$pool; } }
  server { listen 127.0.0.1:@rsa@ ssl http2 backlog=65535 @reuse@ @defer@;
    ssl_certificate @rsacert@; ssl_certificate_key @rsakey@; location / { proxy_pass http://$pool; } }
}'''
HAPROXY = '''
global
  nbthread @threads@
  maxconn @maxconn@
  ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.h2.max-concurrent-streams 128
  tune.pool-high-fd-ratio 99
  tune.pool-low-fd-ratio 95
@tune@defaults
  mode @mode@
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  http-reuse always
  @fwd@
frontend f
  bind 127.0.0.1:@port@ backlog 65535 @defer@
  bind 127.0.0.1:@tls@ backlog 65535 @defer@ ssl crt @both@ alpn h2,http/1.1
  bind 127.0.0.1:@rsa@ backlog 65535 @defer@ ssl crt @rsaboth@ alpn h2,http/1.1
  default_backend b
backend b
  balance roundrobin
  server v1 127.0.0.1:@v1@ weight 90 pool-purge-delay 600s
  server v2 127.0.0.1:@v2@ weight 10 pool-purge-delay 600s
'''
H2O = '''
num-threads: @threads@
max-connections: 9800
user: root
pid-file: @dir@/pid
error-log: @dir@/err.log
http1-request-timeout: 600
http2-max-concurrent-requests-per-connection: 128
http2-idle-timeout: 600
limit-request-body: 1073741824
listen: {host: 127.0.0.1, port: @port@}
listen: {host: 127.0.0.1, port: @tls@, ssl: {certificate-file: @cert@, key-file: @key@, neverbleed: OFF, ocsp-update-interval: 0}}
listen: {host: 127.0.0.1, port: @rsa@, ssl: {certificate-file: @rsacert@, key-file: @rsakey@, neverbleed: OFF, ocsp-update-interval: 0}}
hosts:
  default:
    paths:
      "/": {proxy.reverse.url: "http://127.0.0.1:@v1@/", proxy.preserve-host: ON, proxy.timeout.keepalive: 600000, proxy.timeout.io: 600000}
'''
CADDY = '''
{
  admin off
  auto_https off
  log {
    level ERROR
  }
}
(proxy) {
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v1@ 127.0.0.1:@v2@ {
    lb_policy round_robin
    transport http {
      keepalive 10m
      keepalive_idle_conns_per_host 10000
      compression off
    }
  }
}
http://:@port@ {
  import proxy
}
https://:@tls@ {
  tls @cert@ @key@
  import proxy
}
https://:@rsa@ {
  tls @rsacert@ @rsakey@
  import proxy
}
'''
VCL = '''
vcl 4.1;
import directors;
backend v1 { .host = "127.0.0.1"; .port = "@v1@"; }
backend v2 { .host = "127.0.0.1"; .port = "@v2@"; }
sub vcl_init { new d = directors.random(); d.add_backend(v1, 9.0); d.add_backend(v2, 1.0); }
sub vcl_recv { set req.backend_hint = d.backend(); return (pass); }
'''
SERIN_YAML = '''
workers: @threads@
state_dir: @dir@
listeners:
  - bind: 127.0.0.1:@port@
  - {bind: "127.0.0.1:@tls@", tls: {certificates: [{certificate: @cert@, key: @key@}]}}
  - {bind: "127.0.0.1:@rsa@", tls: {certificates: [{certificate: @rsacert@, key: @rsakey@}]}}
admin: {bind: "unix:@dir@/admin"}
timeouts: {client_idle: 10m, upstream_idle: 10m}
routes:
  - name: bench
    versions:
      v1: {endpoints: ["127.0.0.1:@v1@"]}
      v2: {endpoints: ["127.0.0.1:@v2@"]}
    stable: v1
    canary: v2
    weight: 10%
'''
BIG = 'proxy_buffer_size 32k; proxy_buffers 8 32k; proxy_busy_buffers_size 64k;'
HAFWD = 'option forwardfor\n  option http-no-delay'
HASPL = '\n  option splice-request\n  option splice-response'
FLOOR = '@tools@/floor -p @port@ -u @v1@:90,@v2@:10 '
PEERS = {  # name: (command, config text, extra substitutions); a config is written to @dir@/conf; L4 peers relay connections
    'direct': (None, '', {}),
    'serin': (SERIN + ' run -c @dir@/conf', SERIN_YAML, {}),
    'floor': (FLOOR, '', {}),
    'floor-splice': (FLOOR + '-m splice', '', {}),
    'nginx': ('nginx -c @dir@/conf -p @dir@', NGINX, {'log': 'off', 'buffers': ''}),
    'nginx-log': ('nginx -c @dir@/conf -p @dir@', NGINX, {'log': '@dir@/access.log', 'buffers': ''}),
    'nginx-big': ('nginx -c @dir@/conf -p @dir@', NGINX, {'log': 'off', 'buffers': BIG}),
    'nginx-defer': ('nginx -c @dir@/conf -p @dir@', NGINX, {'log': 'off', 'buffers': BIG, 'defer': 'deferred'}),
    'haproxy': ('haproxy -db -f @dir@/conf', HAPROXY, {'mode': 'http', 'fwd': HAFWD}),
    'haproxy-big': ('haproxy -db -f @dir@/conf', HAPROXY, {'mode': 'http', 'fwd': HAFWD + HASPL, 'maxconn': 4000, 'tune': '  tune.bufsize 131072\n  tune.pipesize 1048576\n'}),
    'haproxy-splice': ('haproxy -db -f @dir@/conf', HAPROXY, {'mode': 'http', 'fwd': HAFWD + HASPL, 'maxconn': 4000, 'tune': '  tune.pipesize 1048576\n'}),
    'haproxy-defer': ('haproxy -db -f @dir@/conf', HAPROXY, {'mode': 'http', 'fwd': HAFWD, 'defer': 'defer-accept'}),
    'haproxy-l4': ('haproxy -db -f @dir@/conf', HAPROXY.split('  bind 127.0.0.1:@tls@')[0] + '  default_backend' +
                   HAPROXY.split('  default_backend')[1], {'mode': 'tcp', 'fwd': ''}),
    'h2o': ('h2o -m worker -c @dir@/conf', H2O, {}),
    'caddy': ('env GOMAXPROCS=@threads@ HOME=@dir@ caddy run --adapter caddyfile --config @dir@/conf', CADDY, {}),
    'varnish': ('varnishd -F -n @dir@/v -a 127.0.0.1:@port@ -f @dir@/conf -s malloc,64m -p thread_pools=@threads@ '
                '-p thread_pool_min=100 -p thread_pool_max=2000 -p timeout_idle=600 -p listen_depth=65535', VCL, {}),
}
NOT_RANKED = {'direct', 'floor', 'floor-splice', 'haproxy-l4'}   # no HTTP in them: never "the best peer"

def scen(name, what, tool, path, c=64, proto='h1', **kw):
    return dict(name=name, what=what, tool=tool, path=path, c=c, proto=proto, **kw)

SCEN = [
    scen('get128', 'keep-alive GET 128 B, 64 conns', 'wrk', '/b/128'),
    scen('get128-32', 'keep-alive GET 128 B, 32 conns', 'wrk', '/b/128', 32),
    scen('hdr', 'keep-alive GET 128 B, 13 browser headers (850 B), 64 conns', 'wrk', '/b/128', hdr=HEADERS),
    scen('get1k', 'keep-alive GET 1 KiB', 'wrk', '/b/1024'),
    scen('get10k', 'keep-alive GET 10 KiB', 'wrk', '/b/10240'),
    scen('get100k', 'keep-alive GET 100 KiB, 32 conns', 'wrk', '/b/102400', 32),
    scen('get1m', 'keep-alive GET 1 MiB, 16 conns', 'wrk', '/b/1048576', 16),
    scen('chunk10k', 'keep-alive GET 10 KiB chunked', 'wrk', '/c/10240'),
    scen('close', 'a connection per request, 128 B', 'lg', '/b/128', opt=['-k']),
    scen('one', 'keep-alive GET 128 B, 1 conn (no batching)', 'wrk', '/b/128', 1),
    scen('post10k', 'keep-alive POST 10 KiB', 'wrk', '/b/128', body=10240),
    scen('up1m', 'keep-alive POST 1 MiB, 16 conns', 'wrk', '/b/128', 16, body=1 << 20),
    scen('tls', 'TLS 1.3 ECDSA keep-alive GET 128 B', 'wrk', '/b/128', proto='tls'),
    scen('tls100k', 'TLS 1.3 keep-alive GET 100 KiB, 32 conns', 'wrk', '/b/102400', 32, 'tls'),
    scen('hs-ec', 'full TLS 1.3 handshake ECDSA P-256 + GET', 'lg', '/b/128', 32, 'tls', opt=['-s', 'full']),
    scen('hs-rsa', 'full TLS 1.3 handshake RSA-2048 + GET', 'lg', '/b/128', 32, 'rsa', opt=['-s', 'full']),
    scen('hs-res', 'resumed TLS 1.3 handshake + GET', 'lg', '/b/128', 32, 'tls', opt=['-s', 'resume']),
    scen('h2', 'HTTP/2 over TLS, 10 conns x 100 streams, 128 B', 'h2load', '/b/128', 10, 'h2', m=100),
    scen('h2x1', 'HTTP/2 over TLS, 64 conns x 1 stream, 128 B', 'h2load', '/b/128', 64, 'h2', m=1),
    scen('h2-100k', 'HTTP/2 over TLS, 10 conns x 4 streams, 100 KiB', 'h2load', '/b/102400', 10, 'h2', m=4),
    scen('lat2k', 'latency at 2000 req/s open loop, 64 conns', 'lg', '/b/128', 64, opt=['-r', '2000']),
    scen('lat10k', 'latency at 10000 req/s open loop, 64 conns', 'lg', '/b/128', 64, opt=['-r', '10000']),
    scen('lat2k-tls', 'the same at 2000 req/s over TLS', 'lg', '/b/128', 64, 'tls', opt=['-s', 'ka', '-r', '2000']),
    scen('get128-5k', 'keep-alive GET 128 B, 5000 conns, connection set-up included', 'wrk', '/b/128', 5000, secs=4),
    scen('active8k', '8000 requests in flight (1 s backend delay), connection set-up included', 'lg', '/d/1000/1024', 8000, secs=3, opt=['-w', '2']),
    scen('memory', 'PSS: idle, 1k and 9k idle keep-alive conns, 1k clients stalled on 1 MiB', 'memory', '/b/128'),
    scen('memory-tls', 'PSS: idle, 1k and 9k idle keep-alive TLS conns', 'memory', '/b/128', proto='tls', opt=['-s', 'ka']),
    scen('start', 'from exec to the first reply', 'start', '/b/128'),
]
