# PostgreSQL, alone and with a standby; scripts/with-servers reads this.

need_postgres() {
    postgres_bin >/dev/null || install_package postgresql PostgreSQL "$1"
}

# The folder with the newest initdb; Debian keeps it out of PATH.
postgres_bin() {
    local bin
    for bin in $(command -v initdb | xargs -r readlink -f | xargs -r dirname) \
        $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
        [ -x "$bin/initdb" ] && [ -x "$bin/postgres" ] && echo "$bin" && return
    done
    return 1
}

start_postgres() {
    create_database "$1"
    run_postgres "$1"
    export CLOAKROOM_TEST_POSTGRES_URL=$url
}

start_postgres-standby() {
    create_database "$1"
    run_postgres "$1"
    export CLOAKROOM_TEST_POSTGRES_PRIMARY_URL=$url
    mkdir "$1/standby"
    : >"$1/standby/log"
    give "$1/standby"
    unprivileged "$(postgres_bin)/pg_basebackup" --dbname="$url" --pgdata="$1/standby/data" \
        --write-recovery-conf --wal-method=stream --checkpoint=fast --no-sync \
        >"$1/standby/log" 2>&1 || fail "pg_basebackup failed: $(cat "$1/standby/log")"
    run_postgres "$1/standby"
    export CLOAKROOM_TEST_POSTGRES_STANDBY_URL=$url
    echo "synchronous_standby_names = '*'" >>"$1/data/postgresql.conf"
    unprivileged "$(postgres_bin)/pg_ctl" reload --silent --pgdata="$1/data" >/dev/null
    until_true 5 standby_is_waited_for || fail "the standby does not follow: $(tail -n 5 "$1/standby/log")"
}

standby_is_waited_for() {
    unprivileged "$(postgres_bin)/psql" "$CLOAKROOM_TEST_POSTGRES_PRIMARY_URL" --no-align --tuples-only \
        --command="select sync_state from pg_stat_replication" | grep -qx sync
}

stop_postgres() {
    local data
    for data in "$1"/data "$1"/*/data; do
        unprivileged "$(postgres_bin)/pg_ctl" stop --pgdata="$data" --mode=immediate --silent
    done
}

create_database() {
    echo cloakroom >"$1/password"
    : >"$1/log"
    give "$1"
    unprivileged "$(postgres_bin)/initdb" --pgdata="$1/data" --username=cloakroom \
        --pwfile="$1/password" --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync \
        >"$1/log" 2>&1 || fail "initdb failed: $(cat "$1/log")"
    cat >>"$1/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 500
shared_buffers = ${CLOAKROOM_SHARED_BUFFERS:-256MB}
max_wal_size = 4GB
# A crash of the machine may take this data.
fsync = off
full_page_writes = off
CONF
}

# It sets `url`.
run_postgres() {
    local port
    for _ in {1..20}; do
        port=$(free_port)
        if unprivileged "$(postgres_bin)/pg_ctl" start --pgdata="$1/data" --log="$1/log" --silent \
            --wait --options="-p $port" >/dev/null 2>&1; then
            url=postgres://cloakroom:cloakroom@127.0.0.1:$port/postgres
            return
        fi
    done
    fail "PostgreSQL does not start: $(tail -n 5 "$1/log")"
}

# initdb refuses to run as root, so root runs it as somebody else.
unprivileged() {
    if [ "$EUID" -ne 0 ]; then
        (cd / && "$@")
    elif command -v setpriv >/dev/null; then
        (cd / && HOME=/ setpriv --reuid="$(nobody)" --regid="$(id -g "$(nobody)")" --clear-groups "$@")
    else
        (cd / && su -s /bin/sh "$(nobody)" -c "$(printf '%q ' "$@")")
    fi
}

give() {
    [ "$EUID" -ne 0 ] || chown -R "$(nobody)" "$1"
}

nobody() {
    id -un postgres 2>/dev/null || echo nobody
}
