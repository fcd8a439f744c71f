# Completion of serin for bash. Commands, options and what they take come from serin's own help, so nothing here can be out
# of date; routes come from the serin that runs, and where none answers there are none.
# SPDX-License-Identifier: Apache-2.0

# The options in a help text, a line each: --long, tab, -s or nothing, tab, what it takes or nothing.
_serin_options() {
    sed -n 's/^  *\(\(-[a-zA-Z]\), \)\{0,1\}\(--[a-z][a-z-]*\)\( \([A-Z][A-Za-z=]*\)\)\{0,1\} .*/\3\t\2\t\5/p' <<<"$1"
}

# What an option takes: FILE, ROUTE, another word, or nothing.
_serin_value() { # HELP OPTION
    [[ $2 == -* && $2 != *=* ]] || return
    _serin_options "$1" | awk -F '\t' -v option="$2" '$1 == option || $2 == option { print $3 }'
}

_serin_commands() { # SERIN
    "$1" help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *[^ ].*/\1/p'
}

# The names of the routes, of the characters that a name may have: whatever else a server says must not reach the shell.
_serin_routes() { # SERIN WORD...
    local serin=$1 at=()
    shift
    while (($#)); do
        case $1 in
        --admin | --token-file) at+=("$1" "${2-}") && shift ;;
        --admin=* | --token-file=*) at+=("$1") ;;
        esac
        shift || break
    done
    timeout 2 "$serin" status --json "${at[@]}" 2>/dev/null </dev/null |
        sed -n 's/^.*"route":[[:space:]]*"\([A-Za-z0-9._-]\{1,64\}\)",\{0,1\}$/\1/p'
}

# What may stand at the current place, of a kind that the help names.
_serin_offer() { # KIND SERIN WORD...
    case $1 in
    FILE | F)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    ROUTE) mapfile -t COMPREPLY < <(compgen -W "$(_serin_routes "${@:2}")" -- "$cur") ;;
    esac
}

_serin() {
    local line=${COMP_LINE:0:COMP_POINT} words cur before help value i arguments=0 kind
    COMPREPLY=()
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("") # a word begins
    local serin=${words[0]} command=${words[1]-} last=$((${#words[@]} - 1))
    cur=${words[last]} before=${words[last - 1]}
    if ((last <= 1)) || { ((last == 2)) && [[ $command == help ]]; }; then
        mapfile -t COMPREPLY < <(compgen -W "$(_serin_commands "$serin") --help --version" -- "$cur")
        return
    fi
    help=$("$serin" help "$command" 2>/dev/null </dev/null) || return
    if [[ $cur == --*=* ]]; then # bash takes what stands behind = for a word
        value=$(_serin_value "$help" "${cur%%=*}")
        cur=${cur#*=}
        _serin_offer "$value" "${words[@]:0:last}"
        return
    fi
    value=$(_serin_value "$help" "$before")
    if [[ -n $value ]]; then
        _serin_offer "$value" "${words[@]:0:last}"
    elif [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(_serin_options "$help" | cut -f 1,2)" -- "$cur")
    else
        for ((i = 2; i < last; i++)); do
            [[ ${words[i]} == -* || -n $(_serin_value "$help" "${words[i - 1]}") ]] || ((arguments++))
        done
        kind=$(sed -n 's/\[--*[^]]*\] *//g; s/^Usage: serin [a-z-]* \[\{0,1\}\([A-Z]*\).*/\1/p' <<<"$help" | head -n 1)
        ((arguments)) || _serin_offer "$kind" "${words[@]:0:last}"
    fi
}

complete -F _serin serin
