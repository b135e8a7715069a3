//! Times and durations of the API, from and to those of the model.

use std::time::Duration;

use prost_types::Timestamp;

use super::status::Fault;
use crate::model::UnixMillis;

/// A time as the API writes it.
pub(super) fn timestamp(at: UnixMillis) -> Timestamp {
    let nanos = at.0.rem_euclid(1000).saturating_mul(1_000_000);
    Timestamp { seconds: at.0.div_euclid(1000), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// A time that the API gave, rounded down to milliseconds; saturates far from the present.
pub(super) fn unix_millis(time: &Timestamp) -> UnixMillis {
    let ms = i64::from(time.nanos).div_euclid(1_000_000);
    UnixMillis(time.seconds.saturating_mul(1000).saturating_add(ms))
}

/// A duration as the API writes it.
pub(super) fn api_duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}

/// The duration in `field`, zero if it is not set.
///
/// # Errors
/// If it is negative or longer than `most`.
pub(super) fn duration(
    field: &'static str,
    given: Option<prost_types::Duration>,
    most: Duration,
) -> Result<Duration, Fault> {
    // Not `Duration::try_from`: that one negates, and panics on the smallest number.
    let given = given.unwrap_or_default();
    let parts = u64::try_from(given.seconds).ok().zip(u32::try_from(given.nanos).ok());
    parts
        .filter(|(_, nanos)| *nanos < 1_000_000_000)
        .map(|(seconds, nanos)| Duration::new(seconds, nanos))
        .filter(|d| *d <= most)
        .ok_or_else(|| Fault::field(field, format!("must be from 0 s to {} s", most.as_secs())))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back_before_and_after_1970() {
        for ms in [0, 1, 999, 1000, 1_700_000_000_123, -1, -1000, -1001] {
            let there = timestamp(UnixMillis(ms));
            assert!((0..1_000_000_000).contains(&there.nanos), "{ms}");
            assert_eq!(unix_millis(&there), UnixMillis(ms));
        }
        assert_eq!(unix_millis(&Timestamp { seconds: i64::MAX, nanos: 0 }), UnixMillis(i64::MAX));
    }

    #[test]
    fn a_duration_is_bounded_on_both_sides() {
        let most = Duration::from_mins(1);
        let given =
            |seconds, nanos| duration("max_wait", Some(prost_types::Duration { seconds, nanos }), most);
        assert_eq!(given(60, 0).unwrap(), most);
        assert_eq!(duration("max_wait", None, most).unwrap(), Duration::ZERO);
        for (seconds, nanos) in [(-1, 0), (60, 1), (0, -1), (i64::MAX, 0), (i64::MIN, i32::MIN)] {
            assert!(given(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
    }
}
