//! The day on which this version was written: no clock that shows an earlier one is right.

use crate::model::UnixMillis;

/// Midnight (UTC) of 2026-11-28. Never lowered, and raised to the day of each release: the test below fails until it is.
/// One that is too old costs keys of past epochs that nobody uses, never data.
pub(super) const WRITTEN: UnixMillis = UnixMillis(1_795_824_000_000);

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

    /// The version of the package as it is compiled.
    const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// When a day begins.
    fn start(day: &str) -> Option<UnixMillis> {
        let start: jiff::Timestamp = format!("{day}T00:00:00Z").parse().ok()?;
        Some(UnixMillis(start.as_millisecond()))
    }

    /// What of the headings of a changelog does not go with a version that was written then: its releases are headed with
    /// their number and day, as in `## 0.1.0, 2027-01-31`; what comes after the newest is `Unreleased`.
    fn faults(changelog: &str, version: &str, written: UnixMillis) -> Vec<String> {
        let headings = changelog.lines().filter_map(|line| line.strip_prefix("## "));
        let fault = |(at, heading): (usize, &str)| {
            if at == 0 && heading == "Unreleased" {
                return None;
            }
            let day = heading.split_once(", ").and_then(|(number, day)| Some((number, start(day)?)));
            match day {
                None => {
                    Some(format!("`{heading}` is not a version and its day: write it as `0.1.0, 2027-01-31`"))
                }
                Some((number, _)) if at == 0 && number != version => {
                    Some(format!("`{heading}` is released, and Cargo.toml has version {version}"))
                }
                Some((_, day)) if day > written => {
                    Some(format!("`{heading}` is later than WRITTEN: raise it to {} ms", day.0))
                }
                Some(_) => None,
            }
        };
        headings.enumerate().filter_map(fault).collect()
    }

    #[test]
    fn no_version_is_released_that_does_not_know_the_day_of_its_release() {
        assert_eq!(faults(CHANGELOG, VERSION, WRITTEN), Vec::<String>::new());
    }

    #[test]
    fn a_release_with_the_day_of_the_one_before_is_found() {
        let written = start("2027-02-01").unwrap();
        let table = [
            ("## Unreleased\n", 0),
            ("## Unreleased\n\n## 0.2.0, 2027-02-01\n\n## 0.1.0, 2027-01-31\n", 0),
            ("## 0.2.0, 2027-02-01\n\n## 0.1.0, 2027-01-31\n", 0),
            ("## 0.2.0, 2027-02-02\n", 1),
            ("## Unreleased\n\n## 0.2.0, 2027-02-02\n", 1),
            ("## 0.3.0, 2027-02-01\n", 1),
            ("## 0.2.0\n", 1),
            ("## 0.2.0, 2027-02-30\n", 1),
            ("## 0.1.0, 2027-01-31\n\n## Unreleased\n", 2),
        ];
        for (changelog, found) in table {
            let faults = faults(changelog, "0.2.0", written);
            assert_eq!(faults.len(), found, "{changelog}: {faults:?}");
        }
    }

    #[test]
    fn it_is_the_day_that_is_named() {
        assert_eq!(Some(WRITTEN), start("2026-11-28"));
    }
}
