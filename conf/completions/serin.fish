# Completion of serin for fish. Commands, options and what they take come from serin's own help, so nothing here can be out
# of date; routes come from the serin that runs, and where none answers there are none.
# SPDX-License-Identifier: Apache-2.0

# The options in a help text, a line each: --long, tab, -s or nothing, tab, what it takes or nothing, tab, help.
function __serin_options # HELP LINES
    printf '%s\n' $argv |
        sed -n 's/^  *\(\(-[a-zA-Z]\), \)\{0,1\}\(--[a-z][a-z-]*\)\( \([A-Z][A-Za-z=]*\)\)\{0,1\}  *\(.*\)/\3\t\2\t\5\t\6/p'
end

# What an option takes: FILE, ROUTE, another word, or nothing.
function __serin_value # OPTION HELP LINES
    string match -qr '^-[^=]*$' -- $argv[1]; or return
    __serin_options $argv[2..-1] | awk -F '\t' -v option=$argv[1] '$1 == option || $2 == option { print $3 }'
end

# The names of the routes, of the characters that a name may have: whatever else a server says must not reach the shell.
function __serin_routes # WORDS
    set -l at
    for i in (seq 3 (count $argv))
        switch $argv[$i]
            case --admin --token-file
                set -a at $argv[$i] $argv[(math $i + 1)]
            case '--admin=*' '--token-file=*'
                set -a at $argv[$i]
        end
    end
    timeout 2 $argv[1] status --json $at 2>/dev/null </dev/null |
        sed -n 's/^.*"route":[[:space:]]*"\([A-Za-z0-9._-]\{1,64\}\)",\{0,1\}$/\1\troute/p'
end

# What may stand at the current place, of a kind that the help names.
function __serin_offer # KIND TOKEN WORDS
    switch $argv[1]
        case FILE F
            __fish_complete_path $argv[2]
        case ROUTE
            __serin_routes $argv[3..-1]
    end
end

function __serin_complete
    set -l words (commandline -opc)
    set -l token (commandline -ct)
    set -l n (count $words)
    if test $n -eq 1; or begin; test $n -eq 2; and test "$words[2]" = help; end
        $words[1] help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\)  *\([^ ].*\)/\1\t\2/p'
        printf '%s\t%s\n' --help 'the list of commands' --version 'version, libraries, build'
        return
    end
    set -l help ($words[1] help $words[2] 2>/dev/null </dev/null); or return
    set -l parts (string match -r '^(--[a-z-]+)=(.*)$' -- $token)
    if test (count $parts) -eq 3
        for offer in (__serin_offer "$(__serin_value $parts[2] $help)" $parts[3] $words)
            echo $parts[2]=$offer
        end
        return
    end
    set -l value (__serin_value $words[$n] $help)
    if test -n "$value"
        __serin_offer $value $token $words
    else if string match -q -- '-*' $token
        __serin_options $help | awk -F '\t' '{ print $1 "\t" $4; if ($2 != "") print $2 "\t" $4 }'
    else
        for i in (seq 3 $n)
            string match -q -- '-*' $words[$i]; and continue
            test -n "$(__serin_value $words[(math $i - 1)] $help)"; or return
        end
        set -l kind (printf '%s\n' $help | sed -n 's/\[--*[^]]*\] *//g; s/^Usage: serin [a-z-]* \[\{0,1\}\([A-Z]*\).*/\1/p')
        __serin_offer "$kind[1]" $token $words
    end
end

complete -c serin -f -a '(__serin_complete)'
