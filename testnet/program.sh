# Read by up, down and status: what may stand on their command lines, and which program they run. They are at the root of the checkout.
# shellcheck shell=bash

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/countersign/target}"
built="$CARGO_TARGET_DIR/debug/testnet"
folder=.testnet
given=" "

refuse() {
    echo "error: $1" >&2
    echo "testnet/${0##*/} --help says what there is" >&2
    exit 2
}

# Refuses what the program would refuse too, before anything is built for it: arguments "--flag .." "--with-value .." "$@"
arguments() {
    local flags=" $1 -h --help " valued=" $2 --folder " argument value
    shift 2
    while [ $# -gt 0 ]; do
        argument="$1"
        shift
        if [[ "$flags" == *" $argument "* ]]; then
            given+="$argument "
            continue
        fi
        [[ "$valued" == *" ${argument%%=*} "* ]] || refuse "unexpected argument '$argument'"
        if [[ "$argument" == *=* ]]; then
            value="${argument#*=}"
        else
            [ $# -gt 0 ] || refuse "'$argument' needs a value"
            value="$1"
            shift
        fi
        case "${argument%%=*}" in
            --folder) folder="$value" ;;
            --nodes) nodes="$value" ;;
            --threshold) threshold="$value" ;;
        esac
    done
}

is_given() {
    [[ "$given" == *" $1 "* ]]
}

# The program that the network was started with, where it is still there, else that of the target folder; nothing where there is none.
program() {
    local started=""
    if [ -f "$folder/program" ]; then started="$(<"$folder/program")"; fi
    if [ -n "$started" ] && [ -f "$started" ] && [ -x "$started" ]; then
        echo "$started"
    elif [ -x "$built" ]; then
        echo "$built"
    fi
}

# Everything that is not a result goes to standard error: --json keeps standard output for one document.
build() {
    if [ -x "$built" ]; then
        echo "building what has changed" >&2
    else
        echo "building in $CARGO_TARGET_DIR: the first time takes about 30 minutes on two cores" >&2
    fi
    # with the tests, so that dependencies are built once, with the features that everything needs
    cargo build --workspace --all-targets >&2
}
