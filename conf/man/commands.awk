# Turns the help texts of serin's commands into a chapter of serin(1). Input: for each command a line "@@ COMMAND", then its help.
# SPDX-License-Identifier: Apache-2.0

function escaped(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    return s ~ /^[.']/ ? "\\&" s : s
}

# Running text, broken where a line would be long in the source.
function text(s, at) {
    sub(/^ +/, "", s)
    while (length(s) > 78) {
        at = 78
        while (at > 1 && substr(s, at, 1) != " ")
            at--
        if (at == 1)
            break
        print escaped(substr(s, 1, at - 1))
        s = substr(s, at + 1)
    }
    print escaped(s)
}

# "-c, --config FILE  the file": the words in bold, what they take in italics.
function option(line, end, head, words, n, i, out) {
    match(line, /^ +(-[a-zA-Z], )?--[a-z][a-z-]*( [A-Z][A-Za-z=]*)?/)
    head = substr(line, 1, RLENGTH)
    end = substr(line, RLENGTH + 1)
    sub(/^ +/, "", head)
    n = split(head, words, " ")
    for (i = 1; i <= n; i++) {
        if (words[i] ~ /^-/) {
            sub(/,$/, "", words[i])
            out = out (i > 1 ? ", " : "") "\\fB" escaped(words[i]) "\\fR"
        } else
            out = out " \\fI" words[i] "\\fR"
    }
    print ".TP\n" out
    text(end)
}

# Lines between two empty ones: options, or lines that keep their form, or running text.
function paragraph(    i, has_options, has_form) {
    if (!n_lines)
        return
    for (i = 1; i <= n_lines; i++) {
        has_options = has_options || lines[i] ~ /^ +(-[a-zA-Z], )?--[a-z]/
        has_form = has_form || lines[i] ~ /^ /
    }
    if (!has_options && !is_first)
        print ".PP"
    is_first = 0
    if (has_form && !has_options)
        print ".EX"
    for (i = 1; i <= n_lines; i++)
        if (has_options && lines[i] ~ /^ +(-[a-zA-Z], )?--[a-z]/)
            option(lines[i])
        else if (has_options || !has_form)
            text(lines[i])
        else
            print escaped(lines[i])
    if (has_form && !has_options)
        print ".EE"
    n_lines = 0
}

/^@@ / {
    paragraph()
    print ".SS serin " escaped($2)
    is_first = 1
    next
}
/^$/ {
    paragraph()
    next
}
/^Usage: / {
    lines[++n_lines] = "  " substr($0, 8)
    is_usage = 1
    next
}
/^       serin / && is_usage {
    lines[++n_lines] = "  " substr($0, 8)
    next
}
{
    is_usage = 0
    lines[++n_lines] = $0
}
END {
    paragraph()
}
