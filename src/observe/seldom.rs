//! What repeats itself is said once in a while, with how often it was not said.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long nothing more is said of a condition.
const INTERVAL: Duration = Duration::from_mins(1);

/// One line of the log that would otherwise come with every request, group or round while a condition lasts.
#[derive(Debug)]
pub struct Seldom(Mutex<(Option<Instant>, u64)>);

impl Default for Seldom {
    fn default() -> Self {
        Self::new()
    }
}

impl Seldom {
    /// Nothing was said yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Whether it is to be said now; then how often it was not, since it was said last.
    pub fn due(&self) -> Option<u64> {
        self.due_at(Instant::now())
    }

    fn due_at(&self, now: Instant) -> Option<u64> {
        let (said, unsaid) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_some_and(|said| now.saturating_duration_since(said) < INTERVAL) {
            *unsaid = unsaid.saturating_add(1);
            return None;
        }
        *said = Some(now);
        Some(std::mem::take(unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_lasts_is_said_once_a_minute_with_how_often_it_was_not() {
        let (seldom, start) = (Seldom::new(), Instant::now());
        assert_eq!(seldom.due_at(start), Some(0));
        assert_eq!(seldom.due_at(start), None);
        assert_eq!(seldom.due_at(start + INTERVAL / 2), None);
        assert_eq!(seldom.due_at(start + INTERVAL), Some(2));
        assert_eq!(seldom.due_at(start + INTERVAL * 3), Some(0));
    }
}
