# What every server needs; scripts/with-servers reads this, and scripts/test.

fail() {
    echo "${0##*/}: $*" >&2
    exit 69
}

# Somebody else may take it before the server does, who then tries another.
free_port() {
    local port
    while port=$((12000 + RANDOM % 10000)); do
        if is_free "$port" && is_free $((port + 10000)); then # where Redis Cluster has its bus
            echo "$port"
            return
        fi
    done
}

is_free() {
    ! (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# until_true SECONDS COMMAND...: asks twenty times a second.
until_true() {
    local tries=$(($1 * 20))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $((tries -= 1)) -gt 0 ] || return 1
        sleep 0.05
    done
}

# install_package PACKAGES PROGRAMS [VARIABLE]
install_package() {
    local how="apt-get install --no-install-recommends $1"
    if [ "$EUID" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "the programs of $2 are missing; install them (Debian, Ubuntu: sudo $how)" \
            ${3:+"or set $3 to a server's URL"}
    fi
    echo "${0##*/}: $how" >&2
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update && $how --yes; } >&2 || fail "cannot install $1"
}
