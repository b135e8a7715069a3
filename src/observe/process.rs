//! What the process takes of the machine, read from `/proc` when somebody asks.

use std::fs::{read_dir, read_to_string};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::Metric;
use super::metrics::float;

/// The metrics of this process. What the system does not say is left out.
pub(super) fn samples() -> Vec<(Metric, f64)> {
    let mut samples = Vec::with_capacity(7);
    let stat = read_to_string("/proc/self/stat").ok();
    if let Some(stat) = stat.as_deref().and_then(Stat::parse) {
        let tick = 1.0 / float(clock_ticks_per_second().max(1));
        let page = u64::try_from(page_size()).unwrap_or(4096);
        samples.push((Metric::ProcessCpu, float(stat.ticks) * tick));
        samples.push((Metric::ProcessThreads, float(stat.threads)));
        samples.push((Metric::ProcessVirtual, float(stat.address_space)));
        samples.push((Metric::ProcessResident, float(stat.pages.saturating_mul(page))));
        let boot = read_to_string("/proc/stat").ok().and_then(|text| boot_time(&text));
        samples.extend(boot.map(|boot| (Metric::ProcessStart, float(boot) + float(stat.start) * tick)));
    }
    // One of them is open to count them.
    let open = read_dir("/proc/self/fd").ok().map(|fds| fds.count().saturating_sub(1));
    samples.extend(open.and_then(|n| u64::try_from(n).ok()).map(|n| (Metric::ProcessOpenFds, float(n))));
    let most = getrlimit(Resource::Nofile).current;
    samples.extend(most.map(|most| (Metric::ProcessMaxFds, float(most))));
    samples
}

/// What is used of `/proc/self/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// User and system time.
    ticks: u64,
    threads: u64,
    /// Ticks since the machine was started.
    start: u64,
    /// In bytes.
    address_space: u64,
    /// In memory.
    pages: u64,
}

impl Stat {
    /// The name of the program, in parentheses, can hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(") ")?;
        let words: Vec<&str> = rest.split_ascii_whitespace().collect();
        // As proc(5) counts them; the first word here is its third.
        let word = |number: usize| words.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            ticks: word(14)?.saturating_add(word(15)?),
            threads: word(20)?,
            start: word(22)?,
            address_space: word(23)?,
            pages: word(24)?,
        })
    }
}

fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_process_are_found_behind_any_program_name() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 777 4096000 300 18446744073709551615";
        let stat = Stat { ticks: 300, threads: 9, start: 777, address_space: 4_096_000, pages: 300 };
        assert_eq!(Stat::parse(text), Some(stat));
        assert_eq!(Stat::parse("7 (a"), None);
        assert_eq!(boot_time("cpu 1 2\nbtime 1790000000\nprocesses 1\n"), Some(1_790_000_000));
    }

    #[test]
    fn this_process_takes_something_of_everything() {
        let samples = samples();
        assert_eq!(samples.len(), 7, "{samples:?}");
        assert!(
            samples.iter().all(|(metric, value)| *value > 0.0 || *metric == Metric::ProcessCpu),
            "{samples:?}"
        );
    }
}
