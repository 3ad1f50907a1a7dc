# Redis, alone, as a cluster and under Sentinel; scripts/with-servers reads this.

# After so many milliseconds without a sign of life a server is replaced. Longer than a busy machine
# stands still, except for tests of that.
failover_after=${CLOAKROOM_FAILOVER_AFTER:-5000}

need_redis() {
    if ! command -v redis-server >/dev/null || ! command -v redis-cli >/dev/null; then
        install_package redis-server Redis "$1"
    fi
    command -v openssl >/dev/null || install_package openssl OpenSSL "$1"
}

start_redis() {
    local tls
    certificate "$1"
    for _ in {1..20}; do
        tls=$(free_port)
        if run_redis "$1" --repl-diskless-sync-delay 0 --unixsocket "$1/redis.sock" --tls-port "$tls" --tls-auth-clients no \
            --tls-cert-file "$1/server.pem" --tls-key-file "$1/server.key" --tls-ca-cert-file "$1/ca.pem"; then
            export CLOAKROOM_TEST_REDIS_URL=redis://127.0.0.1:$port
            export CLOAKROOM_TEST_REDIS_UNIX_URL=redis+unix://$1/redis.sock
            export CLOAKROOM_TEST_REDIS_TLS_URL=rediss://localhost:$tls
            export CLOAKROOM_TEST_REDIS_TLS_CA=$1/ca.pem
            return
        fi
    done
    fail "Redis does not start: $(tail -n 5 "$1/log")"
}

start_redis-cluster() {
    local node ports=() ids=() master
    for node in {0..5}; do
        node_of_cluster "$1/$node"
        ports+=("$port")
        ids+=("$(redis "$port" cluster myid)")
    done
    redis "${ports[0]}" cluster addslotsrange 0 5460 >/dev/null
    redis "${ports[1]}" cluster addslotsrange 5461 10922 >/dev/null
    redis "${ports[2]}" cluster addslotsrange 10923 16383 >/dev/null
    for node in {0..5}; do
        redis "${ports[node]}" cluster set-config-epoch $((node + 1)) >/dev/null
    done
    # A node forgets whom it has not met for a second: then they are told again.
    for _ in {1..5}; do
        for node in {1..5}; do
            redis "${ports[node]}" cluster meet 127.0.0.1 "${ports[0]}" >/dev/null
        done
        ! until_true 4 have_met "${ports[@]}" || break
    done
    for node in 3 4 5; do
        master=${ids[node - 3]}
        until_true 5 replicate "${ports[node]}" "$master" || fail "the cluster's nodes do not meet"
    done
    for port in "${ports[@]}"; do
        until_true 20 cluster_is_whole "$port" || fail "the cluster is not ready: $(redis "$port" cluster info)"
    done
    # With less they meet sooner.
    for port in "${ports[@]}"; do
        redis "$port" config set cluster-node-timeout "$failover_after" >/dev/null
    done
    CLOAKROOM_TEST_REDIS_CLUSTER_URL=redis+cluster://$(printf '127.0.0.1:%s,' "${ports[@]}")
    export CLOAKROOM_TEST_REDIS_CLUSTER_URL=${CLOAKROOM_TEST_REDIS_CLUSTER_URL%,}
}

# A replica stands for election for ever, also where the machine was too busy for the first ones.
node_of_cluster() {
    mkdir "$1"
    for _ in {1..20}; do
        ! run_redis "$1" --cluster-enabled yes --cluster-node-timeout 500 \
            --cluster-require-full-coverage no --cluster-replica-validity-factor 0 \
            --repl-diskless-sync-delay 0 || return 0
    done
    fail "Redis does not start: $(tail -n 5 "$1/log")"
}

have_met() {
    local node
    for node in "$@"; do
        [ "$(redis "$node" cluster nodes | grep -c ' connected')" = 6 ] || return 1
    done
}

replicate() {
    [ "$(redis "$1" cluster replicate "$2")" = OK ]
}

cluster_is_whole() {
    redis "$1" cluster info | grep -q '^cluster_state:ok' &&
        [ "$(redis "$1" cluster nodes | grep -c ' connected')" = 6 ] &&
        [ "$(redis "$1" cluster nodes | grep -c 'slave')" = 3 ] &&
        ! redis "$1" info replication | grep -q '^master_link_status:down'
}

start_redis-sentinel() {
    local master node replicas=() sentinels=()
    for node in master replica-1 replica-2; do
        mkdir "$1/$node"
        for _ in {1..20}; do
            ! run_redis "$1/$node" --repl-diskless-sync-delay 0 ${master:+--replicaof "127.0.0.1 $master"} || break
        done
        if [ "$node" = master ]; then master=$port; else replicas+=("$port"); fi
    done
    for node in {1..3}; do
        mkdir "$1/sentinel-$node"
        for _ in {1..20}; do
            port=$(free_port)
            cat >"$1/sentinel-$node/sentinel.conf" <<CONF
port $port
bind 127.0.0.1
dir $1/sentinel-$node
pidfile $1/sentinel-$node/pid
logfile $1/sentinel-$node/log
daemonize yes
sentinel monitor cloakroom 127.0.0.1 $master 2
sentinel down-after-milliseconds cloakroom $failover_after
sentinel failover-timeout cloakroom 3000
CONF
            redis-server "$1/sentinel-$node/sentinel.conf" --sentinel >/dev/null 2>&1
            ! until_true 1 redis "$port" ping || break
        done
        sentinels+=("$port")
    done
    for port in "${sentinels[@]}"; do
        until_true 5 sentinel_knows_all "$port" || fail "Sentinel is not ready: $(redis "$port" sentinel master cloakroom)"
    done
    CLOAKROOM_TEST_REDIS_SENTINEL_URL=redis+sentinel://$(printf '127.0.0.1:%s,' "${sentinels[@]}")
    export CLOAKROOM_TEST_REDIS_SENTINEL_URL=${CLOAKROOM_TEST_REDIS_SENTINEL_URL%,}/cloakroom
}

sentinel_knows_all() {
    redis "$1" info sentinel | grep -q 'status=ok,.*slaves=2,sentinels=3'
}

stop_redis() {
    find "$1" -name pid -exec cat {} + | xargs -r kill -KILL
}

# run_redis FOLDER [SETTINGS...]: false if the port was taken meanwhile. It sets `port`.
run_redis() {
    local folder=$1
    shift
    port=$(free_port)
    redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --pidfile "$folder/pid" \
        --logfile "$folder/log" --daemonize yes --save '' --appendonly no \
        "$@" >/dev/null 2>&1 && until_true 2 answers "$folder"
}

answers() {
    [ "$(redis "$port" config get dir | tail -n 1)" = "$(cd "$1" && pwd -P)" ]
}

redis() {
    redis-cli -h 127.0.0.1 -p "$@"
}

# A certificate for localhost, and the authority that has signed it.
certificate() {
    {
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=cloakroom tests" \
            -keyout "$1/ca.key" -out "$1/ca.pem" -addext basicConstraints=critical,CA:TRUE &&
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost \
                -keyout "$1/server.key" -out "$1/server.csr" &&
            openssl x509 -req -in "$1/server.csr" -CA "$1/ca.pem" -CAkey "$1/ca.key" -CAcreateserial -days 2 \
                -extfile <(echo subjectAltName=DNS:localhost,IP:127.0.0.1) -out "$1/server.pem"
    } >"$1/log" 2>&1 || fail "openssl failed: $(cat "$1/log")"
}
