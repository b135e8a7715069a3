//! What machines ask a collector: the probe of a container, by exit code, and the metrics on an address of
//! their own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use rustix::process::Signal;

use crate::cli_run::{Collector, usaged};
use crate::fault_daemon::{Place, SOON, until};
use crate::term::half_sent_request;

fn health(admin: &str, more: &[&str]) -> (i32, String) {
    let ended = usaged(["health", "--admin", admin].iter().chain(more));
    (ended.code, ended.out + &ended.err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_probe_tells_by_its_exit_code_whether_a_collector_lives_and_is_ready() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Place::new(dir.path()).with(&["--set", "shutdown.grace=2m"]).start();
    assert_eq!(health(&daemon.admin, &[]), (0, "ready\n".to_owned()));
    assert_eq!(health(&daemon.admin, &["--live"]), (0, "alive\n".to_owned()));
    let told = usaged(["health", "--json", "--admin", &daemon.admin]).json();
    assert_eq!(
        (&told["ok"], &told["page"], &told["said"]),
        (&true.into(), &"/readyz".into(), &"ready".into())
    );

    // A request that has begun holds up the end: it lives and is not ready.
    let held = half_sent_request(&daemon.grpc).await;
    daemon.signal(Signal::TERM);
    tokio::task::block_in_place(|| until("not ready", || health(&daemon.admin, &[]).0 == 8));
    let (code, said) = health(&daemon.admin, &[]);
    assert!(code == 8 && said.contains("503: not ready: shutting down"), "{code} {said}");
    assert_eq!(health(&daemon.admin, &["--live"]).0, 0);
    let admin = daemon.admin.clone();
    drop(held);
    assert_eq!(tokio::task::block_in_place(|| daemon.ended()), 0);
    let (code, said) = health(&admin, &[]);
    assert!(code == 4 && said.contains(&admin) && said.contains("--admin"), "{code} {said}");
}

#[test]
fn a_probe_of_something_else_or_of_something_silent_ends_in_time_with_4() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let (code, said) = health(&at, &["--timeout", "100ms"]);
    assert!(code == 4 && said.contains(&at), "{code} {said}");
    let talking = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = talking.local_addr().unwrap().to_string();
    let answered = std::thread::spawn(move || {
        let (mut stream, _) = talking.accept().unwrap();
        BufReader::new(stream.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").unwrap();
    });
    assert_eq!(health(&at, &[]).0, 4);
    answered.join().unwrap();
}

/// The status line and the body of a page.
fn page(address: &str, method: &str, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn metrics_on_an_address_of_their_own_are_read_only_and_name_no_customer() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--set", "metrics.listen=127.0.0.2:0"]);
    let line = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let scraped = line.split(['"', ' ', '\n']).find_map(|word| word.strip_prefix("metrics=")).unwrap();
    assert!(scraped.starts_with("127.0.0.2:"), "{line}");
    let args = ["participation", "set", "canary-customer", "--level", "ceip=standard", "--reason", "test"];
    assert_eq!(collector.client(&args, "").code, 0);
    let event = "{\"name\":\"vm.inventory\",\"fields\":{\"host\":\"canary-host.example.com\",\"vcpus\":8}}";
    let send = ["send", "--customer", "canary-customer", "--product", "vcenter"];
    assert_eq!(collector.client(&send, event).code, 0);

    for (path, said) in
        [("/livez", "alive"), ("/readyz", "ready"), ("/metrics", "usaged_events_stored_total 1")]
    {
        let (head, body) = page(scraped, "GET", path);
        assert!(head.contains(" 200 ") && body.contains(said), "{path}: {head}");
        assert!(!body.contains("canary"), "{path} names a customer or a value");
        assert!(page(scraped, "POST", path).0.contains(" 405 "), "{path} can be written");
    }
    for path in ["/", "/console", "/api/status"] {
        assert!(page(scraped, "GET", path).0.contains(" 404 "), "{path}");
    }
    assert_eq!(collector.end(), 0);
    assert!(TcpStream::connect(scraped).is_err());
}

/// Asks for many pages, with little room for them, and reads none.
fn deaf(address: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&address.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut stream: TcpStream = socket.into();
    stream.write_all(&b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500)).unwrap();
    stream
}

// covers: B1
#[test]
fn clients_that_do_not_read_keep_no_scraper_and_no_probe_out() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::start(dir.path(), &["--set", "metrics.listen=127.0.0.2:0"]);
    let line = std::fs::read_to_string(dir.path().join("log")).unwrap();
    let scraped = line.split(['"', ' ', '\n']).find_map(|word| word.strip_prefix("metrics=")).unwrap();
    let _deaf: Vec<TcpStream> = (0..12).map(|_| deaf(scraped)).collect();
    let _more: Vec<TcpStream> = (0..80).map(|_| deaf(&collector.admin)).collect();
    for _ in 0..3 {
        let (head, body) = page(scraped, "GET", "/metrics");
        assert!(head.contains(" 200 ") && body.contains("usaged_build_info"), "{head}");
        assert_eq!(health(&collector.admin, &[]), (0, "ready\n".to_owned()));
    }
    assert_eq!(collector.end(), 0);
}

#[test]
fn a_metrics_address_that_is_every_interface_or_taken_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data").display().to_string();
    let serve = |metrics: &str| {
        let set = format!("metrics.listen={metrics}");
        usaged([
            "serve",
            "--data-dir",
            &data,
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--set",
            &set,
        ])
    };
    for wildcard in ["0.0.0.0:0", "[::]:0"] {
        let ended = serve(wildcard);
        assert!(ended.code == 3 && ended.err.contains("every interface"), "{} {}", ended.code, ended.err);
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = serve(&taken.local_addr().unwrap().to_string());
    assert!(ended.code == 1 && ended.err.contains("stop what uses it"), "{} {}", ended.code, ended.err);
    assert!(!Path::new(&data).exists());
}
