//! Named steps where a test of the crate can have the process end as if it was killed. In the program they are
//! nothing.

/// Passes a step.
#[cfg(not(test))]
pub(super) const fn reached(_step: &str) {}

#[cfg(test)]
pub(super) use armed::{arm, reached};

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod armed {
    use std::sync::Mutex;

    /// The step to end at, and how often it is still passed before that.
    static ARMED: Mutex<Option<(String, u32)>> = Mutex::new(None);

    /// Has the process end when it comes to `step` for the `nth` time from now on.
    pub(in crate::store) fn arm(step: &str, nth: u32) {
        *ARMED.lock().unwrap() = Some((step.to_owned(), nth));
    }

    pub(in crate::store) fn reached(step: &str) {
        let mut armed = ARMED.lock().unwrap();
        let Some((_, left)) = armed.as_mut().filter(|(at, _)| at == step) else { return };
        *left -= 1;
        if *left == 0 {
            std::process::abort();
        }
    }
}
