//! A configuration that opens a door is refused with the reason: at the start, with 3, or with 1 where the time
//! alone speaks against it, and by `usaged serve --check`, which says the same and starts nothing.

use std::os::unix::fs::PermissionsExt as _;

use crate::cli_run::usaged;
use crate::identity_world::{Ca, IDENTITIES, Names, World};

/// What is done to a good configuration, and what has to be said about it.
type Mistake = (&'static str, fn(&World), &'static str);

fn config(world: &World, change: impl Fn(&str) -> String) {
    let text = std::fs::read_to_string(world.path("usaged.toml")).unwrap();
    world.put("usaged.toml", &change(&text));
}

fn add(world: &World, text: &str) {
    config(world, |before| format!("{before}{text}\n"));
}

fn identity(world: &World, table: &str) {
    world.put("pki/identities.toml", &format!("{IDENTITIES}\n[[identity]]\nname = \"x\"\n{table}\n"));
}

fn mode(world: &World, name: &str, mode: u32) {
    std::fs::set_permissions(world.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
}

fn serves(world: &World, names: Names<'_>) {
    let pair = world.ca.client(names);
    world.put("pki/server.pem", &pair.certificate);
    world.put("pki/server.key", &pair.key);
}

const JWT: &str = "[jwt]\nissuer = \"https://id.example\"\n";

/// Every way to open a door that is known.
const MISTAKES: &[Mistake] = &[
    (
        "a wildcard listener without TLS and identities",
        |world| world.put("usaged.toml", "[grpc]\nlisten = \"0.0.0.0:0\"\n"),
        "nobody is asked who they are",
    ),
    (
        "a listener that other machines reach, without TLS",
        |world| {
            let file = world.path("pki/identities.toml").display().to_string();
            world.put(
                "usaged.toml",
                &format!("[grpc]\nlisten = \"192.0.2.1:0\"\n[identity]\nfile = {file:?}\n"),
            );
        },
        "could be read on the way",
    ),
    (
        "a pipe that nobody writes to, in place of the identities",
        |world| {
            let file = world.path("pki/identities.toml");
            std::fs::remove_file(&file).unwrap();
            assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
        },
        "is a pipe and no regular file",
    ),
    (
        "TLS without identities",
        |world| config(world, |text| text.split("client_ca").next().unwrap().to_owned()),
        "nobody asked who they are",
    ),
    (
        "a certificate without a key",
        |world| {
            config(world, |text| {
                text.lines().filter(|line| !line.starts_with("key")).collect::<Vec<_>>().join("\n")
            })
        },
        "there is no key to it",
    ),
    (
        "a key that others can read",
        |world| mode(world, "pki/server.key", 0o644),
        "can be read by others (mode 644)",
    ),
    (
        "a key that a group can read",
        |world| mode(world, "pki/server.key", 0o640),
        "can be read by others (mode 640)",
    ),
    (
        "identities that others can change",
        |world| mode(world, "pki/identities.toml", 0o666),
        "could let themselves in",
    ),
    (
        "a directory in which others can put root's revocation list of yesterday",
        |world| mode(world, "pki", 0o777),
        "pki: can be changed by others (mode 777)",
    ),
    (
        "a root key that others can read",
        |world| {
            world.put("data.key", &"0ab1".repeat(16));
            mode(world, "data.key", 0o644);
        },
        "can be read by others (mode 644)",
    ),
    (
        "a ledger key that others can read",
        |world| {
            world.put("data.ledger-key", &"0ab1".repeat(16));
            mode(world, "data.ledger-key", 0o604);
        },
        "can be read by others (mode 604)",
    ),
    (
        "a configuration that others can change",
        |world| mode(world, "usaged.toml", 0o666),
        "can be changed by others (mode 666)",
    ),
    ("CAs that others can change", |world| mode(world, "pki/ca.pem", 0o646), "could let themselves in"),
    (
        "a certificate that has expired",
        |world| serves(world, Names { is_over: true, ..Names::default() }),
        "has expired",
    ),
    (
        "a certificate that does not hold yet",
        |world| serves(world, Names { is_later: true, ..Names::default() }),
        "does not hold before",
    ),
    (
        "a key of another certificate",
        |world| world.put("pki/server.key", &world.ca.server().key),
        "does not match the certificate",
    ),
    ("a key that is none", |world| world.put("pki/server.key", "hunter2"), "holds no private key"),
    (
        "a file that is not there",
        |world| std::fs::remove_file(world.path("pki/ca.pem")).unwrap(),
        "cannot be read",
    ),
    (
        "a revocation list that is out of date",
        |world| world.put("pki/ca.crl", &world.ca.revokes(&[], -2)),
        "is out of date",
    ),
    (
        "a revocation list that is none",
        |world| world.put("pki/ca.crl", &world.ca.pem),
        "holds no revocation list",
    ),
    (
        "a revocation list of another CA",
        |world| world.put("pki/ca.crl", &Ca::new("other CA").revokes(&[], 30)),
        "is of CN=other CA, which is no CA in tls.client_ca",
    ),
    (
        "a CA without a revocation list",
        |world| world.put("pki/ca.pem", &format!("{}{}", world.ca.pem, Ca::new("other CA").pem)),
        "holds no revocation list of the CA CN=other CA",
    ),
    (
        "an operator role for everyone",
        |world| identity(world, "role = \"operator\""),
        "it would be everybody",
    ),
    (
        "an operator role by a wildcard",
        |world| identity(world, "role = \"operator\"\nsan_dns = \"*.example.com\""),
        "there are no wildcards",
    ),
    (
        "an operator role for an organisation",
        |world| identity(world, "role = \"operator\"\nsubject = [\"O=Vendor\"]"),
        "everybody of the organisation",
    ),
    (
        "an operator role for everybody of a provider",
        |world| {
            identity(world, "role = \"operator\"\nclaims = { iss = \"https://id.example\" }");
            add(
                world,
                &format!(
                    "{JWT}audience = [\"usaged\"]\nalgorithms = [\"ES256\"]\njwks_url = \"https://id.example/k\""
                ),
            );
        },
        "everybody of the organisation",
    ),
    (
        "an operator role for everybody who can log in",
        |world| identity(world, "role = \"operator\"\nclaims = { scope = \"openid\" }"),
        "everybody of the organisation",
    ),
    (
        "an identity that nobody can prove",
        |world| identity(world, "role = \"operator\"\nclaims = { sub = \"ann\" }"),
        "nobody can prove to be it",
    ),
    (
        "no identity at all",
        |world| {
            world.put("pki/identities.toml", "# nobody yet\n");
            config(world, |text| text.replace("tokens = true", "tokens = false"));
        },
        "nobody could call",
    ),
    (
        "a token in place of its hash",
        |world| identity(world, "role = \"operator\"\ntoken_hash = \"usaged_000\""),
        "does not belong here",
    ),
    (
        "the algorithm none",
        |world| add(world, &format!("{JWT}audience = [\"usaged\"]\nalgorithms = [\"none\"]")),
        "nobody signed the token",
    ),
    (
        "HMAC with a list of public keys",
        |world| add(world, &format!("{JWT}audience = [\"usaged\"]\nalgorithms = [\"HS256\", \"ES256\"]")),
        "HMAC takes a shared secret",
    ),
    (
        "no algorithm",
        |world| add(world, &format!("{JWT}audience = [\"usaged\"]")),
        "no algorithm is accepted",
    ),
    (
        "no audience",
        |world| add(world, &format!("{JWT}audience = []\nalgorithms = [\"ES256\"]")),
        "made for somebody else",
    ),
    (
        "an empty audience",
        |world| add(world, &format!("{JWT}audience = [\" \"]\nalgorithms = [\"ES256\"]")),
        "made for somebody else",
    ),
    (
        "keys over plain HTTP",
        |world| {
            let jwt = format!(
                "{JWT}audience = [\"usaged\"]\nalgorithms = [\"ES256\"]\njwks_url = \"http://id.example/k\""
            );
            add(world, &jwt);
        },
        "could put keys of their own in",
    ),
    (
        "a key set with a shared secret",
        |world| {
            world.put("pki/jwks.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}");
            let file = world.path("pki/jwks.json").display().to_string();
            add(
                world,
                &format!("{JWT}audience = [\"usaged\"]\nalgorithms = [\"ES256\"]\njwks_file = {file:?}"),
            );
        },
        "it holds a symmetric key",
    ),
    (
        "client certificates that nothing maps",
        |world| {
            config(world, |text| {
                text.lines().filter(|line| !line.starts_with("file")).collect::<Vec<_>>().join("\n")
            })
        },
        "nothing says who the client certificates belong to",
    ),
    (
        "a revocation list without a CA",
        |world| {
            config(world, |text| {
                text.lines().filter(|line| !line.starts_with("client_ca")).collect::<Vec<_>>().join("\n")
            })
        },
        "no client certificates that could be revoked",
    ),
];

#[test]
fn every_configuration_that_opens_a_door_is_refused_and_check_says_the_same() {
    for (name, make, said) in MISTAKES {
        let world = World::new();
        make(&world);
        let file = world.path("usaged.toml").display().to_string();
        let data = world.path("data").display().to_string();
        let checked = usaged(["serve", "--check", "--config", &file, "--data-dir", &data]);
        // What the time alone speaks against is tried again.
        let is_timely = !["has expired", "does not hold before", "is out of date"].contains(said);
        let code = if is_timely { 3 } else { 1 };
        assert_eq!(checked.code, code, "{name}: {} {}", checked.out, checked.err);
        assert!(checked.err.contains(said), "{name}: {}", checked.err);
        assert!(!checked.err.contains("hunter2"), "{name}: what a file holds is not quoted");
        let config = ["--config", &file, "--data-dir", &data, "--admin-listen", "127.0.0.1:0"];
        let started = usaged(["serve"].iter().chain(&config));
        assert_eq!(started.code, code, "{name}: {} {}", started.out, started.err);
        assert!(started.err.contains(said), "{name}: {}", started.err);
        assert!(!world.path("data").exists(), "{name}: nothing was started");
    }
    assert!(MISTAKES.len() > 25);
}

#[test]
fn a_data_directory_that_is_open_to_others_or_that_lost_its_key_is_refused_by_check_and_by_the_start() {
    let world = World::new();
    assert_eq!(world.place().start().end(), 0);
    let file = world.path("usaged.toml").display().to_string();
    let data = world.path("data").display().to_string();
    let refused = |said: &str| {
        let config = ["serve", "--config", &file, "--data-dir", &data, "--admin-listen", "127.0.0.1:0"];
        for more in [&["--check"][..], &[]] {
            let ended = usaged(config.iter().chain(more));
            assert!(ended.code == 3 && ended.err.contains(said), "{more:?}: {} {}", ended.code, ended.err);
        }
    };
    mode(&world, "data", 0o777);
    refused("is open to others (mode 777)");
    mode(&world, "data", 0o702);
    refused("run `chmod o-rwx` on it");
    mode(&world, "data", 0o700);
    for key in ["data.key", "data.ledger-key"] {
        std::fs::rename(world.path(key), world.path("away")).unwrap();
        refused("is missing; put it back from your backup");
        std::fs::rename(world.path("away"), world.path(key)).unwrap();
    }
    assert_eq!(world.place().start().end(), 0);
}

#[test]
fn a_good_configuration_is_checked_and_started_also_beyond_loopback() {
    let world = World::new();
    let file = world.path("usaged.toml").display().to_string();
    let checked = usaged(["serve", "--check", "--config", &file]);
    assert_eq!(checked.code, 0, "{}", checked.err);
    config(&world, |text| format!("[grpc]\nlisten = \"0.0.0.0:0\"\n{text}"));
    let checked = usaged(["serve", "--check", "--config", &file]);
    assert_eq!(
        checked.code, 0,
        "a listener that others reach is for a collector that knows callers: {}",
        checked.err
    );
    assert_eq!(world.place().start().end(), 0);
}

#[test]
fn the_first_operator_comes_in_by_a_token_that_is_made_offline() {
    let world = World::new();
    let token = world.path("ops.token").display().to_string();
    let made =
        usaged(["token", "issue", "--name", "first", "--role", "operator", "--offline", "--out", &token]);
    assert_eq!(made.code, 0, "{}", made.err);
    let again =
        usaged(["token", "issue", "--name", "first", "--role", "operator", "--offline", "--out", &token]);
    assert!(again.code == 1 && again.err.contains("name another file"), "{} {}", again.code, again.err);
    let expires = made.out.lines().find_map(|line| line.strip_prefix("expires = ")).unwrap();
    let expires: jiff::Timestamp = expires.trim_matches('"').parse().unwrap();
    let days = expires.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((89..=90).contains(&days), "{days}");
    let long = ["--offline", "--expires-in", "401d"];
    let too_long = usaged(["token", "issue", "--name", "first", "--role", "operator"].iter().chain(&long));
    assert_eq!(too_long.code, 2, "{}", too_long.err);
    world.put("pki/identities.toml", &made.out);
    config(&world, |text| {
        text.lines().filter(|line| !line.starts_with("client_")).collect::<Vec<_>>().join("\n")
    });
    let daemon = world.place().start();
    let ca = world.path("pki/ca.pem").display().to_string();
    let with = ["--server", &daemon.grpc, "--tls-ca", &ca, "--token-file", &token];
    let run = |args: &[&str]| usaged(args.iter().chain(&with));
    for command in [
        &["token", "list"][..],
        &["participation", "set", "acme", "--level", "ceip=standard", "--reason", "t"],
        &["participation", "get", "acme"],
        &["participation", "list"],
        &["participation", "history", "acme"],
        &["subscription", "create", "jobs", "--purpose", "improve", "--recipient", "r"],
        &["subscription", "list"],
        &["keys", "status"],
        &["ledger", "tail"],
        &["erase", "list"],
        &["plan", "--customer", "acme", "--product", "vcenter"],
        &["policy", "diff", "--live", &format!("{}/deploy/policy", env!("CARGO_MANIFEST_DIR"))],
    ] {
        let ended = run(command);
        assert_eq!(ended.code, 0, "{command:?}: {}", ended.err);
    }
    let refused = run(&["drain", "jobs", "--max-batches", "1"]);
    assert!(refused.code != 0, "an operator is no drainer: {}", refused.out);
    let nobody = usaged(["token", "list", "--server", &daemon.grpc, "--tls-ca", &ca]);
    assert!(nobody.code == 5 && nobody.err.contains("CREDENTIAL_MISSING"), "{}", nobody.err);
    let id = made.out.split("token_hash = \"").nth(1).unwrap().split(':').next().unwrap();
    let revoked = run(&["token", "revoke", id]);
    assert!(revoked.code != 0 && revoked.err.contains("taking it out there"), "{}", revoked.err);
    let page = daemon.page("/metrics");
    assert!(page.contains("usaged_certificate_expiry_seconds{file=\"identities\"}"), "{page}");
    // It ends as the file says.
    let over = made.out.replace(&expires.to_string(), "2026-01-01T00:00:00Z");
    assert_ne!(over, made.out);
    world.put("pki/identities.toml", &over);
    crate::fault_daemon::until("its end is taken over", || {
        let ended = run(&["token", "list"]);
        ended.code == 5 && ended.err.contains("CREDENTIAL_ENDED")
    });
    let left = || {
        let page = daemon.page("/metrics");
        let line = "usaged_certificate_expiry_seconds{file=\"identities\"} ";
        page.lines().find_map(|text| text.strip_prefix(line)).unwrap().parse::<f64>().unwrap()
    };
    crate::fault_daemon::until("its end is told", || left() < 0.0);
    // One without an end holds, and nothing is told to end any more.
    let line = over.lines().find(|line| line.starts_with("expires")).unwrap();
    world.put("pki/identities.toml", &over.replace(line, ""));
    crate::fault_daemon::until("its end is gone", || run(&["token", "list"]).code == 0);
    crate::fault_daemon::until("nothing is told to end", || left() > 0.0);
    assert_eq!(daemon.end(), 0);
}
