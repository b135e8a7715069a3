//! What a process costs, as the kernel counts it: CPU time and memory from /proc.

use std::time::Duration;

use crate::cli::exit::Failure;

/// The processor time that a process has used so far, user and system, all threads.
pub(super) fn cpu(pid: u32) -> Result<Duration, Failure> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).map_err(Failure::io(format!("reading {path}")))?;
    let ticks =
        parse_stat(&text).ok_or_else(|| Failure::Failed(format!("{path} is not of the known form")))?;
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000) / per_second))
}

/// User and system ticks. The name of the program, in parentheses, can hold anything.
fn parse_stat(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(") ")?;
    let mut words = rest.split_ascii_whitespace().skip(11);
    let user: u64 = words.next()?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    Some(user.saturating_add(system))
}

/// The most resident memory that a process has had, in bytes.
pub(super) fn peak_rss(pid: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).map_err(Failure::io(format!("reading {path}")))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1_024)).ok_or_else(|| Failure::Failed(format!("{path} has no VmHWM")))
}

/// The processor time of this thread.
pub(super) fn thread_cpu() -> Result<Duration, Failure> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).map_err(Failure::io(format!("reading {path}")))?;
    let nanos = text.split_ascii_whitespace().next().and_then(|word| word.parse().ok());
    nanos.map(Duration::from_nanos).ok_or_else(|| Failure::Failed(format!("{path} is not of the known form")))
}

/// The processors and the model that the figures were measured on.
pub(super) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZeroUsize::get);
    format!("{cores} cores, {model}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_program_name() {
        let text = "7 (a) b (c)) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 1 2 3";
        assert_eq!(parse_stat(text), Some(300));
        assert_eq!(parse_stat("7 (a"), None);
    }

    #[test]
    fn this_process_has_a_cost() {
        let pid = std::process::id();
        assert!(peak_rss(pid).is_ok_and(|bytes| bytes > 1 << 20));
        assert!(cpu(pid).is_ok() && thread_cpu().is_ok());
    }
}
