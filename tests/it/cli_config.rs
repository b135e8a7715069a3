//! The configuration: the sample is complete and true, every mistake is named at once with its
//! place, key and remedy, and flags go before the file.

use std::path::Path;

use usaged::config::{self, Override, Problem, Settings, Size, Span};

const SAMPLE: &str = include_str!("../../deploy/usaged.toml");

fn given(flag: &str, key: &str, value: &str) -> Override {
    Override { flag: flag.to_owned(), key: key.to_owned(), value: value.to_owned() }
}

fn problems(text: &str) -> Vec<Problem> {
    config::parse("u.toml", text, &[]).unwrap_err()
}

#[test]
fn the_sample_in_deploy_is_what_the_program_prints() {
    assert_eq!(SAMPLE, config::sample(), "run `usaged serve --print-config > deploy/usaged.toml`");
}

#[test]
fn the_sample_holds_the_defaults() {
    assert_eq!(config::parse("usaged.toml", SAMPLE, &[]), Ok(Settings::default()));
    assert_eq!(config::parse("empty.toml", "", &[]), Ok(Settings::default()));
}

#[test]
fn the_keys_that_the_sample_leaves_out_can_be_set() {
    let all = SAMPLE.replace("# root_key_file", "root_key_file").replace("# policy_dir", "policy_dir");
    let settings = config::parse("usaged.toml", &all, &[]).unwrap();
    assert_eq!(settings.root.policy_dir.as_deref(), Some(Path::new("/a/path")));
    assert_eq!(settings.root.root_key_file.as_deref(), Some(Path::new("/a/path")));
}

#[test]
fn a_flag_goes_before_the_file_and_the_last_flag_before_the_others() {
    let text = "[store]\nsegment_bytes = \"16MiB\"\nwitness_lag = \"10ms\"\n";
    let flags = [
        given("--set", "store.segment_bytes", "32MiB"),
        given("--set", "store.segment_bytes", "\"128MiB\""),
        given("--set", "store.group_records", "64"),
        given("--listen", "grpc.listen", "127.0.0.1:0"),
        given("--set", "ingest.level_caps", "{ ceip = \"standard\" }"),
    ];
    let settings = config::parse("u.toml", text, &flags).unwrap();
    assert_eq!(settings.store.segment_bytes, Size::mib(128));
    assert_eq!(settings.store.witness_lag, Span::ms(10));
    assert_eq!(settings.store.group_records, 64);
    assert_eq!(settings.grpc.listen.port(), 0);
    assert_eq!(settings.ingest.level_caps.len(), 1);
}

/// A mistake: the file, and the line, the key and a part of what has to be said about it.
const MISTAKES: &[(&str, usize, &str, &str)] = &[
    ("data_dir = 7", 1, "data_dir", "a path"),
    ("data_dir = \"\"", 1, "data_dir", "a path"),
    ("data_dri = \"./x\"", 1, "data_dri", "did you mean data_dir?"),
    ("colour = 1", 1, "colour", "known here: data_dir"),
    ("[stoer]\nx = 1", 1, "stoer", "did you mean store?"),
    ("store = 1", 1, "store", "write it as [store]"),
    ("[store]\nsegment_byte = \"1MiB\"", 2, "store.segment_byte", "did you mean segment_bytes?"),
    ("[store]\nsegment_bytes = 1048576", 2, "store.segment_bytes", "a size with a unit"),
    ("[store]\nsegment_bytes = \"64MB\"", 2, "store.segment_bytes", "a size with a unit"),
    ("[keys]\npast_epochs = 25", 2, "keys.past_epochs", "choose from 0 to 24"),
    ("[store]\nsegment_bytes = \"1KiB\"", 2, "store.segment_bytes", "choose from 1MiB to 4GiB"),
    ("[store]\n\nsegment_age = 30", 3, "store.segment_age", "a time with a unit"),
    ("[store]\nsegment_age = \"10ms\"", 2, "store.segment_age", "choose from 1s to 30d"),
    ("[store]\ngroup_records = \"many\"", 2, "store.group_records", "a whole number"),
    ("[store]\ngroup_records = -1", 2, "store.group_records", "a whole number"),
    ("[store]\ngroup_records = 0", 2, "store.group_records", "choose from 1 to"),
    ("[store]\nwhen_full = \"drop\"", 2, "store.when_full", "\"refuse\" or \"drop-oldest\""),
    ("[store]\naccept_data_loss = \"yes\"", 2, "store.accept_data_loss", "true or false"),
    ("[log]\nformat = \"xml\"", 2, "log.format", "\"text\" or \"json\""),
    ("[log]\nlevel = \"loud\"", 2, "log.level", "\"error\""),
    ("[grpc]\nlisten = \"localhost\"", 2, "grpc.listen", "an address and a port"),
    ("[grpc]\nlisten = \"0.0.0.0:7171\"", 2, "grpc.listen", "listen on 127.0.0.1"),
    ("[grpc]\nlisten = \"[::]:0\"", 2, "grpc.listen", "nobody is asked who they are"),
    ("[admin]\nlisten = \"192.0.2.1:80\"", 2, "admin.listen", "listen on 127.0.0.1"),
    ("[admin]\nlisten = \"127.0.0.1:7171\"", 2, "admin.listen", "choose another port"),
    ("[metrics]\nlisten = \"0.0.0.0:7173\"", 2, "metrics.listen", "every interface"),
    ("[metrics]\nlisten = \"[::]:7173\"", 2, "metrics.listen", "that Prometheus scrapes on"),
    ("[metrics]\nlisten = \"127.0.0.1:7171\"", 2, "metrics.listen", "grpc.listen has the same"),
    ("[metrics]\nlisten = \"127.0.0.1:7172\"", 2, "metrics.listen", "admin.listen has the same"),
    ("[metrics]\nlisten = \"localhost\"", 2, "metrics.listen", "an address and a port"),
    ("[grpc]\nmax_connections = 8", 0, "grpc.max_connections_per_peer", "at most grpc.max_connections"),
    (
        "[grpc]\nrequest_memory = \"8MiB\"",
        0,
        "grpc.request_memory_per_connection",
        "at most grpc.request_memory",
    ),
    ("[ingest]\nlevel_caps = { CEIP = \"standard\" }", 2, "ingest.level_caps", "a table of levels"),
    ("[ingest]\ncustomer_rates = { acme = 3 }", 2, "ingest.customer_rates", "a table of rates by customer"),
    ("[ingest]\ncustomer_burst = \"1ms\"", 2, "ingest.customer_burst", "choose from 100ms"),
    ("[ingest]\nlevel_caps = \"standard\"", 2, "ingest.level_caps", "a table of levels"),
    ("[shutdown]\ngrace = \"0s\"", 2, "shutdown.grace", "choose from 100ms to 10m"),
    ("root_key_file = \"./usaged-data/key\"", 1, "root_key_file", "outside of data_dir"),
    ("root_key_file = \"x/../usaged-data/./a/key\"", 1, "root_key_file", "outside of data_dir"),
    ("data_dir = \"a\"\ndata_dir = \"b\"", 2, "", "duplicate key"),
    ("[store\n", 1, "", "correct the TOML"),
];

#[test]
fn every_mistake_is_named_with_line_key_and_remedy() {
    for (text, line, key, said) in MISTAKES {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        let problem = found.first().unwrap();
        assert_eq!((problem.line, problem.key.as_str()), (*line, *key), "{text}: {problem}");
        assert_eq!(problem.place, if *line > 0 { "u.toml" } else { "default" }, "{text}: {problem}");
        assert!(problem.to_string().contains(said), "{text}: {problem}");
        assert!(!problem.remedy.is_empty(), "{text}: {problem}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = "datadir = 1\n[grpc]\nlisten = \"0.0.0.0:0\"\nnope = 1\n[store]\nsegment_bytes = 1\n[log]\nlevel = 1\n";
    let found: Vec<_> = problems(text).iter().map(|problem| (problem.line, problem.key.clone())).collect();
    let expected =
        [(1, "datadir"), (3, "grpc.listen"), (4, "grpc.nope"), (6, "store.segment_bytes"), (8, "log.level")];
    assert_eq!(found, expected.map(|(line, key)| (line, key.to_owned())));
}

#[test]
fn a_mistake_on_the_command_line_names_its_flag() {
    let flags = [
        given("--listen", "grpc.listen", "0.0.0.0:0"),
        given("--set", "store.segment_bites", "1MiB"),
        given("--set", "store.group_bytes", "1"),
    ];
    let found: Vec<_> =
        config::parse("u.toml", "", &flags).unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found.iter().any(|said| said.starts_with("--listen: grpc.listen: 0.0.0.0:0 can be reached")),
        "{found:?}"
    );
    assert!(found.iter().any(|said| said.ends_with("did you mean store.segment_bytes?")), "{found:?}");
    assert!(found.iter().any(|said| said.starts_with("--set: store.group_bytes: ")), "{found:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_of_its_own() {
    let refused = config::load(Some(Path::new("/nonexistent/usaged.toml")), &[]).err().unwrap();
    assert_eq!(refused.len(), 1);
    assert!(refused.first().unwrap().to_string().starts_with("/nonexistent/usaged.toml: cannot be read"));
}
