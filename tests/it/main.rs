//! Every test that goes through the public surface, in one binary: the crate is linked once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::wildcard_enum_match_arm,
    clippy::pedantic,
    clippy::type_complexity,
    reason = "a test that cannot go on should stop, and lints that shape an interface have none to shape here"
)]

mod amend_flow;
mod amend_store;
mod architecture;
mod attack_bombs;
mod attack_elsewhere;
mod attack_frames;
mod attack_line;
mod attack_list;
mod attack_run;
mod attack_tls;
mod attack_world;
mod backup_under_load;
mod bad_input;
mod broken_calls;
mod cli_backup;
mod cli_config;
mod cli_drain_load;
mod cli_exit;
mod cli_explain;
mod cli_explain_batch;
mod cli_flow;
mod cli_help;
mod cli_participation;
mod cli_run;
mod collection_nest;
mod collection_plan;
mod collection_source;
mod composition;
mod composition_text;
mod conservation;
mod container_image;
mod data_directory;
mod debian_package;
mod delivery_modes;
mod descriptors;
mod dictionary_events;
mod documents;
mod door_limits;
mod door_raw;
mod drain_bind;
mod drain_flow;
mod drain_live;
mod drain_marks;
mod drain_model;
mod drain_notices;
mod drain_purposes;
mod drain_told;
mod drain_world;
mod erase_newer;
mod erase_receipt;
mod erase_tokens;
mod erasure_pressed;
mod erasure_spellings;
mod erasure_whole;
mod explain_equals_ingest;
mod explain_http;
mod explain_standing;
mod exposure;
mod exposure_live;
mod fair_neighbour;
mod fault_daemon;
mod fault_load;
mod fault_oracle;
mod format_fixture;
mod full_disk;
mod full_disk_end;
mod fuzz_replay;
#[path = "../fuzz/targets/mod.rs"]
mod fuzz_targets;
mod golden_levels;
mod grpc_collector;
mod grpc_ingest;
mod grpc_proto;
mod grpc_services;
mod health_anyone;
mod hunt_amend;
mod hunt_ask;
mod hunt_bad;
mod hunt_canary;
mod hunt_cast;
mod hunt_named;
mod hunt_search;
mod hunt_text;
mod identity_cli;
mod identity_config;
mod identity_ends;
mod identity_flood;
mod identity_live;
mod identity_matrix;
mod identity_provider;
mod identity_python;
mod identity_told;
mod identity_world;
mod keys_flow;
mod keys_root;
mod kill_loop;
mod known_values;
mod kubernetes;
mod large_backlog;
mod late_text;
mod leak_hunt;
mod ledger_daemon;
mod ledger_files;
mod ledger_sums;
mod ledger_tamper;
mod ledger_world;
mod made_up;
mod notice_texts;
mod policy_binds;
mod policy_diff;
mod policy_in_flight;
mod policy_publish;
mod power_cut;
mod probes;
mod python_client;
mod python_sender;
mod rates_live;
mod reach;
mod reload_slow;
mod rot;
mod slow_disk;
mod slow_file;
mod soak;
mod soak_cast;
mod soak_oracle;
mod soak_world;
mod start_accepts;
mod start_again;
mod start_ended;
mod store_basis;
mod store_keys;
mod store_model;
mod store_queue;
mod store_recovery;
mod store_registry;
mod store_samples;
mod stored_leaves;
mod striking;
mod swapped;
mod sync_error;
mod systemd;
mod term;
mod unit_file;
mod vectors_idna;
mod watch_logs;
mod watch_prometheus;
mod watch_rules;
mod watch_traces;
