# Turns `serin check --defaults --json`, the table of all keys, into a chapter of serin.yaml(5). Input: a member a line.
# SPDX-License-Identifier: Apache-2.0

function unquoted(s) {
    sub(/^"/, "", s)
    sub(/",?$/, "", s)
    gsub(/\\"/, "\"", s)
    gsub(/\\\\/, "\\", s)
    return s
}

function escaped(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    return s ~ /^[.']/ ? "\\&" s : s
}

function end_key(    group, facts) {
    if (key == "")
        return
    group = key
    sub(/[.[].*/, "", group)
    if (group != last_group)
        print ".SS " group
    last_group = group
    print ".TP\n\\fB" escaped(key) "\\fR"
    print escaped(toupper(substr(of["help"], 1, 1)) substr(of["help"], 2) ".")
    facts = toupper(substr(of["type"], 1, 1)) substr(of["type"], 2)
    if (of["range"] != "")
        facts = facts (of["type"] ~ /choice|switch/ ? ": " : "; ") of["range"]
    if (of["unit"] != "")
        facts = facts "; " of["unit"]
    if (is_required)
        facts = facts "; required"
    else if (of["default"] != "" && of["default"] != "(none)")
        facts = facts "; default: " of["default"]
    print ".br"
    print escaped(facts "; " applied[of["reload"]] ".")
    key = ""
}

BEGIN {
    applied["yes"] = "a reload applies it"
    applied["restart"] = "a restart applies it"
    applied["next rollout"] = "a reload applies it to the next rollout"
}
/^\t*"[a-z]+":\t/ {
    name = $1
    gsub(/^\t*"|":.*$/, "", name)
    value = $0
    sub(/^\t*"[a-z]+":\t/, "", value)
    if (name == "key") {
        end_key()
        key = unquoted(value)
    } else if (name == "required")
        is_required = value ~ /^true/
    else
        of[name] = unquoted(value)
}
END {
    end_key()
}
