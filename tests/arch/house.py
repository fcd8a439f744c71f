"""The rules of the house as functions: each takes the root of a tree and returns its findings, one line each.

SPDX-License-Identifier: Apache-2.0
"""
import functools
import os
import re
import subprocess

FILE_LINES, FUNCTION_LINES = 500, 70
LONGER = "Longer than the house allows:"    # a comment that begins so, above a function or at a file's head, says why

# room -> the rooms it may use, besides itself. proxy > rollout > metrics > base; inside proxy
# main > control > worker > flow > upstream > route > conf, with http and wire at the bottom beside them.
DATA_PLANE = ["proxy/conf", "proxy/route", "proxy/upstream", "proxy/flow", "proxy/worker", "proxy/control"]
BOTTOM = {"base", "proxy/http", "proxy/wire"}
USES = {
    "base": set(),
    "metrics": {"base"},
    "rollout/decide": {"base"},
    "rollout/kube": {"base", "metrics", "rollout", "rollout/decide"},
    "rollout": {"base", "metrics", "rollout/decide"},
    "rollout/notify": {"base", "metrics", "rollout", "rollout/decide"},
    "rollout/cli": {"base", "metrics", "rollout", "rollout/decide", "rollout/kube"},
    "proxy/http": {"base"},
    "proxy/wire": {"base"},
}
for at, room in enumerate(DATA_PLANE):
    USES[room] = BOTTOM | set(DATA_PLANE[:at]) | ({"metrics"} if at >= 1 else set())
USES["proxy/control"] |= {"rollout", "rollout/decide", "rollout/kube", "rollout/notify"}
USES["proxy/convert"] = {"base", "proxy/conf", "rollout/decide", "rollout/kube"}
USES["proxy"] = USES["proxy/control"] | {"proxy/control", "proxy/convert", "rollout/cli"}
ALSO = {"proxy/conf": {"rollout/decide/plan.h", "rollout/decide/outside.h",
                       "rollout/zone_file.h", "rollout/notify/kinds.h"},
        "proxy/convert": {"rollout/cli/text.h"}}  # single headers

PURE = ("base", "rollout/decide", "proxy/http", "proxy/route", "proxy/convert")  # no I/O, clock, thread or global state
PURE_FILES = {"proxy/flow/pace", "rollout/kube/objects", "rollout/kube/pod", "rollout/kube/scale_plan",
              "rollout/kube/fleet_plan", "rollout/notify/kinds", "rollout/notify/message", "rollout/notify/slack",
              "rollout/notify/alerts", "rollout/notify/queue"}  # the same, in a folder that is not pure
IMPURE = re.compile(r"(event2/.*|curl/.*|openssl/.*|sys/(socket|time|epoll|stat|mman|select|un|uio)\.h|time\.h|netdb\.h"
                    r"|netinet/.*|arpa/.*|unistd\.h|fcntl\.h|poll\.h|signal\.h|pthread\.h|threads\.h)$")

UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
OUTSIDE = re.compile(r"(\.\./sha" r"red\b|(?<![\w.$}])/wo" r"rk/|(?<![\w.$}])/home/\w|(?<![\w.$}])/ro" r"ot/)")
OUTSIDE_WHY = "names a path of one machine"
TEXT = (".c", ".h", ".py", ".sh", ".md", ".yaml", ".yml", ".json", ".txt", ".cmake", ".vtc", ".scn", ".js", ".css", ".html", "")


def files(root, *endings):
    """Paths below root, as git sees them (what it ignores left out), or all of them where there is no git."""
    try:
        out = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                             capture_output=True, check=True).stdout.decode()
        paths = [p for p in out.split("\0") if p]
    except (OSError, subprocess.CalledProcessError):
        paths = [os.path.relpath(os.path.join(d, f), root) for d, _, fs in os.walk(root) for f in fs]
    return sorted(p for p in set(paths) if (not endings or p.endswith(endings)) and os.path.isfile(os.path.join(root, p)))


def text(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def is_text(path):
    return os.path.splitext(os.path.basename(path))[1] in TEXT


def room_of(path):
    """The room of a source or header; None outside the house (tests, conf)."""
    path = path[len("include/"):] if path.startswith("include/") else path
    room = os.path.dirname(path)
    while room and room not in USES:
        room = os.path.dirname(room)
    return room or None


def includes(source):
    """(line number, header, is it in angle brackets) of every include line."""
    for n, line in enumerate(source.split("\n"), 1):
        m = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
        if m:
            yield n, m[2], m[1] == "<"


def check_arrows(root):
    """A folder uses only what stands to its right."""
    found = []
    for path in files(root, ".c", ".h"):
        room = room_of(path)
        if not room:
            continue
        for n, header, angle in includes(text(root, path)):
            if angle:
                continue
            target = room_of(header)
            if not target or not os.path.isfile(os.path.join(root, "include", header)):
                found.append(f'{path}:{n}: "{header}" is no header under include/ (include lines name their layer)')
            elif target != room and target not in USES[room] and header not in ALSO.get(room, ()):
                found.append(f'{path}:{n}: {room} may not use {target} ("{header}")')
    return found


def is_pure(path):
    stem = os.path.splitext(path[len("include/"):] if path.startswith("include/") else path)[0]
    return room_of(path) in PURE or stem in PURE_FILES


def check_pure(root):
    """The pure folders and files reach no socket, clock, thread or library."""
    return [f"{path}:{n}: {room_of(path) if room_of(path) in PURE else path} is pure and may not include <{header}>"
            for path in files(root, ".c", ".h") if is_pure(path)
            for n, header, _ in includes(text(root, path)) if IMPURE.match(header)]


@functools.lru_cache(maxsize=None)   # a header is asked about by every source that includes it
def strip_c(source):
    """The source with comments, strings, characters and preprocessor lines blanked, line ends kept."""
    blank = lambda m: re.sub(r"[^\n]", " ", m[0])
    source = re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                    lambda m: blank(m) if m[0][0] == "/" else '"' + blank(m)[1:-1] + '"', source, flags=re.S)
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", blank, source, flags=re.M | re.S)


def functions(source):
    """(name, first line, last line, is static, what stands between it and the item before) of every function body."""
    code = strip_c(source)
    depth, item, body = 0, 0, None
    for m in re.finditer(r"[{};]", code):
        at, mark = m.start(), m[0]
        if mark == "{":
            if depth == 0:
                rows = list(re.finditer(r"^[A-Z][A-Z0-9_]*\(.*\)[ \t]*$", code[item:at], re.M))
                item += rows[-1].end() if rows else 0  # rows that a macro makes into functions are no part of the next one
                head = code[item:at]
                name = re.search(r"(\w+)\s*\(", head)
                is_function = name and "=" not in head.split("(")[0] and re.search(r"\)[\s\w]*$", head) \
                    and not re.search(r"\b(struct|union|enum)\s+\w*\s*$", head)
                body = (name[1], item + len(head) - len(head.lstrip()), item) if is_function else None
            depth += 1
        elif mark == "}":
            depth -= 1
            if depth == 0:
                if body:
                    name, start, before = body
                    yield (name, source.count("\n", 0, start) + 1, source.count("\n", 0, at) + 1,
                           bool(re.search(r"\bstatic\b", code[start:code.index("(", start)])), source[before:start])
                item, body = at + 1, None
        elif depth == 0:
            item = at + 1


def check_sizes(root):
    """Files to 500 lines, functions to 70, unless a comment says why not."""
    found = []
    for path in files(root, ".c", ".h", ".py"):
        source = text(root, path)
        lines = source.count("\n")
        if lines > FILE_LINES and LONGER not in source[:1500]:
            found.append(f"{path}: {lines} lines, the house allows {FILE_LINES}")
        if path.endswith(".py"):
            continue
        for name, first, last, _, before in functions(source):
            if last - first + 1 > FUNCTION_LINES and LONGER not in before:
                found.append(f"{path}:{first}: {name} has {last - first + 1} lines, the house allows {FUNCTION_LINES}")
    return found


def check_heads(root):
    """The first line says the purpose, and the first comment the licence."""
    found = []
    for path in files(root):
        if not path.endswith((".c", ".h", ".py")) and os.path.splitext(os.path.basename(path))[1]:
            continue
        lines = text(root, path).split("\n")[:12]
        script = lines[0].startswith("#!")
        if not path.endswith((".c", ".h", ".py")) and not script:
            continue
        first = lines[1] if script and len(lines) > 1 else lines[0]
        if not re.match(r'/\* \w' if path.endswith((".c", ".h")) else r'(#|""") ?\w', first):
            found.append(f"{path}: the first line does not say the purpose")
        if not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines):
            found.append(f"{path}: no SPDX line in the first comment")
    return found


def declares(root, header, name):
    path = os.path.join(root, "include", header)
    return os.path.isfile(path) and re.search(r"\b%s\s*\(" % name, strip_c(text(root, "include/" + header)))


def headers_behind(root, headers, source, room):
    """Those of the headers, in a room or on the ground floor, that a source includes by itself or through others of these."""
    behind, waiting = set(), [source]
    while waiting:
        for _, header, angle in includes(text(root, waiting.pop())):
            path = "include/" + header
            if not angle and header not in behind and room_of(header) in (room, "base") and path in headers:
                behind.add(header)
                waiting.append(path)
    return behind


def check_headers(root):
    """What a source offers is declared in a header of its own room, or of base, that it includes; no umbrella headers."""
    found, headers = [], set(files(root, ".h"))
    for path in files(root, ".c"):
        room = room_of(path)
        if not room or path == "proxy/main.c":
            continue
        source = text(root, path)
        own = headers_behind(root, headers, path, room)
        for name in [name for name, _, _, static, _ in functions(source) if not static]:
            if not any(declares(root, header, name) for header in own):
                found.append(f"{path}: offers {name}(), which no header of {room} that it includes declares")
    for path in files(root, ".h"):
        source = text(root, path)
        rest = re.sub(r"\s", "", strip_c(source))
        if not rest and not re.search(r"#\s*define\s+\w+.*\S", re.sub(r"#\s*define\s+SERIN_\w+_H\s*\n", "", source)) \
                and any(True for _ in includes(source)):
            found.append(f"{path}: an umbrella header (only includes others)")
    return found


def check_words(root):
    """Nothing unfinished is marked in passing, nothing points outside the project."""
    found = []
    for path in files(root):
        if not is_text(path):
            continue
        for n, line in enumerate(text(root, path).split("\n"), 1):
            if UNFINISHED.search(line):
                found.append(f"{path}:{n}: unfinished work marked in passing")
            if OUTSIDE.search(line):
                found.append(f"{path}:{n}: {OUTSIDE_WHY}: {line.strip()[:80]}")
    return found


TOP_LEVEL = {"CMakeLists.txt", "CMakePresets.json", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "SECURITY.md",
             "proxy", "rollout", "metrics", "include", "tests", "conf"}


def check_top(root):
    """The top level holds what the architecture says and nothing else."""
    return [f"{name}: does not belong at the top level"
            for name in sorted({p.split("/")[0] for p in files(root)} - TOP_LEVEL) if not name.startswith(".")]


CHECKS = [check_arrows, check_pure, check_sizes, check_heads, check_headers, check_words, check_top]
