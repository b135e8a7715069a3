//! The detectors on the text of logs, beside what merely reads the same text.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use usaged::sanitize::{Finder, Scratch};

use crate::desk::Desk;
use crate::requests;

/// Lines as products write them: some hold an address, a name or an account, most hold nothing.
const LINES: [&str; 12] = [
    "2024-03-15T08:00:01.100Z info vpxd[4711] [Originator@6876 sub=vpxLro opID=k1x2-auto-1a2b] [VpxLRO] -- BEGIN lro-1042",
    "081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block blk_38865049064139660 terminating",
    "2015-10-18 18:01:47,978 INFO [main] org.apache.hadoop.mapreduce.v2.app.MRAppMaster: Created MRAppMaster for application",
    "081109 204005 35 INFO dfs.FSNamesystem: BLOCK* NameSystem.addStoredBlock: blockMap updated: 10.251.73.220:50010 is added",
    "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: authentication failure; logname= uid=0 euid=0 tty=NODEVssh ruser=",
    "[Sun Dec 04 04:47:44 2005] [error] mod_jk child workerEnv in error state 6 while scanning scoreboard slot 17",
    "2024-03-15 08:00:02.500 WARN [pool-7-thread-3] connection pool 85% utilized, waiting for a free connection for 1250 ms",
    "level=info ts=2022-09-22T08:01:34.180406501Z caller=table_manager.go:171 msg=\"uploading tables\" expected_tables=62",
    "Failed to connect to host esx-04.corp.example.com: timeout after 30000 ms, the operation will be retried in 5 seconds",
    "2024-03-15T08:00:03.217Z error hostd[2099] Task haTask-1042-vim.VirtualMachine.powerOn-317 failed: insufficient memory",
    "panic: runtime error: index out of range [3] with length 3 at main.(*Server).handle (/src/server/handle.go:182 +0x1f2a)",
    "W0315 08:00:04.001234   17 reflector.go:324] watch of *v1.Pod ended with: too old resource version: 1042317 (1042999)",
];

/// Requests of this many log lines.
const EVENTS: usize = 500;

pub(crate) fn measure(criterion: &mut Criterion) {
    let text: Vec<&str> = LINES.iter().copied().cycle().take(1200).collect();
    let bytes: usize = text.iter().map(|line| line.len()).sum();
    let mut group = criterion.benchmark_group("redact");
    group.throughput(Throughput::Bytes(u64::try_from(bytes).unwrap()));
    group.bench_function("find in log text", |bench| {
        let mut finder = Finder::default();
        bench.iter(|| {
            let mut found = 0;
            for line in &text {
                finder.each(black_box(line), |_| found += 1);
            }
            black_box(found)
        });
    });
    // References: how long it takes to read the same text for less.
    group.bench_function("reference: three bytes with memchr", |bench| {
        bench.iter(|| {
            text.iter()
                .map(|line| memchr::memchr3_iter(b'@', b':', b'.', line.as_bytes()).count())
                .sum::<usize>()
        });
    });
    group.bench_function("reference: split into words", |bench| {
        bench.iter(|| text.iter().map(|line| line.split_ascii_whitespace().count()).sum::<usize>());
    });
    group.finish();
    measure_requests(criterion);
}

fn measure_requests(criterion: &mut Criterion) {
    let line = |n: usize| LINES.iter().cycle().nth(n % LINES.len()).copied().unwrap_or_default();
    let request = requests::request(0, EVENTS, |n| requests::log_line(line(n)));
    let desk = Desk::new("enhanced");
    let stored = desk.batch(&request);
    assert_eq!(usize::try_from(stored.events()).unwrap(), EVENTS);
    let mut group = criterion.benchmark_group("redact a request");
    let bytes: usize = (0..EVENTS).map(|n| line(n).len()).sum();
    group.throughput(Throughput::Bytes(u64::try_from(bytes).unwrap()));
    let mut scratch = Scratch::default();
    group.bench_function("log lines at enhanced, permit and all", |bench| {
        bench.iter(|| black_box(desk.sanitise(black_box(&request), &mut scratch)));
    });
    // Each event has a URL or a path; the one time a few that come again, the other time another one each.
    for (name, others) in
        [("the same URL and path in each event", 1), ("another URL or path in each event", EVENTS)]
    {
        let request = requests::request_of("tanzu-cli", 0, EVENTS, |n| {
            let one = n % others;
            let endpoint = format!("https://k8s-{one:04}.prod.corp.example.com:6443/api/v1?tenant=a{one:04}");
            let file = format!("/home/user{one:04}/.config/tanzu/clusters/prod/config.yaml");
            requests::command(n, &endpoint, &file, line(n))
        });
        assert_eq!(usize::try_from(desk.batch(&request).events()).unwrap(), EVENTS);
        group.throughput(Throughput::Elements(u64::try_from(EVENTS).unwrap()));
        group.bench_function(name, |bench| {
            bench.iter(|| black_box(desk.sanitise(black_box(&request), &mut scratch)));
        });
    }
    group.finish();
}
