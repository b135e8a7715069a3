//! Times, to the hour.

use jiff::Timestamp;

use super::{Found, number, text};

/// Seconds of an hour.
const HOUR: u64 = 3_600;

/// Writes the hour of an RFC 3339 time, in UTC; `None` if it is none. Numbers are not taken: nothing says
/// whether they are seconds or milliseconds.
pub(super) fn hour(text: &str, out: &mut Vec<u8>) -> Option<Found<'static>> {
    let time: Timestamp = text.parse().ok()?;
    // Seconds are rounded towards 1970.
    let second = time.as_second().checked_sub(i64::from(time.subsec_nanosecond() < 0))?;
    let hour = Timestamp::from_second(number::generalise_number(HOUR, second)).ok()?;
    text::push_display(hour, out);
    Some(Found::Written)
}

#[cfg(test)]
mod tests {
    use crate::policy::Generalise::TimeHour;
    use crate::sanitize::canonical::checks::coarse;

    #[test]
    fn minutes_and_seconds_are_gone() {
        coarse(
            TimeHour,
            &[
                ("2026-11-23T15:25:06Z", Some("2026-11-23T15:00:00Z")),
                ("2026-11-23T15:00:00Z", Some("2026-11-23T15:00:00Z")),
                ("2026-11-23T15:59:59.999999999Z", Some("2026-11-23T15:00:00Z")),
                ("2026-11-23T15:25:06+05:30", Some("2026-11-23T09:00:00Z")),
                ("2026-11-23t15:25:06z", Some("2026-11-23T15:00:00Z")),
                ("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:00:00Z")),
                ("1970-01-01T00:00:00Z", Some("1970-01-01T00:00:00Z")),
                ("2016-12-31T23:59:60Z", Some("2016-12-31T23:00:00Z")),
                ("unknown", Some("placeholder")),
                ("2026-11-23", None),
                ("2026-11-23T15:25:06", None),
                ("2026-13-23T15:25:06Z", None),
                ("1763911506", None),
                ("yesterday", None),
            ],
        );
    }
}
