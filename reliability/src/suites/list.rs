use super::{FUZZ, Suite, Test, UPGRADE};

const API: &str = "cloakroom-store-api";
const FACADE: &str = "cloakroom";
const RELIABILITY: &str = "cloakroom-reliability";
const POSTGRES: &str = "cloakroom-store-postgres";
const REDIS: &str = "cloakroom-store-redis";
const SLED: &str = "cloakroom-store-sled";

pub(super) const ALL: &[Suite] = &[
    Suite {
        name: "killed",
        about: "the process, or the server, is killed -9 while 16 callers save, rotate and end \
                    sessions; what was answered has to be there again",
        tests: &[
            Test::of("sled", SLED, "nothing_that_was_answered_is_lost_to_kill_9").rounds(200),
            Test::of(
                "postgres, fsync on",
                POSTGRES,
                "crashes::a_killed_server_has_all_that_it_answered",
            )
            .rounds(20),
            Test::of(
                "redis, appendfsync always",
                REDIS,
                "crashes::a_killed_server_that_syncs_always_has_all_that_it_answered",
            )
            .rounds(20),
            Test::of(
                "redis, appendfsync everysec, which may lose a second or two",
                REDIS,
                "crashes::a_killed_server_that_syncs_every_second_has_nothing_wrong",
            )
            .rounds(20),
            Test::of(
                "broken: sled, flushed once a minute",
                SLED,
                "what_was_not_flushed_is_lost_to_kill_9",
            ),
            Test::of(
                "broken: postgres, synchronous_commit off",
                POSTGRES,
                "crashes::a_killed_server_that_answers_before_it_writes_loses_sessions",
            ),
            Test::of(
                "broken: redis, appendonly no",
                REDIS,
                "crashes::a_killed_server_that_writes_nothing_loses_sessions",
            ),
        ],
    },
    Suite {
        name: "damaged_folder",
        about: "sled's folder is cut at its end, or up to 8 bits in it are flipped; a process \
                    that uses it must not panic or show what nobody stored",
        tests: &[
            Test::of(
                "sled, cut",
                SLED,
                "a_folder_cut_at_its_end_shows_nothing_that_was_not_stored",
            )
            .rounds(200),
            Test::of(
                "sled, bits flipped",
                SLED,
                "a_folder_with_flipped_bits_shows_nothing_that_was_not_stored",
            )
            .rounds(200),
            Test::of(
                "broken: each session has the data of another",
                SLED,
                "what_nobody_stored_is_noticed",
            ),
        ],
    },
    Suite {
        name: "a_later_format",
        about: "what a later version wrote is refused, not overwritten, and removed only when \
                    it is ended",
        tests: &[
            Test::of(
                "sled",
                SLED,
                "tests::unreadable::a_row_of_a_later_format_is_left_alone_until_it_is_ended",
            ),
            Test::of(
                "postgres",
                POSTGRES,
                "layout::a_payload_of_a_later_format_is_left_alone_until_it_ends",
            )
            .rounds(1_000),
            Test::of(
                "redis",
                REDIS,
                "layout::a_value_of_a_later_format_is_left_alone_until_it_ends",
            )
            .rounds(1_000),
        ],
    },
    Suite {
        name: "flipped_bits",
        about: "any two bits of an encoded session are flipped; decoding has to refuse it",
        tests: &[Test::of(
            "the wire format",
            API,
            "codec::tests::any_two_flipped_bits_are_found",
        )],
    },
    Suite {
        name: "dropped_calls",
        about: "the future of a call is dropped after each of its polls",
        tests: &[
            Test::of(
                "postgres",
                POSTGRES,
                "drops::calls_dropped_after_every_poll_harm_nobody",
            ),
            Test::of("redis", REDIS, "faults::dropped_calls_shift_nobodys_answer"),
        ],
    },
    Suite {
        name: "frozen",
        about: "the server stops answering while many call; nobody waits longer than the deadline",
        tests: &[
            Test::of(
                "postgres",
                POSTGRES,
                "frozen::a_frozen_server_hangs_nobody_and_signs_nobody_out",
            ),
            Test::of("redis", REDIS, "faults::a_frozen_server_hangs_nobody"),
        ],
    },
    Suite {
        name: "killed_connections",
        about: "the server ends connections while they are used; each answer is from before or \
                    from after, never torn",
        tests: &[
            Test::of(
                "postgres",
                POSTGRES,
                "killed::a_thousand_connections_that_the_server_ends_tear_nothing",
            ),
            Test::of(
                "redis",
                REDIS,
                "faults::connections_that_the_server_ends_tear_nothing",
            ),
        ],
    },
    Suite {
        name: "lost_answers",
        about: "a connection is cut before the request or before the answer of a write",
        tests: &[
            Test::of(
                "postgres",
                POSTGRES,
                "cut::a_write_that_is_cut_off_is_done_or_not_and_never_sent_twice",
            ),
            Test::of(
                "redis",
                REDIS,
                "resent::a_write_whose_answer_was_lost_is_done_once",
            ),
        ],
    },
    Suite {
        name: "failover",
        about: "the server that takes the writes is killed, and another takes its place",
        tests: &[
            Test::of(
                "postgres, synchronous standby",
                POSTGRES,
                "standby::a_promoted_standby_has_all_that_was_acknowledged",
            ),
            Test::of(
                "redis-cluster",
                REDIS,
                "a_killed_master_of_a_cluster_is_replaced",
            ),
            Test::of(
                "redis, Sentinel",
                REDIS,
                "a_killed_master_under_sentinel_is_replaced",
            ),
        ],
    },
    Suite {
        name: "two_processes",
        about: "16 writers in two processes count up one entry, 500 times each",
        tests: &[
            Test::of(
                "postgres",
                RELIABILITY,
                "postgres::two_processes_lose_no_update",
            )
            .rounds(500),
            Test::of("redis", RELIABILITY, "redis::two_processes_lose_no_update").rounds(500),
            Test::of(
                "redis-cluster",
                RELIABILITY,
                "redis_cluster::two_processes_lose_no_update",
            )
            .rounds(500),
        ],
    },
    Suite {
        name: "end_in_another_process",
        about: "sessions are saved in one process while they are ended in another",
        tests: &[
            Test::of(
                "postgres",
                RELIABILITY,
                "postgres::an_end_beats_the_saves_of_another_process",
            )
            .rounds(10_000),
            Test::of(
                "redis",
                RELIABILITY,
                "redis::an_end_beats_the_saves_of_another_process",
            )
            .rounds(10_000),
            Test::of(
                "redis-cluster",
                RELIABILITY,
                "redis_cluster::an_end_beats_the_saves_of_another_process",
            )
            .rounds(10_000),
            Test::of(
                "broken: a process that creates anew what has ended",
                RELIABILITY,
                "postgres::a_process_that_creates_anew_what_has_ended_is_found",
            ),
        ],
    },
    Suite {
        name: "two_versions",
        about: "a process of an earlier version and one of this share 1,000 sessions, which each \
                    creates, saves, touches, rotates and ends",
        tests: &[
            Test::of(
                "postgres",
                UPGRADE,
                "postgres::two_processes_share_sessions",
            )
            .rounds(1_000),
            Test::of("redis", UPGRADE, "redis::two_processes_share_sessions").rounds(1_000),
            Test::of(
                "redis-cluster",
                UPGRADE,
                "redis_cluster::two_processes_share_sessions",
            )
            .rounds(1_000),
        ],
    },
    Suite {
        name: "sign_out",
        about: "a user signs out at one node while four tabs use, rotate and prolong the session at \
                    another, through HTTP",
        tests: &[
            Test::of("memory", FACADE, "sign_out::memory").rounds(1_000),
            Test::of("sled", FACADE, "sign_out::sled").rounds(1_000),
            Test::of("postgres", FACADE, "sign_out::postgres").rounds(1_000),
            Test::of("redis", FACADE, "sign_out::redis").rounds(1_000),
            Test::of("redis-cluster", FACADE, "sign_out::redis_cluster").rounds(1_000),
        ],
    },
    Suite {
        name: "secrets",
        about: "tokens are looked for, in 13 spellings each, in the log at trace level and in a \
                    copy of all that the store keeps",
        tests: &[
            Test::of("memory", FACADE, "secrets::memory"),
            Test::of("sled", FACADE, "secrets::sled"),
            Test::of("postgres", FACADE, "secrets::postgres"),
            Test::of("redis", FACADE, "secrets::redis"),
        ],
    },
    Suite {
        name: "foreign_ids",
        about: "requests come with ids that were chosen, expired, ended, rotated away, of another \
                    store, read in the database or misspelt",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::ids::no_id_of_a_client_is_ever_adopted",
        )
        .rounds(10_000)],
    },
    Suite {
        name: "no_cookie",
        about: "requests without a cookie come to a route that only reads",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::ids::visitors_without_a_cookie_leave_nothing",
        )
        .rounds(100_000)],
    },
    Suite {
        name: "many_cookies",
        about: "requests have 2 to 50 cookies of our name, one of them live",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::cookies::among_many_cookies_of_our_name_the_live_one_is_found",
        )],
    },
    Suite {
        name: "hang_ups",
        about: "clients hang up at every stage of a request",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::hang_ups::clients_that_hang_up_at_every_stage_change_all_or_nothing",
        )
        .rounds(500)],
    },
    Suite {
        name: "failures",
        about: "handlers fail and panic beside others that succeed",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::failures::handlers_that_fail_and_panic_cost_the_others_nothing",
        )
        .rounds(1_000)],
    },
    Suite {
        name: "headers",
        about: "users, keys, values and cookies try to write headers of their own",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::headers::no_header_of_a_response_comes_from_a_request",
        )],
    },
    Suite {
        name: "sizes",
        about: "requests at once add what fits only apart",
        tests: &[Test::of(
            "middleware",
            FACADE,
            "hostile::sizes::changes_that_fit_only_apart_are_refused_together",
        )
        .rounds(1_000)],
    },
    Suite {
        name: "fuzz",
        about: "libFuzzer looks for a minute for an input that breaks what has to hold",
        tests: &[
            Test::of("fuzz, decoding records", FUZZ, "record"),
            Test::of("fuzz, reading cookies", FUZZ, "cookies"),
            Test::of("fuzz, identifiers", FUZZ, "names"),
            Test::of("fuzz, URLs", FUZZ, "urls"),
            Test::of("fuzz, merging changes, against a model", FUZZ, "changes"),
        ],
    },
];
