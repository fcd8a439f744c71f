"""A reader of the YAML that manifests are written in: block and flow maps and lists, scalars, quotes, block text.

SPDX-License-Identifier: Apache-2.0

Anchors, tags and complex keys are refused: no manifest of the tests uses them.
"""
import json
import re

KEY = re.compile(r"""("(?:\\.|[^"\\])*"|'(?:''|[^'])*'|[^\s#\-?:,\[\]{}&*!|>'"%@`][^#]*?|-[^\s#][^#]*?)\s*:(?=\s|$)""")
NUMBER = re.compile(r"[-+]?\d+$")
FLOAT = re.compile(r"[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?$")
WORDS = {"": None, "null": None, "~": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
         "false": False, "False": False, "FALSE": False}


def load(text):
    """The first document."""
    return (load_all(text) or [None])[0]


def load_all(text):
    """All documents that hold something. Raises ValueError, with a line number."""
    docs, lines = [], []
    for line in text.split("\n") + ["---"]:
        if re.match(r"---(\s|$)", line) or line.strip() == "...":
            doc = Reader(lines).document()
            if doc is not None:
                docs.append(doc)
            lines = [line[3:]] if line[3:].strip() and not line.strip() == "..." else []
        else:
            lines.append(line.rstrip("\r"))
    return docs


def uncomment(text):
    """Cuts a comment off; a # within quotes or a word is none."""
    quote = None
    for at, c in enumerate(text):
        if quote:
            quote = None if c == quote and text[at - 1:at] != "\\" else quote
        elif c in "\"'" and (at == 0 or text[at - 1] in " [{,:"):
            quote = c
        elif c == "#" and (at == 0 or text[at - 1] in " \t"):
            return text[:at].rstrip()
    return text.rstrip()


def scalar(text):
    text = text.strip()
    if text[:1] == '"':
        return json.loads(text)
    if text[:1] == "'":
        return text[1:-1].replace("''", "'")
    if text in WORDS:
        return WORDS[text]
    if NUMBER.match(text):
        return int(text)
    if FLOAT.match(text):
        return float(text)
    if text[:1] in "&*!%@`" or ": " in text:
        raise ValueError(f"yaml: cannot read {text!r}")
    return text


class Reader:
    """Reads one document, line by line."""

    def __init__(self, lines):
        self.raw, self.at = lines, 0
        self.lines = [(len(x) - len(x.lstrip(" ")), uncomment(x.strip()), n) for n, x in enumerate(lines)]
        for n, line in enumerate(lines):
            if "\t" in line[:len(line) - len(line.lstrip())]:
                raise ValueError(f"yaml: line {n + 1}: found character that cannot start any token")

    def skip(self):
        while self.at < len(self.lines) and not self.lines[self.at][1]:
            self.at += 1
        return self.at < len(self.lines)

    def document(self):
        if not self.skip():
            return None
        out = self.block(self.lines[self.at][0])
        if self.skip():
            self.fail("could not find expected ':'")
        return out

    def fail(self, why):
        raise ValueError(f"yaml: line {self.at + 1}: {why}")

    def block(self, indent):
        """What stands at this indent: a list, a map or a scalar."""
        text = self.lines[self.at][1]
        if text == "-" or text.startswith("- "):
            return self.sequence(indent)
        if text[0] not in "[{" and KEY.match(text):
            return self.mapping(indent)
        return self.value(text, indent - 1)

    def sequence(self, indent):
        out = []
        while self.skip() and self.lines[self.at][0] == indent and re.match(r"-(\s|$)", self.lines[self.at][1]):
            text = self.lines[self.at][1]
            rest = text[1:].lstrip()
            if not rest:
                self.at += 1
                out.append(self.block(self.lines[self.at][0]) if self.skip() and self.lines[self.at][0] > indent else None)
            elif rest[0] not in "[{\"'" and KEY.match(rest) or rest.startswith("- "):
                inner = indent + len(text) - len(rest)
                self.lines[self.at] = (inner, rest, self.at)
                out.append(self.block(inner))
            else:
                out.append(self.value(rest, indent))
        return out

    def mapping(self, indent):
        out = {}
        while self.skip() and self.lines[self.at][0] == indent:
            m = KEY.match(self.lines[self.at][1])
            if not m:
                self.fail("could not find expected ':'")
            key, rest = scalar(m[1]), self.lines[self.at][1][m.end():].strip()
            key = key if isinstance(key, str) else m[1]
            if key in out:
                self.fail(f"key {json.dumps(key)} already set in map")
            if rest:
                out[key] = self.value(rest, indent)
                continue
            self.at += 1
            more = self.skip()
            deep = self.lines[self.at][0] if more else -1
            is_list = more and re.match(r"-(\s|$)", self.lines[self.at][1])
            out[key] = self.block(deep) if deep > indent or deep == indent and is_list else None
        if self.skip() and self.lines[self.at][0] > indent:
            self.fail("mapping values are not allowed in this context")
        return out

    def value(self, text, indent):
        """A value that begins on this line; flow values and quoted text may go on below."""
        if text[0] in "|>":
            return self.text(text, indent)
        start, self.at = self.at, self.at + 1
        while self.unfinished(text):
            if not self.skip():
                self.at = start
                self.fail("did not find expected ',' or end of the value")
            text += " " + self.lines[self.at][1]
            self.at += 1
        if text[0] in "[{":
            return Flow(text).read()
        while self.skip() and self.lines[self.at][0] > indent and text[0] not in "\"'":
            text += " " + self.lines[self.at][1]    # plain text over several lines
            self.at += 1
        return scalar(text)

    @staticmethod
    def unfinished(text):
        if text[0] == '"':
            return not re.match(r'"(?:\\.|[^"\\])*"$', text)
        if text[0] == "'":
            return not re.match(r"'(?:''|[^'])*'$", text)
        if text[0] in "[{":
            bare = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\'\'|[^\'])*\'', "", text)
            return sum(bare.count(c) for c in "[{") > sum(bare.count(c) for c in "]}")
        return False

    def text(self, head, indent):
        """Block text: | keeps line ends, > folds them; - and + chomp."""
        self.at += 1
        rows, deep = [], None
        while self.at < len(self.raw):
            line = self.raw[self.at]
            own = len(line) - len(line.lstrip(" "))
            if line.strip() and own <= indent:
                break
            deep = own if deep is None and line.strip() else deep
            rows.append(line[deep or 0:].rstrip("\r"))
            self.at += 1
        while rows and not rows[-1].strip():
            rows.pop()
        out = "\n".join(rows) if head[0] == "|" else re.sub(r"(?<!\n)\n(?!\n)", " ", "\n".join(rows))
        return out if "-" in head else out + "\n"


class Flow:
    """[a, {b: c}] and JSON."""

    TOKEN = re.compile(r"""\s*("(?:\\.|[^"\\])*"|'(?:''|[^'])*'|[\[\]{},]|:(?=[\s,\]}"'\[{])|[^,\[\]{}\s"'](?:[^,\[\]{}:]|:(?!\s))*)""")

    def __init__(self, text):
        self.text, self.at = text, 0

    def next(self):
        m = self.TOKEN.match(self.text, self.at)
        if not m:
            raise ValueError(f"yaml: did not find expected node content in {self.text!r}")
        self.at = m.end()
        return m[1].strip()

    def read(self):
        out = self.node(self.next())
        if self.text[self.at:].strip():
            raise ValueError(f"yaml: unexpected {self.text[self.at:].strip()!r}")
        return out

    def node(self, token):
        if token == "[":
            return self.items("]")
        if token == "{":
            return dict(self.items("}"))
        if token in ("]", "}", ",", ":"):
            raise ValueError("yaml: did not find expected node content")
        return scalar(token)

    def items(self, end):
        out, token = [], self.next()
        while token != end:
            value = self.node(token)
            token = self.next()
            if end == "}":
                inner = None
                if token == ":":
                    token = self.next()
                    if token not in (",", end):
                        inner = self.node(token)
                        token = self.next()
                value = (value, inner)
            out.append(value)
            if token == ",":
                token = self.next()
            elif token != end:
                raise ValueError(f"yaml: did not find expected ',' or '{end}'")
        return out
