//! The leak hunt over what changes stored data: customers who lower, leave, and have erased what they sent, in every
//! scope; and over everything that tells of it. In the end nothing above what is left may be in what drains, in an
//! opened record, in any output or log; the ciphertext of no record that was changed may be in any file; and of who was
//! erased as a whole no key, and the id in the notices to drainers only, who knew it; nor is an erased value that a level
//! kept anywhere else.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message as _;
use usaged::grpc::client::Timestamp;
use usaged::model::{CommitNumber, CustomerId, IdentifierClass as Class, Purpose, Purposes};
use usaged::observe::Clock;
use usaged::policy::{compile, shipped};
use usaged::sanitize::RootKey;
use usaged::store::{self, Customers, Entry};

use crate::cli_flow::page;
use crate::cli_run::{Collector, Ended, usaged};
use crate::fault_daemon::until;
use crate::hunt_canary::{Canary, Place, Sent};
use crate::hunt_cast::{Fill, Member, before_and_after};
use crate::hunt_named::{give_up, send_each_class};
use crate::hunt_search::files;
use crate::leak_hunt::{
    Hunt, look_in_directory, look_in_records, summary, what_is_kept_is_found, what_is_planted_is_found,
};

/// The request that the questions of an operator count as.
const ASKED: usize = usize::MAX;

/// Commands against the collector; what they say is looked through.
struct Desk<'c> {
    collector: &'c Collector,
    customer: String,
}

impl Desk<'_> {
    fn ask(&self, hunt: &mut Hunt, args: &[&str], input: &str) -> Ended {
        let told = self.collector.client(args, input);
        hunt.look(Place::Outside, args[0], format!("{}{}", told.out, told.err).as_bytes());
        told
    }

    fn ok(&self, hunt: &mut Hunt, args: &[&str], input: &str) -> Ended {
        let told = self.ask(hunt, args, input);
        assert_eq!(told.code, 0, "{args:?}: {} {}", told.out, told.err);
        told
    }

    fn ok_of(&self, args: &[&str]) -> String {
        let told = self.collector.client(args, "");
        assert_eq!(told.code, 0, "{args:?}: {}", told.err);
        told.out
    }

    fn erase(&self, hunt: &mut Hunt, what: &[&str], input: &str) -> serde_json::Value {
        let args = [&["erase", "--customer", &self.customer, "--reference", "ticket-1", "--json"][..], what]
            .concat();
        self.ok(hunt, &[&args[..], &["--dry-run"]].concat(), input);
        let told = self.ok(hunt, &args, input).json();
        assert_eq!(told["state"], "DONE", "{told}");
        told
    }
}

fn of<'c>(collector: &'c Collector, member: &Member) -> Desk<'c> {
    Desk { collector, customer: member.id().to_string() }
}

/// Looks through the answer to who named these canaries, so that they may be in it; nothing else may.
fn look_but_for(hunt: &mut Hunt, place: Place, asked: &[usize], of: &str, bytes: &[u8]) {
    let before: Vec<Canary> = asked.iter().map(|at| hunt.sent.canaries[*at].clone()).collect();
    for at in asked {
        let canary = &mut hunt.sent.canaries[*at];
        (canary.kept, canary.is_drained) = (Purpose::ALL.iter().copied().collect(), true);
        canary.told_to = Some(ASKED);
    }
    hunt.look(place, of, bytes);
    for (at, canary) in asked.iter().zip(before) {
        hunt.sent.canaries[*at] = canary;
    }
}

/// What is stored: of every commit two pieces of its ciphertext, which as a whole is cut up in the log.
pub fn ciphertexts(dir: &Path, key: &Path) -> BTreeMap<u64, [Vec<u8>; 2]> {
    let root = RootKey::from_hex(std::fs::read_to_string(key).unwrap().trim()).unwrap();
    let store = crate::store_samples::reopen(&store::Options::new(dir), &root, &Clock::system()).unwrap();
    let mut all = BTreeMap::new();
    for commit in 1..=store.head().0 {
        if let Some(Entry::Record(record)) = store.read_one(CommitNumber(commit)).unwrap() {
            let bytes = record.ciphertext();
            let piece = |at: usize| bytes[at..at + 24].to_vec();
            all.insert(commit, [piece(0), piece(bytes.len() / 2)]);
        }
    }
    all
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for path in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(path, to).unwrap();
    }
}

pub fn holds(dir: &Path, needle: &[u8]) -> bool {
    files(dir).iter().any(|path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        memchr::memmem::find(&bytes, needle).is_some()
    })
}

// covers: P1, P6, P8
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_what_was_lowered_or_erased_is_left_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["--log-level", "trace"];
    let collector = Collector::start(dir.path(), &args);
    let mut hunt = Hunt::new(&collector, Sent::default()).await;
    let policy = compile(&shipped()).unwrap().0;
    let full: &[(&str, &str)] = &[("operational", "operational"), ("ceip", "enhanced")];
    let mut pair =
        |part: &str, after: &[(&str, &str)]| before_and_after(&mut hunt.sent, &policy, part, after);
    let [lower_first, lowered] = pair("who lowered", &[("operational", "operational"), ("ceip", "standard")]);
    let [leave_first, left] = pair("who left", &[]);
    let [erased_first, erased] = pair("who was erased", &[]);
    let [part_first, part] = pair("of whom a part was erased", full);
    hunt.participate(&[lower_first, leave_first, erased_first, part_first]).await;

    for product in 0..policy.products().len() {
        for member in [&lowered, &left, &erased] {
            let batch = hunt.batch(member, product, Fill::Good);
            hunt.send(member.id(), &batch.encode_to_vec().into()).await.unwrap();
        }
    }
    // One batch that stays, one of an instance, one of a time, and one of which every identifier that can be is erased.
    let stays = hunt.batch(&part, 0, Fill::Good);
    hunt.send(part.id(), &stays.encode_to_vec().into()).await.unwrap();
    let since = hunt.sent.canaries.len();
    let of_instance = hunt.batch(&part, 0, Fill::Good);
    hunt.send(part.id(), &of_instance.encode_to_vec().into()).await.unwrap();
    let mut of_time = hunt.batch(&part, 0, Fill::Good);
    let hour_ago = jiff::Timestamp::now().as_second() - 3_600;
    for event in &mut of_time.events {
        event.time = Some(Timestamp { seconds: hour_ago, nanos: 0 });
    }
    hunt.send(part.id(), &of_time.encode_to_vec().into()).await.unwrap();
    hunt.sent.keep_none_since(since);
    let of_classes = send_each_class(&mut hunt, &part).await;

    // Drainers hold leases of all of it, and are told.
    let desk = of(&collector, &part);
    for purpose in Purpose::ALL {
        let name = format!("team-{purpose}");
        let create = [
            "subscription",
            "create",
            &name,
            "--purpose",
            purpose.as_str(),
            "--recipient",
            "x",
            "--from-oldest",
        ];
        desk.ok(&mut hunt, &create, "");
        let drained = collector.client(&["drain", &name], "");
        assert_eq!(drained.code, 0, "{}", drained.err);
    }
    give_up(&hunt).await;
    assert_eq!(collector.end(), 0);
    let (before, key) = (dir.path().join("before"), dir.path().join("data.key"));
    copy(&dir.path().join("data"), &before);
    let was = ciphertexts(&before, &key);
    let salt_of_erased = salt(&before, &key, erased.id());
    assert!(holds(&before, &salt_of_erased));
    assert!(was.values().all(|pieces| pieces.iter().any(|piece| holds(&before, piece))));

    // Lowered, left, erased.
    let collector = Collector::start(dir.path(), &args);
    hunt.reconnect(&collector).await;
    for member in [&lowered, &left] {
        let levels =
            member.participation.levels.iter().map(|(program, level)| format!("--level={program}={level}"));
        let levels: Vec<String> = levels.collect();
        let levels: Vec<&str> = levels.iter().map(String::as_str).collect();
        let desk = of(&collector, member);
        let id = desk.customer.as_str();
        let set = [
            &["participation", "set", id, "--reason", "x"][..],
            if levels.is_empty() { &["--level=ceip=none", "--level=operational=none"] } else { &levels },
        ]
        .concat();
        // These answers name the customer, as who asked did.
        let dry = [&set[..], &["--dry-run"]].concat();
        let binding = ["participation", "binding", id, "--wait", "--json"];
        for args in [&dry[..], &set, &binding] {
            let told = collector.client(args, "");
            assert_eq!(told.code, 0, "{args:?}: {}", told.err);
            let all = format!("{}{}", told.out, told.err);
            look_but_for(&mut hunt, Place::Answer(ASKED), &[member.canary()], args[1], all.as_bytes());
        }
    }
    of(&collector, &erased).erase(&mut hunt, &["--everything"], "");
    let desk = of(&collector, &part);
    desk.erase(&mut hunt, &["--instance", &of_instance.instance], "");
    let (from, end) = (at(hour_ago), at(hour_ago + 1));
    desk.erase(&mut hunt, &["--from", &from, "--until", &end], "");
    assert!(of_classes.len() > 9, "{}", of_classes.len());
    let mut were_kept = Vec::new();
    for named in &of_classes {
        let own = hunt.sent.search.canaries_in(named.value.as_bytes()).into_iter();
        let own = own.filter(|at| named.canaries.contains(at));
        were_kept.extend(own.map(|at| (at, hunt.sent.canaries[at].kept, named.value.as_bytes())));
        let what = ["--class", named.class.as_str(), "--value", "-"];
        let told = desk.erase(&mut hunt, &what, &named.value);
        let gone = named.keep_none(&mut hunt.sent);
        assert_eq!(told["removed_events"], gone, "{}: {told}", named.class);
        let args =
            ["policy", "explain", "--customer", &desk.customer, "--batch", &named.batch.batch_id, "--json"];
        let told = collector.client(&args, "");
        assert_eq!(told.code, 0, "{}", told.err);
        let is_id = |canary: &Canary| canary.what.starts_with("batch id,");
        let id = named.canaries.clone().find(|at| is_id(&hunt.sent.canaries[*at])).unwrap();
        look_but_for(&mut hunt, Place::Stored, &[id], "an explained batch", told.out.as_bytes());
    }
    // Of who was erased there is nothing but the id, in the notices that its drainers were given: it was drained with
    // its id as it is.
    hunt.sent.canaries[erased.canary()].kept = Purposes::NONE;

    everything_that_tells(&mut hunt, &collector, dir.path(), &part);
    // Who received data is told, deletes it and says so.
    let teams = Purpose::ALL.iter().map(|purpose| (*purpose, format!("team-{purpose}")));
    for (purpose, name) in teams.chain([(Purpose::Improve, "given-up".to_owned())]) {
        let told = collector.client(&["drain", &name, "--notices", "--ack-notices", "--json"], "");
        assert_eq!(told.code, 0, "{}", told.err);
        // A notice names a customer as it was named in what was delivered, and what was kept for the same purpose.
        let kept = were_kept.iter().filter(|(_, kept, _)| kept.has(purpose));
        let named: Vec<usize> = kept.clone().map(|(at, ..)| *at).chain([erased.canary()]).collect();
        look_but_for(&mut hunt, Place::Drained(purpose), &named, "notices", told.out.as_bytes());
        for (_, _, value) in kept {
            assert!(memchr::memmem::find(told.out.as_bytes(), value).is_some(), "{name} has it as it is");
        }
        desk.ok(&mut hunt, &["subscription", "seek", &name, "--oldest"], "");
    }
    let mut drained = Vec::new();
    for purpose in Purpose::ALL {
        drained.push((*purpose, hunt.drain(*purpose).await));
    }
    assert!(were_kept.iter().any(|(_, kept, _)| !kept.is_empty()));
    // When no notice waits, nothing on the disk says who was erased, or what.
    let data = dir.path().join("data");
    let values = were_kept.iter().map(|(.., value)| *value);
    let gone: Vec<&[u8]> = values.chain([erased.id().as_str().as_bytes()]).collect();
    until("the names are off the disk", || !gone.iter().any(|value| holds(&data, value)));
    hunt.sent.canaries[erased.canary()].is_registered = false;
    assert_eq!(collector.end(), 0);
    what_is_kept_is_found(&hunt.sent, &drained);

    look_in_directory(&mut hunt, dir.path());
    hunt.look(Place::Outside, "the log", &std::fs::read(dir.path().join("log")).unwrap());
    look_in_records(&mut hunt, dir.path(), 5);
    backup_holds_no_names(&mut hunt, dir.path(), &key);
    assert!(hunt.found.is_empty(), "{} leaks:\n{}", hunt.found.len(), summary(&hunt.found));

    // No old byte: of what was changed, no ciphertext; of who was erased, no salt.
    let is = ciphertexts(&data, &key);
    let changed: Vec<_> = was.iter().filter(|(commit, bytes)| is.get(commit) != Some(bytes)).collect();
    assert!(changed.len() >= 10 && changed.len() < was.len(), "{} of {}", changed.len(), was.len());
    for (commit, pieces) in changed {
        let is_left = pieces.iter().any(|piece| holds(&data, piece));
        assert!(!is_left, "the old record {commit} is in a file");
    }
    assert!(!holds(&data, &salt_of_erased));
    what_is_planted_is_found(&hunt.sent, dir.path());
}

fn at(second: i64) -> String {
    jiff::Timestamp::from_second(second).unwrap().to_string()
}

fn salt(dir: &Path, key: &Path, id: &CustomerId) -> Vec<u8> {
    let root = RootKey::from_hex(std::fs::read_to_string(key).unwrap().trim()).unwrap();
    let store = crate::store_samples::reopen(&store::Options::new(dir), &root, &Clock::system()).unwrap();
    store.customer(id).unwrap().unwrap().salt.expose().to_vec()
}

/// Every output of who operates, with what was erased still waiting to be told.
fn everything_that_tells(hunt: &mut Hunt, collector: &Collector, dir: &Path, member: &Member) {
    let desk = of(collector, member);
    let (json, html, site) = (dir.join("export.json"), dir.join("export.html"), dir.join("site"));
    let (json, html, site) =
        (json.display().to_string(), html.display().to_string(), site.display().to_string());
    let own = member.canary();
    let export = ["ledger", "export", "--customer", &desk.customer, "--out", &json, "--html", &html];
    let told = collector.client(&export, "");
    assert_eq!(told.code, 0, "{}", told.err);
    look_but_for(
        hunt,
        Place::Answer(ASKED),
        &[own],
        "ledger export",
        format!("{}{}", told.out, told.err).as_bytes(),
    );
    for path in [&json, &html] {
        // A record names its customer, and nothing else that was sent.
        let bytes = std::fs::read(path).unwrap();
        assert!(hunt.sent.search.canaries_in(&bytes).contains(&own), "{path}");
        look_but_for(hunt, Place::Answer(ASKED), &[own], path, &bytes);
    }
    let published = usaged(["policy", "publish", "deploy/policy", "--out", &site]);
    assert_eq!(published.code, 0, "{}", published.err);
    let pages = files(Path::new(&site));
    assert!(pages.len() > 3, "{pages:?}");
    for path in pages {
        hunt.look(Place::Outside, &path.display().to_string(), &std::fs::read(&path).unwrap());
    }
    // The answer names what was asked; nothing of it may stay behind.
    let secret = Canary { what: "a pseudonym looked up".into(), ..Canary::default() };
    let host = hunt.sent.text(secret, Class::HostName);
    let asked = [own, hunt.sent.canaries.len() - 1];
    let args = ["pseudonym", "--customer", &desk.customer, "--class", "host_name", "-"];
    let told = collector.client(&args, &host);
    assert_eq!(told.code, 0, "{}", told.err);
    let all = format!("{}{}", told.out, told.err);
    look_but_for(hunt, Place::Answer(ASKED), &asked, "pseudonym", all.as_bytes());
    let dead = desk.ok_of(&["subscription", "dead-letters", "given-up", "--batches", "--json"]);
    assert!(dead.contains("vm.inventory") && dead.contains("session.ended"), "the letters are there");
    hunt.look(Place::Drained(Purpose::Improve), "dead letters", dead.as_bytes());
    for args in [
        &["erase", "list", "--json"][..],
        &["subscription", "list", "--json"],
        &["subscription", "dead-letters", "given-up"],
        &["status"],
        &["ledger", "tail"],
        &["keys", "status"],
    ] {
        desk.ask(hunt, args, "");
    }
    for path in ["/metrics", "/readyz", "/livez", "/"] {
        hunt.look(Place::Outside, path, page(collector, path).as_bytes());
    }
}

/// The directory of a backup names nobody, and holds nothing that a file of rows does not.
fn backup_holds_no_names(hunt: &mut Hunt, dir: &Path, key: &Path) {
    let root = RootKey::from_hex(std::fs::read_to_string(key).unwrap().trim()).unwrap();
    let options = store::Options::new(&dir.join("data"));
    let store = crate::store_samples::reopen(&options, &root, &Clock::system()).unwrap();
    let (backup, rows) = (dir.join("backup"), dir.join("rows"));
    store.backup(&backup, &rows, &mut |_| {}).unwrap();
    assert!(Customers::new(store.clone(), 1).store().customers_count() > 0);
    for canary in &mut hunt.sent.canaries {
        canary.is_registered = false;
    }
    for path in files(&backup) {
        hunt.look(
            Place::Directory,
            &format!("the backup {}", path.display()),
            &std::fs::read(&path).unwrap(),
        );
    }
    // The rows name who is registered.
    let is_id = |canary: &&mut Canary| {
        canary.what.starts_with("customer id") && !canary.what.contains("who was erased")
    };
    for canary in hunt.sent.canaries.iter_mut().filter(is_id) {
        canary.is_registered = true;
    }
    hunt.look(Place::Directory, "the rows of a backup", &std::fs::read(&rows).unwrap());
}
