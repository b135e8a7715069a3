//! The oracle of the soak: what was chosen, erased and acknowledged, each with the span of logical time in which it
//! took effect, and so what may be delivered at any moment, and what must be there in the end.
//!
//! A change takes effect at some moment between its first attempt and its answer. What was acknowledged before its
//! beginning is bound by it after its end; in between, both are right, and nothing else is.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use usaged::grpc::client::Message as _;
use usaged::grpc::proto::drain::{Batch, ReceivedBatch, value::Kind as Stored};
use usaged::grpc::proto::ingest::SubmitResponse;
use usaged::grpc::proto::ingest::submit_response::State;
use usaged::model::UnixMillis;

use crate::soak_world::{self, Level, STRIDE, World, events, host_of, instance_of};

/// From the first attempt on; until the answer, if there is one yet. In ticks and in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    begun: u64,
    ended: Option<u64>,
    begun_ms: i64,
    ended_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Host(u64),
    Instance(u64),
    /// Events of these milliseconds, the end excluded.
    Times(i64, i64),
    Everything,
}

#[derive(Debug, Default)]
struct Chosen {
    levels: Vec<(Span, Level)>,
    erased: Vec<(Span, Scope)>,
}

#[derive(Debug, Clone)]
struct Sent {
    customer: usize,
    created: i64,
    sent: u64,
    /// When it was answered, and the level that the receipt names; `None` for a receipt that says stop.
    answered: Option<(u64, Option<Level>)>,
}

/// What happened, for the report.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sums {
    pub acknowledged: u64,
    pub duplicates: u64,
    pub stopped: u64,
    pub delivered: u64,
    pub settled: u64,
    pub lowered: u64,
    pub raised: u64,
    pub erased: u64,
    pub erased_customers: u64,
    pub withdrawn: u64,
}

#[derive(Default)]
struct Known {
    chosen: Vec<Chosen>,
    sent: HashMap<u64, Sent>,
    highest: u64,
    /// By subscription: commits that were acknowledged, and confirmed.
    settled: BTreeMap<String, BTreeSet<u64>>,
    /// By subscription: batches that it was given at some time.
    given: BTreeMap<String, HashSet<u64>>,
    sums: Sums,
}

pub struct Oracle {
    pub world: World,
    pub customers: Vec<String>,
    tick: AtomicU64,
    number: AtomicU64,
    known: Mutex<Known>,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the oracle has the clock of the machine, as the collector has"
)]
pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Oracle {
    /// Every customer is at `none`.
    pub fn new(world: World, customers: Vec<String>) -> Self {
        let known =
            Known { chosen: customers.iter().map(|_| Chosen::default()).collect(), ..Known::default() };
        Self {
            world,
            customers,
            tick: AtomicU64::new(1),
            number: AtomicU64::new(1),
            known: Mutex::new(known),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment; no two are the same.
    pub fn tick(&self) -> u64 {
        self.tick.fetch_add(1, Ordering::SeqCst)
    }

    pub fn sums(&self) -> Sums {
        self.known().sums
    }

    pub fn highest(&self) -> u64 {
        self.known().highest
    }

    fn span(&self) -> Span {
        let now = now_ms();
        Span { begun: self.tick(), ended: None, begun_ms: now, ended_ms: i64::MAX }
    }

    fn end(&self, span: &mut Span) {
        (span.ended, span.ended_ms) = (Some(self.tick()), now_ms());
    }

    /// A customer is about to choose a level.
    pub fn chooses(&self, customer: usize, level: Level) {
        let span = self.span();
        self.known().chosen[customer].levels.push((span, level));
    }

    pub fn chose(&self, customer: usize) {
        let mut known = self.known();
        let levels = &mut known.chosen[customer].levels;
        let (before, after) = match &levels[..] {
            [.., before, after] => (before.1, after.1),
            [after] => (Level::None, after.1),
            [] => unreachable!("nothing was chosen"),
        };
        self.end(&mut levels.last_mut().unwrap().0);
        known.sums.lowered += u64::from(after < before);
        known.sums.raised += u64::from(after > before);
    }

    /// Something of a customer is about to be erased.
    pub fn erases(&self, customer: usize, scope: Scope) {
        let span = self.span();
        self.known().chosen[customer].erased.push((span, scope));
    }

    pub fn erased(&self, customer: usize) {
        let mut known = self.known();
        let (span, scope) = known.chosen[customer].erased.last_mut().unwrap();
        self.end(span);
        let whole = *scope == Scope::Everything;
        known.sums.erased += 1;
        known.sums.erased_customers += u64::from(whole);
    }

    /// A new batch of a customer: its number and when its events happened.
    pub fn send(&self, customer: usize) -> (u64, i64) {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let sent = Sent { customer, created: now_ms(), sent: self.tick(), answered: None };
        let created = sent.created;
        self.known().sent.insert(number, sent);
        (number, created)
    }

    /// A batch was answered; `before` is the highest commit that was known when it was sent first.
    pub fn answered(&self, number: u64, receipt: &SubmitResponse, before: u64) {
        let now = self.tick();
        let mut known = self.known();
        let sent = known.sent[&number].clone();
        let chosen = &known.chosen[sent.customer];
        assert_eq!(u64::from(receipt.received_events), events(number), "{receipt:?}");
        let possible = chosen.possible(sent.sent, now);
        let is_duplicate = receipt.state() == State::Duplicate;
        let level = match receipt.state() {
            State::Stored | State::Duplicate => {
                let word = &receipt.effective_levels.iter().find(|l| l.program == "ceip").unwrap().level;
                assert!(
                    possible.iter().any(|level| level.word() == word),
                    "{number}: {word}, not {possible:?}"
                );
                // Of the two that have this word, the receipt does not say which: the looser one is an upper bound.
                let level = possible.iter().copied().filter(|level| level.word() == word).max();
                assert!(receipt.commit_number > before, "commit numbers shrank: {receipt:?}");
                if !chosen.may_be_erased(&sent, number) {
                    assert_eq!(u64::from(receipt.accepted_events), events(number), "{number}: {receipt:?}");
                }
                level
            }
            // All of its events were erased, or the customer stopped in between.
            State::NothingStored => {
                assert!(chosen.may_be_erased(&sent, number), "{number}: nothing was stored: {receipt:?}");
                None
            }
            State::Disabled => {
                let is_gone = chosen.erased.iter().any(|(_, scope)| *scope == Scope::Everything);
                assert!(is_gone || possible.contains(&Level::None), "{number} is not wanted: {possible:?}");
                None
            }
            State::Unspecified => panic!("{receipt:?}"),
        };
        known.highest = known.highest.max(receipt.commit_number);
        known.sums.acknowledged += u64::from(level.is_some());
        known.sums.stopped += u64::from(level.is_none());
        known.sums.duplicates += u64::from(is_duplicate);
        known.sent.get_mut(&number).unwrap().answered = Some((now, level));
    }

    /// Checks a delivery that was asked for at the tick `asked` and came at `came`. Gives its number.
    pub fn delivered(&self, subscription: &str, delivery: &ReceivedBatch, asked: u64) -> u64 {
        let came = self.tick();
        let batch = Batch::decode(delivery.batch.clone()).unwrap();
        let number = number_of(&batch);
        let mut known = self.known();
        let commit = delivery.commit_number;
        let settled = known.settled.get(subscription);
        assert!(
            settled.is_none_or(|settled| !settled.contains(&commit)),
            "{number} (commit {commit}) came back to {subscription} after it was acknowledged"
        );
        known.sums.delivered += 1;
        known.given.entry(subscription.to_owned()).or_default().insert(number);
        let sent = known.sent.get(&number).unwrap_or_else(|| panic!("{number} was never sent")).clone();
        let chosen = &known.chosen[sent.customer];
        let levels = chosen.levels_at(&sent, asked, came);
        let gone = chosen.erased_at(&sent, number, asked, came);
        drop(known);
        let time = batch.receive_time.as_ref().unwrap();
        let received = UnixMillis(time.seconds * 1000 + i64::from(time.nanos / 1_000_000));
        let context = (received, batch.policy_version.as_str());
        let candidates = self.candidates(number, &sent, &levels, &gone, context);
        assert!(
            candidates.iter().any(|body| !body.is_empty() && *body == delivery.batch),
            "{number} of {} (commit {commit}) came to {subscription} as what it may not be; it may be at {levels:?} \
             without {gone:?}; {sent:?}, asked at {asked}, came at {came}; {:?}; the first of {} that it may be, and what \
             it is: {}",
            self.customers[sent.customer],
            self.known().chosen[sent.customer],
            candidates.len(),
            difference(&candidates[0], &delivery.batch)
        );
        number
    }

    /// Everything that a batch may be: at each of these levels, without what is certainly gone, with or without each
    /// of what may be.
    fn candidates(
        &self,
        number: u64,
        sent: &Sent,
        levels: &[Level],
        gone: &Gone,
        context: (UnixMillis, &str),
    ) -> Vec<Vec<u8>> {
        let customer = &self.customers[sent.customer];
        let mut all = Vec::new();
        let choices = 1_u32 << gone.maybe.len().min(8);
        for level in levels {
            for choice in 0..choices {
                let is_gone = |place| {
                    let of = |scope: &Scope| touches(scope, number, place, sent.created);
                    let chosen = |(at, scope): (usize, &Scope)| choice >> at.min(7) & 1 == 1 && of(scope);
                    gone.certain.iter().any(of) || gone.maybe.iter().enumerate().any(chosen)
                };
                let request = soak_world::batch(number, sent.created, is_gone);
                all.push(self.world.stored(customer, *level, &request, context));
            }
        }
        all
    }

    /// The collector confirmed the acknowledgement of these commits.
    pub fn settle(&self, subscription: &str, commits: &[u64], withdrawn: u64) {
        let mut known = self.known();
        known.sums.settled += u64::try_from(commits.len()).unwrap();
        known.sums.withdrawn += withdrawn;
        known.settled.entry(subscription.to_owned()).or_default().extend(commits);
    }

    /// Checks everything that was drained in peace at the end, as (number, commit): each batch of which something may
    /// and must be left is there once, and no other; and every subscription was given it at some time. Gives how many
    /// that are.
    pub fn conserved(&self, drained: &[(u64, u64)]) -> u64 {
        let end = self.tick();
        let known = self.known();
        let mut seen = BTreeMap::new();
        for &(number, commit) in drained {
            assert_eq!(seen.insert(number, commit), None, "batch {number} is stored twice");
        }
        assert!(drained.windows(2).all(|pair| pair[0].1 < pair[1].1), "the queue is out of order");
        let (mut lost, mut must) = (Vec::new(), 0);
        for (number, sent) in &known.sent {
            let Some((_, Some(_))) = sent.answered else { continue };
            let chosen = &known.chosen[sent.customer];
            let levels = chosen.levels_at(sent, end, end);
            let gone = chosen.erased_at(sent, *number, end, end);
            let all = gone.certain.iter().chain(&gone.maybe);
            let is_left = (0..events(*number))
                .any(|place| !all.clone().any(|scope| touches(scope, *number, place, sent.created)));
            if is_left && !levels.contains(&Level::None) {
                must += 1;
                for (subscription, given) in &known.given {
                    assert!(given.contains(number), "{subscription} was never given {number}");
                }
                if !seen.contains_key(number) {
                    lost.push((*number, self.customers[sent.customer].clone(), levels, sent.clone()));
                }
            }
        }
        assert!(
            lost.is_empty(),
            "{} acknowledged batches are lost: {:?}",
            lost.len(),
            &lost[..lost.len().min(8)]
        );
        must
    }
}

/// The scopes that are gone from a batch, and those that may be.
#[derive(Debug, Default)]
struct Gone {
    certain: Vec<Scope>,
    maybe: Vec<Scope>,
}

impl Chosen {
    /// The levels that may have been in force at some moment of a span.
    fn possible(&self, from: u64, to: u64) -> Vec<Level> {
        let before = self.levels.iter().rev().find(|(span, _)| span.ended.is_some_and(|end| end <= from));
        let mut all = vec![before.map_or(Level::None, |(_, level)| *level)];
        let during = |span: &Span| span.begun <= to && span.ended.is_none_or(|end| end > from);
        all.extend(self.levels.iter().filter(|(span, _)| during(span)).map(|(_, level)| *level));
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The levels at which a batch may be delivered to who asked at `asked` and was answered at `came`.
    fn levels_at(&self, sent: &Sent, asked: u64, came: u64) -> Vec<Level> {
        let decided_by = sent.answered.map_or(came, |(at, _)| at);
        let mut at_first = self.possible(sent.sent, decided_by);
        if let Some((_, Some(level))) = sent.answered {
            at_first.retain(|possible| possible.word() == level.word());
        }
        let highest = at_first.last().copied().unwrap_or(Level::None);
        let after = |span: &Span| span.begun >= decided_by;
        let binding =
            self.levels.iter().filter(|(span, _)| after(span) && span.ended.is_some_and(|end| end <= asked));
        let most = binding.map(|(_, level)| *level).min().unwrap_or(Level::Enhanced).min(highest);
        // What overlaps its decision, or the delivery, may have bound it or not.
        let maybe = self.levels.iter().filter(|(span, _)| {
            span.begun <= came
                && span.ended.is_none_or(|end| end > asked || span.begun < decided_by && end > sent.sent)
        });
        let mut all: Vec<Level> = maybe
            .map(|(_, level)| *level)
            .chain(at_first)
            .map(|level| level.min(most))
            .chain([most])
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What is gone from a batch for who asked at `asked` and was answered at `came`.
    fn erased_at(&self, sent: &Sent, number: u64, asked: u64, came: u64) -> Gone {
        let mut gone = Gone::default();
        for (span, scope) in &self.erased {
            let touched = (0..events(number)).any(|place| touches(scope, number, place, sent.created));
            let is_before = sent.created < span.begun_ms;
            let is_after = sent.created > span.ended_ms;
            if !touched || is_after || span.begun > came {
                continue;
            }
            let is_certain = is_before && span.ended.is_some_and(|end| end <= asked);
            if is_certain { gone.certain.push(*scope) } else { gone.maybe.push(*scope) }
        }
        gone
    }

    /// Whether some of a batch may have been withheld because it was erased.
    fn may_be_erased(&self, sent: &Sent, number: u64) -> bool {
        let gone = self.erased_at(sent, number, u64::MAX, u64::MAX);
        !gone.certain.is_empty() || !gone.maybe.is_empty()
    }
}

/// Whether an erasure of this scope takes the event at `place` of the batch.
fn touches(scope: &Scope, number: u64, place: u64, created: i64) -> bool {
    match *scope {
        Scope::Host(host) => host_of(number, place) == host,
        Scope::Instance(instance) => instance_of(number) == instance,
        Scope::Times(from, until) => (from..until).contains(&created),
        Scope::Everything => true,
    }
}

fn number_of(batch: &Batch) -> u64 {
    let spec = batch.fields.iter().position(|spec| spec.path == "uptime_s").expect("a counter is stored");
    let spec = u32::try_from(spec).unwrap();
    let field = batch.events[0].fields.iter().find(|field| field.field == spec).unwrap();
    match field.value.as_ref().unwrap().kind {
        Some(Stored::IntValue(n)) => u64::try_from(n).unwrap() / STRIDE,
        ref other => panic!("uptime_s is {other:?}"),
    }
}

/// Where two batches differ first.
fn difference(expected: &[u8], found: &[u8]) -> String {
    let told = |body: &[u8]| format!("{:#?}", Batch::decode(body).unwrap());
    let (expected, found) = (told(expected), told(found));
    let at = expected.lines().zip(found.lines()).take_while(|(a, b)| a == b).count();
    let around = |text: &str| {
        text.lines().skip(at.saturating_sub(6)).take(12).map(str::trim).collect::<Vec<_>>().join(" ")
    };
    format!("{} -- {}", around(&expected), around(&found))
}
