//! From the first request that is accepted on the end is an orderly one, however long the start goes on.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::process::Signal;

use crate::fault_daemon::{SOON, Starting, until};
use crate::identity_world::World;

/// The ports of loopback that a process listens on.
fn listens(pid: u32) -> Vec<u16> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    let sockets: Vec<String> = links
        .filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    let port = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_its =
            fields.get(3) == Some(&"0A") && sockets.iter().any(|socket| fields.get(9) == Some(&&**socket));
        let port = fields.get(1)?.strip_prefix("0100007F:")?;
        is_its.then(|| u16::from_str_radix(port, 16).unwrap())
    };
    table.lines().skip(1).filter_map(port).collect()
}

/// Whether the HTTP door is behind a port.
fn is_admin(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut text = [0; 12];
    stream.read_exact(&mut text).is_ok() && &text == b"HTTP/1.1 200"
}

/// Where the gRPC door of a collector will be that does not say so yet.
fn door(starting: &Starting) -> String {
    let mut found = None;
    until("it listens", || {
        let ports = listens(starting.pid());
        let admin = ports.iter().find(|port| ports.len() == 2 && is_admin(**port));
        found = admin.and_then(|admin| ports.iter().find(|port| *port != admin)).copied();
        found.is_some()
    });
    format!("127.0.0.1:{}", found.unwrap())
}

/// A start waits for the keys of an identity provider. Nothing is accepted meanwhile, so that nothing is cut if it ends.
/// covers: S1
#[test]
fn who_comes_while_a_start_waits_for_the_keys_of_a_provider_is_not_accepted_before_it_would_end_in_order() {
    let provider = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = World::new();
    let ca = world.path("pki/ca.pem").display().to_string();
    let issuer = format!("https://{}", provider.local_addr().unwrap());
    let jwt = format!(
        "[jwt]\nissuer = {issuer:?}\naudience = [\"usaged\"]\nalgorithms = [\"ES256\"]\nca = {ca:?}\n"
    );
    world.put("usaged.toml", &format!("{}{jwt}", world.configuration()));
    let starting = world.place().spawn();
    let door = door(&starting);
    // It is asked, and does not answer.
    let asked = provider.accept().unwrap();
    let begun = std::time::Instant::now();
    while world.run(&door, &["status"]).code != 0 {
        assert!(begun.elapsed() < SOON, "nobody is let in: {}", world.place().said());
    }
    starting.signal(Signal::TERM);
    assert_eq!(starting.ended(), 0);
    let said = world.place().said();
    assert!(said.contains("every request in progress was answered"), "{said}");
    assert!(!said.contains("asked to end while it started"), "{said}");
    drop(asked);
}
