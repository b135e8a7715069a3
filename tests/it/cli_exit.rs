//! Exit codes and messages: what went wrong, where, and what to do; and JSON for programs.

use std::os::unix::fs::PermissionsExt as _;

use crate::cli_run::{Collector, usaged, usaged_with};

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [vec!["fly"], vec!["send"], vec!["policy", "check"], vec!["load", "--batch-size", "0"]] {
        assert_eq!(usaged(&args).code, 2, "{args:?}");
    }
}

#[test]
fn a_time_that_is_none_ends_with_2_and_the_form_of_times_is_named_with_an_example() {
    for (from, until) in [("yesterday", "2026-11-27T00:00:00Z"), ("2026-11-27T00:00:00Z", "yesterday")] {
        let ended = usaged(["erase", "--customer", "acme", "--from", from, "--until", until]);
        assert_eq!(ended.code, 2, "{}", ended.err);
        let flag = if from == "yesterday" { "--from <TIME>" } else { "--until <TIME>" };
        for word in ["'yesterday'", flag, "RFC 3339", "2026-11-27T09:30:00Z"] {
            assert!(ended.err.contains(word), "{word}: {}", ended.err);
        }
    }
}

#[test]
fn a_refused_configuration_ends_with_3_and_nothing_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let ended = usaged(["serve", "--listen", "0.0.0.0:0", "--data-dir", &data]);
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(
        ended.err.contains("--listen: grpc.listen: 0.0.0.0:0 can be reached from other machines"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("nobody is asked who they are"), "{}", ended.err);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let as_json = usaged(["serve", "--listen", "0.0.0.0:0", "--data-dir", &data, "--json"]);
    let error: serde_json::Value = serde_json::from_str(&as_json.err).unwrap();
    assert_eq!(
        (error["error"]["kind"].as_str(), error["error"]["exit_code"].as_i64()),
        (Some("refused"), Some(3))
    );
    assert_eq!(error["error"]["problems"].as_array().unwrap().len(), 1);
}

#[test]
fn check_finds_mistakes_without_starting() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("usaged.toml");
    std::fs::write(&file, "[store]\nsegment_bytes = 1\n").unwrap();
    let file = file.display().to_string();
    let ended = usaged(["serve", "--check", "--config", &file]);
    assert_eq!(ended.code, 3);
    assert!(ended.err.contains(&format!("{file}:2: store.segment_bytes: ")), "{}", ended.err);
    let policy = dir.path().join("policy").display().to_string();
    let ended = usaged(["serve", "--check", "--policy-dir", &policy]);
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert_eq!(usaged(["serve", "--check"]).code, 0);
}

#[test]
fn a_bad_policy_ends_with_3_and_names_every_mistake() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("programs")).unwrap();
    std::fs::write(
        dir.path().join("programs/ceip.toml"),
        "name = \"ceip\"\n[[levels]]\nname = \"x\"\nfoo = 1\n",
    )
    .unwrap();
    let path = dir.path().display().to_string();
    let ended = usaged(["policy", "check", &path]);
    assert_eq!(ended.code, 3);
    assert!(ended.out.lines().count() > 1 && ended.out.contains("programs/ceip.toml:"), "{}", ended.out);
    let as_json = usaged(["policy", "check", &path, "--json"]).json();
    assert_eq!(as_json["ok"], false);
    assert!(
        as_json["problems"].as_array().unwrap().iter().all(|one| one["remedy"].as_str().unwrap().len() > 3)
    );
    assert_eq!(usaged(["policy", "check", "--shipped"]).code, 0);
}

#[test]
fn a_collector_that_is_not_there_ends_with_4() {
    for args in [
        vec!["participation", "list"],
        vec!["drain", "x"],
        vec!["subscription", "list"],
        vec!["send", "--customer", "a", "--product", "vcenter"],
    ] {
        let ended = usaged(args.iter().chain(&["--server", "127.0.0.1:9"]));
        assert_eq!(ended.code, 4, "{args:?}: {}", ended.err);
        assert!(ended.err.contains("127.0.0.1:9") && ended.err.contains("usaged serve"), "{}", ended.err);
    }
}

#[test]
fn an_erasure_that_says_no_value_or_several_ends_with_2_before_anybody_is_asked() {
    let erase = |more: &[&str], input: &str| {
        usaged_with([&["erase", "--server", "127.0.0.1:9"], more].concat(), input)
    };
    let of = ["--customer", "acme", "--class", "host_name", "--value", "-"];
    for (more, input, what) in [
        (&of[..], "esx-1\nesx-2\n", "several lines"),
        (&of[..], "", "has no value"),
        (&of[..], "\n", "has no value"),
        (&of[2..], "esx-1\n", "--customer"),
        (&of[..2], "", "say what to erase"),
    ] {
        let ended = erase(more, input);
        assert_eq!(ended.code, 2, "{what}: {}", ended.err);
        assert!(ended.err.contains(what) && !ended.err.contains("esx-"), "{what}: {}", ended.err);
    }
    let ended = erase(&of, "esx-1\n");
    assert_eq!(ended.code, 4, "one value is asked for: {}", ended.err);
}

#[test]
fn what_the_collector_refuses_ends_with_5_and_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = |level: &str, more: &[&str]| {
        let args = [&["participation", "set", "acme", "--level", level, "--reason", "test"], more].concat();
        collector.client(&args, "")
    };
    let ended = set("ceip=extreme", &[]);
    assert_eq!(ended.code, 5, "{}", ended.err);
    assert!(ended.err.contains("none, standard, enhanced"), "{}", ended.err);
    assert_eq!(set("ceip=standard", &[]).code, 0);
    let stale = set("ceip=enhanced", &["--if-revision", "7", "--json"]);
    assert_eq!(stale.code, 5);
    assert!(stale.err.contains("\"reason\":\"REVISION_CHANGED\""), "{}", stale.err);
    assert_eq!(collector.client(&["participation", "get", "nobody"], "").code, 5);
    assert_eq!(collector.client(&["drain", "nobody"], "").code, 5);
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_store_that_is_absent_ends_with_2_and_one_that_is_in_use_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let absent = usaged(["store", "inspect", &data]);
    assert!(absent.code == 2 && absent.err.contains(&data), "{}", absent.err);
    let personal = dir.path().join("personal").display().to_string();
    for args in [
        vec!["check", &data],
        vec!["backup", "kept", "--personal", &personal, "--data-dir", &data],
        vec!["personal", &personal, "--data-dir", &data],
    ] {
        let absent = usaged([&["store"], &args[..]].concat());
        assert!(absent.code == 2 && absent.err.contains("there is no"), "{args:?}: {}", absent.err);
    }
    let absent = usaged(["ledger", "verify", &data]);
    assert!(absent.code == 2 && absent.err.contains(&data), "{}", absent.err);
    let absent = usaged(["policy", "check", &data]);
    assert!(
        absent.code == 3 && absent.err.contains(&format!("{data} would be refused: 1 mistake")),
        "{}",
        absent.err
    );
    let collector = Collector::start(dir.path(), &[]);
    let locked = usaged(["store", "inspect", &data]);
    assert_eq!(locked.code, 1, "{}", locked.err);
    assert!(locked.err.contains("in use by another process"), "{}", locked.err);
    let checked = usaged(["store", "check", &data]);
    assert!(checked.code == 1 && checked.err.contains("in use by another process"), "{}", checked.err);
    let second =
        usaged(["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    assert_eq!(second.code, 1, "{}", second.err);
    assert_eq!(collector.end(), 0);
    let inspected = usaged(["store", "inspect", &data, "--json"]);
    assert_eq!(inspected.json()["head"], 0);
}

#[test]
fn a_root_key_that_others_can_read_or_that_is_lost_or_wrong_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(Collector::start(dir.path(), &[]).end(), 0);
    let data = dir.path().join("data").display().to_string();
    let key = dir.path().join("data.key");
    let serve =
        || usaged(["serve", "--data-dir", &data, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);

    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = serve();
    assert_eq!(exposed.code, 3);
    assert!(exposed.err.contains("chmod 600"), "{}", exposed.err);

    let text = std::fs::read_to_string(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let lost = serve();
    assert_eq!(lost.code, 3);
    assert!(lost.err.contains("put it back from your backup"), "{}", lost.err);

    let other: String =
        text.chars().map(|digit| if digit == '0' { '1' } else { '0' }).take(63).chain(['7']).collect();
    std::fs::write(&key, other).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let wrong = serve();
    assert_eq!(wrong.code, 6, "{}", wrong.err);
    assert!(wrong.err.contains("another root key"), "{}", wrong.err);
    assert!(!wrong.err.contains(text.trim()));
}

#[test]
fn an_import_with_bad_lines_sets_the_others_and_ends_with_7() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let lines = "{\"customer\":\"a\",\"levels\":{\"ceip\":\"standard\"}}\nnot json\n\n\
                 {\"customer\":\"b\",\"levels\":{\"ceip\":\"extreme\"}}\n{\"customer\":\"c\"}\n";
    let args = ["participation", "import", "-", "--format", "ndjson", "--reason", "test"];
    let ended = collector.client(&[&args[..], &["--json"]].concat(), lines);
    assert_eq!(ended.code, 7, "{}", ended.err);
    let report = ended.json();
    assert_eq!((&report["changed"], &report["failed"]), (&2.into(), &2.into()));
    let failures: Vec<_> =
        report["failures"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
    assert!(failures.iter().any(|said| said.starts_with("line 2: ")), "{failures:?}");
    assert!(
        failures.iter().any(|said| said.starts_with("line 4: ") && said.contains("extreme")),
        "{failures:?}"
    );
    let again = collector.client(&args, "{\"customer\":\"a\",\"levels\":{\"ceip\":\"standard\"}}\n");
    assert_eq!(again.code, 0, "{}", again.err);
    let toml = "[[participation]]\ncustomer = \"d\"\nlevels = { ceip = \"standard\" }\nregion = \"eea\"\n";
    let args = ["participation", "import", "-", "--format", "toml", "--reason", "test", "--json"];
    assert_eq!(collector.client(&args, toml).json()["changed"], 1);
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_line_that_is_no_event_is_named_and_what_came_before_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let args = ["send", "--customer", "acme", "--product", "vcenter", "--batch-size", "1", "--json"];
    let lines = "{\"name\":\"vm.inventory\",\"fields\":{\"vcpus\":8}}\n{\"name\":\"vm.inventory\",\"fields\":\"hunter2\"}\n";
    let ended = collector.client(&args, lines);
    assert_eq!(ended.code, 1, "{}", ended.err);
    assert!(ended.err.contains("line 2") && !ended.err.contains("hunter2"), "{}", ended.err);
    assert_eq!(ended.json()["states"]["disabled"], 1);
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_product_that_the_policy_does_not_have_ends_with_5_and_names_those_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = ["participation", "set", "acme", "--level", "ceip=standard", "--reason", "test"];
    assert_eq!(collector.client(&set, "").code, 0);
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"vcpus\":8}}\n";
    let send = |product: &str| {
        let args = ["send", "--customer", "acme", "--product", product, "--json"];
        collector.client(&args, &event.repeat(3))
    };
    let ended = send("nosuch");
    assert_eq!(ended.code, 5, "{}", ended.err);
    assert!(ended.err.contains("UNKNOWN_PRODUCT") && ended.err.contains("nosuch"), "{}", ended.err);
    assert!(ended.err.contains("it has: ") && ended.err.contains("vcenter"), "{}", ended.err);
    assert_eq!(ended.json()["withheld_events"]["UNKNOWN_PRODUCT"], 3, "the receipts are shown all the same");
    assert_eq!(send("vcenter").code, 0);
    assert_eq!(collector.end(), 0);
}

#[test]
fn health_at_the_grpc_address_says_where_to_ask() {
    let ended = usaged(["health", "--server", "127.0.0.1:7171"]);
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("usaged health --admin"), "{}", ended.err);
}

#[test]
fn explain_works_without_a_collector() {
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"esx-1.example.com\",\"vcpus\":8}}";
    let told = usaged_with(["policy", "explain", "--product", "vcenter", "--json"], event).json();
    let levels = told["levels"].as_array().unwrap();
    let standard = levels.iter().find(|level| level["level"] == "standard").unwrap();
    assert_eq!(standard["events"][0]["fields"]["vcpus"], 8);
    assert!(standard["events"][0]["fields"]["host"].as_str().unwrap().starts_with("p1-host_name-s-"));
}
