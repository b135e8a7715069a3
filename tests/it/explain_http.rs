//! Explaining on the admin port: the answers of the command line, for pasted events and for stored batches; nothing of
//! a value in the log; and no page from elsewhere can ask.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value as Json;

use crate::cli_run::{Collector, Ended};

const EVENTS: &str = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"canary-7.example.com\",\"vcpus\":8,\"made_up\":\"canary-8\"}}\n\
                      {\"name\":\"support.log_line\",\"fields\":{\"message\":\"canary.jane@example.com logged in\"}}\n";

fn ok(told: Ended) -> Ended {
    assert_eq!(told.code, 0, "{}{}", told.out, told.err);
    told
}

/// The status and the body of an answer.
fn ask(collector: &Collector, line: &str, headers: &[&str], body: &str) -> (u16, Json) {
    let mut stream = TcpStream::connect(&collector.admin).unwrap();
    write!(stream, "{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len()).unwrap();
    headers.iter().for_each(|header| write!(stream, "{header}\r\n").unwrap());
    // Who is refused early does not read the rest.
    let _ = write!(stream, "\r\n{body}");
    let mut text = String::new();
    let _ = stream.read_to_string(&mut text);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
    assert!(head.to_lowercase().contains("cache-control: no-store"), "{head}");
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
}

/// Without the moment at which it was asked, and the instance that the command line makes up.
fn timeless(mut told: Json) -> Json {
    for level in told["levels"].as_array_mut().unwrap() {
        for event in level["events"].as_array_mut().unwrap() {
            let event = event.as_object_mut().unwrap();
            assert!(event.remove("receive_time").is_some() && event.remove("time").is_some());
            event.remove("instance");
        }
    }
    told
}

#[test]
fn the_admin_port_explains_what_the_command_line_explains() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &[]);
    let set = ["participation", "set", "acme", "--level", "ceip=enhanced", "--reason", "test"];
    ok(collector.client(&set, ""));
    let host = format!("Host: {}", collector.admin);
    let local = [host.as_str()];

    let (status, told) =
        ask(&collector, "POST /explain?product=vcenter&customer=acme&region=eea", &local, EVENTS);
    let args =
        ["policy", "explain", "--customer", "acme", "--product", "vcenter", "--region", "eea", "--json"];
    let said = ok(collector.client(&args, EVENTS)).json();
    assert_eq!((status, timeless(told.clone())), (200, timeless(said)));
    let in_force = told["levels"].as_array().unwrap().iter().filter(|level| level["in_force"] == true);
    assert_eq!(in_force.count(), 1);
    let (status, anyone) = ask(&collector, "POST /explain?product=vcenter", &local, EVENTS);
    assert_eq!((status, anyone["sent"].as_array().unwrap().len()), (200, 2));
    assert_ne!(anyone["levels"], told["levels"], "the pseudonyms of nobody are not those of a customer");

    // A stored batch.
    let sent =
        ok(collector.client(&["send", "--customer", "acme", "--product", "vcenter", "--json"], EVENTS));
    assert!(sent.out.contains("\"accepted"), "{}", sent.out);
    let id = "0190a3c2-7b1e-7c55-9d2f-0123456789ab";
    let line = format!("GET /explain/batch/acme/{id}");
    let (status, told) = ask(&collector, &line, &local, "");
    assert_eq!((status, &told["reason"]), (404, &Json::from("BATCH_NOT_FOUND")), "{told}");

    // What is wrong is said, and not repeated.
    let bad = [
        ("POST /explain", EVENTS, 400),
        ("POST /explain?product=vcenter&canary=1", EVENTS, 400),
        ("POST /explain?product=vcenter", "{\"name\":\"a\",\"fields\":{\"x\":\"canary-9\"", 400),
        ("POST /explain?product=vcenter&region=canary", EVENTS, 400),
        ("POST /explain?product=vcenter&customer=canary-10", EVENTS, 404),
        ("GET /explain/batch/acme/canary-11", "", 400),
        ("GET /explain/batch/canary-12/0190a3c2-7b1e-7c55-9d2f-0123456789ab", "", 404),
    ];
    for (line, body, expected) in bad {
        let (status, told) = ask(&collector, line, &local, body);
        assert_eq!(status, expected, "{line}: {told}");
        assert!(!told.to_string().contains("canary"), "{line}: {told}");
    }
    let long = "x".repeat(2 << 20);
    assert_eq!(ask(&collector, "POST /explain?product=vcenter", &local, &long).0, 400);

    // A page from elsewhere, under its own name or from it.
    let origin = "Origin: http://evil.example";
    for headers in [&["Host: evil.example"][..], &["Host: evil.example:7172"], &[&host, origin], &[]] {
        for (line, body) in [("POST /explain?product=vcenter", EVENTS), (line.as_str(), "")] {
            assert_eq!(ask(&collector, line, headers, body).0, 403, "{line} {headers:?}");
        }
    }
    assert_eq!(collector.end(), 0);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("canary"), "{log}");
}
