"""JSON as Go reads and writes it: compact, with <, > and & escaped, duplicate keys noticed, errors in Go's words.

SPDX-License-Identifier: Apache-2.0
"""
import json


class Pairs(dict):
    """An object that remembers which of its keys were given twice."""

    twice = ()


def pairs(items):
    out, twice = Pairs(), []
    for key, value in items:
        if key in out:
            twice.append(key)
        out[key] = value
    if twice:
        out.twice = twice
    return out


def loads(text):
    """Parses JSON; ValueError carries Go's message."""
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as e:
        raise ValueError(go_message(text, e)) from None


def go_message(text, e):
    """The message of encoding/json for the commonest mistakes."""
    rest = text[e.pos:].lstrip()
    if not rest:
        return "unexpected end of JSON input"
    where = {"Expecting property name enclosed in double quotes": "looking for beginning of object key string",
             "Expecting ':' delimiter": "after object key",
             "Expecting ',' delimiter": "after object key:value pair",
             "Extra data": "after top-level value"}.get(e.msg, "looking for beginning of value")
    return f"invalid character {go_char(rest[0])} {where}"


def go_char(c):
    if c == "'":
        return r"'\''"
    if c == '"':
        return "'\"'"
    return f"'{c}'" if c.isprintable() else "'\\x%02x'" % ord(c)


def dumps(value, indent=None):
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=(",", ": ") if indent else (",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").replace("\u2028", "\\u2028") \
        .replace("\u2029", "\\u2029")
