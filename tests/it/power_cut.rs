//! The power goes: an ext4 file system on a loop device, whose backing file lies in btrfs, is copied at an instant by a
//! reflink while the collector works on it. The copy has what the device had been given by then, and nothing that the
//! kernel still held back. It is mounted, opened and drained. And a device that fails to write, for real.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::fault_daemon::{Disk, Place, SOON};
use crate::fault_load::{Load, drain_all, set_up};
use crate::fault_oracle::{is_long, survived};

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run deploy/setup.sh as root"));
    assert!(
        output.status.success(),
        "this test mounts file systems on loop devices, which takes root, btrfs-progs and e2fsprogs (deploy/setup.sh); \
         {program} {args:?} said: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// A file as a mounted file system. Unmounted and let go when it is dropped.
struct Mounted {
    device: String,
    at: PathBuf,
}

impl Mounted {
    /// Mounts the file `image` at the new directory `at`.
    fn mount(image: &Path, at: &Path) -> Self {
        let device = run("losetup", &["--find", "--show", &image.display().to_string()]).trim().to_owned();
        std::fs::create_dir_all(at).unwrap();
        let mounted = Self { device, at: at.to_owned() };
        run("mount", &[&mounted.device, &at.display().to_string()]);
        mounted
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        let _ = Command::new("losetup").arg("-d").arg(&self.device).status();
    }
}

/// Makes a sparse file of `size` bytes with a file system.
fn format(image: &Path, size: u64, program: &str, options: &[&str]) {
    std::fs::File::create(image).unwrap().set_len(size).unwrap();
    run(program, &[options, &[&image.display().to_string()]].concat());
}

/// The newest write-ahead log of a data directory.
fn newest_log(data: &Path) -> PathBuf {
    let entries = std::fs::read_dir(data.join("db")).unwrap().map(|entry| entry.unwrap().path());
    let logs = entries.filter(|path| path.extension().is_some_and(|end| end == "log"));
    logs.filter(|path| path.metadata().unwrap().len() > 0).max().unwrap()
}

/// covers: D1, D2, D6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_instant_loses_nothing_acknowledged_and_a_tail_that_is_gone_is_noticed() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name);
    format(&path("btrfs.img"), 700 << 20, "mkfs.btrfs", &["-q"]);
    let _host = Mounted::mount(&path("btrfs.img"), &path("host"));
    let (disk, crash) = (path("host").join("disk.img"), path("host").join("crash.img"));
    format(&disk, 160 << 20, "mkfs.ext4", &["-q", "-F"]);
    let live = Mounted::mount(&disk, &path("live"));
    let sets = [
        "--set",
        "store.witness_lag=0ms",
        "--set",
        "store.segment_bytes=1MiB",
        "--set",
        "store.retention_bytes=64MiB",
    ];
    let place = |at: &str, log: &str| {
        let mut place = Place::new(&path(at));
        place.log = path(log);
        place.with(&sets).with(&["--set", "store.reserve_bytes=1MiB"])
    };
    let daemon = tokio::task::block_in_place(|| place("live", "live.log").start());
    set_up(&daemon.grpc, &["acme", "globex"], &["verify"]).await;
    let mut load = Load::new();
    load.is_at(&daemon.grpc);
    let cuts = if is_long() { 30 } else { 3 };
    let mut copied = 0;
    for cut in 0..cuts {
        load.sender("acme", 0);
        load.sender("globex", 0);
        load.pipeliner("acme");
        load.goes_on(40).await;
        let acknowledged = load.oracle.acknowledged();
        let (from, to) = (disk.display().to_string(), crash.display().to_string());
        tokio::task::block_in_place(|| run("cp", &["--reflink=always", &from, &to]));
        copied += acknowledged.len();
        // While the copy is looked at nothing comes: however long that takes, the store does not fill up.
        load.stop().await;
        let mounted = tokio::task::block_in_place(|| Mounted::mount(&crash, &path("crash")));
        let survivor = tokio::task::block_in_place(|| place("crash", "crash.log").start());
        let drained = drain_all(&survivor.grpc, "verify", &load.oracle).await;
        load.oracle.compare_instant(&drained, &acknowledged);
        tokio::task::block_in_place(|| survivor.kill());
        if cut == cuts - 1 {
            // The disk lied: the end of the log never reached it.
            let survivor = tokio::task::block_in_place(|| place("crash", "crash.log").start());
            let again = Load::new();
            set_up(&survivor.grpc, &["initech", "umbrella"], &[]).await;
            tokio::task::block_in_place(|| survivor.kill());
            let log = newest_log(&path("crash").join("data"));
            let length = log.metadata().unwrap().len();
            std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(length / 2).unwrap();
            let (code, said) = tokio::task::block_in_place(|| place("crash", "crash.log").refused());
            assert_eq!(code, 6, "{said}");
            assert!(
                said.contains("acknowledged data is missing") && said.contains("--accept-data-loss"),
                "{said}"
            );
            let daring = place("crash", "crash.log").with(&["--accept-data-loss"]);
            let survivor = tokio::task::block_in_place(|| daring.start());
            assert_eq!(tokio::task::block_in_place(|| survivor.end()), 0);
            drop(again);
        }
        drop(mounted);
        std::fs::remove_file(&crash).unwrap();
    }
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    drop(live);
    survived("power cut (reflink copy of the device)", cuts, copied);
}

/// covers: D1
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_fails_to_write_ends_the_process_and_nothing_acknowledged_is_lost() {
    let home = tempfile::tempdir().unwrap();
    // The device is larger than what is behind it: when that is full, writes to the device fail.
    let behind = Disk::mount("size=80m");
    let image = behind.path().join("disk.img");
    format(&image, 512 << 20, "mkfs.ext4", &["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1"]);
    let at = home.path().join("disk");
    let mounted = Mounted::mount(&image, &at);
    let place = || {
        let mut place = Place::new(&at);
        place.log = home.path().join("log");
        place
    };
    let mut daemon = tokio::task::block_in_place(|| place().start());
    set_up(&daemon.grpc, &["acme", "globex"], &["verify"]).await;
    let mut load = Load::new();
    load.sender("acme", 0);
    load.pipeliner("globex");
    load.is_at(&daemon.grpc);
    load.goes_on(50).await;
    let ballast = behind.path().join("ballast");
    let mut file = std::fs::File::create(&ballast).unwrap();
    let block = vec![0xA5_u8; 1 << 16];
    while std::io::Write::write_all(&mut file, &block).is_ok() {}
    let begun = std::time::Instant::now();
    while !daemon.has_ended() {
        assert!(begun.elapsed() < SOON, "the collector goes on upon a device that does not write");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    load.is_gone();
    let said = place().said();
    assert_eq!(daemon.ended(), 1, "{said}");
    assert!(said.contains("start again") || said.contains("the store failed"), "{said}");
    drop(file);
    std::fs::remove_file(&ballast).unwrap();
    drop(mounted);
    // As an operator does after such an error: the file system is checked, and mounted again.
    let _ = Command::new("e2fsck").args(["-fy", &image.display().to_string()]).output().unwrap();
    let mounted = Mounted::mount(&image, &at);
    let daemon = tokio::task::block_in_place(|| place().start());
    load.is_at(&daemon.grpc);
    load.goes_on(20).await;
    load.stop().await;
    load.oracle.compare(&drain_all(&daemon.grpc, "verify", &load.oracle).await);
    assert_eq!(tokio::task::block_in_place(|| daemon.end()), 0);
    drop(mounted);
    survived("a block device that fails to write", 1, load.oracle.count());
}
