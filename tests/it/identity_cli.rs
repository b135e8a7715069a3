//! What the command line says where TLS and identities do not fit: why, what to do, and 4 where no collector was reached.

use std::os::unix::fs::PermissionsExt as _;

use crate::cli_run::usaged;
use crate::identity_world::{Ca, World};

#[test]
fn a_client_that_does_not_fit_the_tls_of_the_collector_is_told_what_to_do() {
    let world = World::new();
    let daemon = world.place().start();
    let in_clear = usaged(["participation", "list", "--server", &daemon.grpc]);
    assert!(in_clear.code == 4 && in_clear.err.contains("--tls-ca"), "{} {}", in_clear.code, in_clear.err);

    world.put("other.pem", &Ca::new("other CA").pem);
    let other = world.path("other.pem").display().to_string();
    let foreign = usaged(["participation", "list", "--server", &daemon.grpc, "--tls-ca", &other]);
    assert_eq!(foreign.code, 4, "{}", foreign.err);
    assert!(foreign.err.contains("not from a CA that is trusted here"), "{}", foreign.err);
    assert!(!foreign.err.contains("usaged serve"), "one is there: {}", foreign.err);
    assert_eq!(daemon.end(), 0);

    let dir = tempfile::tempdir().unwrap();
    let collector = crate::cli_run::Collector::start(dir.path(), &[]);
    let encrypted = usaged(["participation", "list", "--server", &collector.grpc, "--tls-ca", &other]);
    assert!(
        encrypted.code == 4 && encrypted.err.contains("does not speak TLS"),
        "{} {}",
        encrypted.code,
        encrypted.err
    );
    assert_eq!(collector.end(), 0);
}

// covers: P1
#[test]
fn a_token_or_a_key_that_others_can_read_is_not_used() {
    let world = World::new();
    let daemon = world.place().start();
    world.put("t.token", "usaged_canary");
    let token = world.path("t.token").display().to_string();
    let ca = world.path("pki/ca.pem").display().to_string();
    let list = ["participation", "list", "--server", &daemon.grpc, "--tls-ca", &ca, "--token-file", &token];
    let open = usaged(list);
    assert!(
        open.code == 2 && open.err.contains("mode 644") && open.err.contains("chmod 600"),
        "{}",
        open.err
    );
    assert!(!open.err.contains("canary"), "{}", open.err);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let closed = usaged(list);
    assert!(closed.code == 5 && closed.err.contains("CREDENTIAL_INVALID"), "{}", closed.err);

    let flags = world.operator_flags();
    let list = ["participation", "list", "--server", &daemon.grpc];
    let as_operator = || usaged(list.into_iter().chain(flags.iter().map(String::as_str)));
    assert_eq!(as_operator().code, 0);
    std::fs::set_permissions(world.path("client.key"), std::fs::Permissions::from_mode(0o640)).unwrap();
    let open = as_operator();
    assert!(open.code == 2 && open.err.contains("mode 640"), "{}", open.err);
    assert_eq!(daemon.end(), 0);
}

// covers: P1
#[test]
fn where_callers_are_known_nobody_asks_about_a_customer_over_http() {
    use std::io::{Read as _, Write as _};
    let world = World::new();
    let daemon = world.place().start();
    let ask = |line: &str, host: &str| {
        let mut stream = std::net::TcpStream::connect(&daemon.admin).unwrap();
        write!(stream, "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let batch = "GET /explain/batch/acme/0190a3c2-7b1e-7c55-9d2f-0123456789ab";
    for line in [batch, "POST /explain?product=vcenter&customer=acme"] {
        let told = ask(line, &daemon.admin);
        assert!(told.starts_with("HTTP/1.1 403") && told.contains("ASK_OVER_GRPC"), "{line}: {told}");
        let told = ask(line, "evil.example");
        assert!(told.starts_with("HTTP/1.1 403") && told.contains("FOREIGN_HOST"), "{line}: {told}");
    }
    // Probes and scrapers name whom they like.
    for page in ["GET /livez", "GET /readyz", "GET /metrics"] {
        assert!(ask(page, "evil.example").starts_with("HTTP/1.1 200"), "{page}");
    }
    assert_eq!(daemon.end(), 0);
}
