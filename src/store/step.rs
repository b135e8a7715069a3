//! Named steps where a test of the crate can have the process end as if it was killed. In the program they are
//! nothing.

/// Passes a step.
#[cfg(not(test))]
pub(crate) const fn reached(_step: &str) {}

#[cfg(test)]
pub(crate) use armed::{arm, arm_any, meanwhile, meanwhile_in, reached};

#[cfg(test)]
#[expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says where it ended"
)]
mod armed {
    use std::cell::RefCell;
    use std::sync::Mutex;
    use std::thread::{self, ThreadId};

    type Meanwhile = (&'static str, Box<dyn FnOnce()>);
    type Elsewhere = (ThreadId, &'static str, Box<dyn FnOnce() + Send>);

    /// What happens once at steps that other threads pass.
    static ELSEWHERE: Mutex<Vec<Elsewhere>> = Mutex::new(Vec::new());

    thread_local! {
        /// What happens once at a step that this thread passes.
        static MEANWHILE: RefCell<Option<Meanwhile>> = const { RefCell::new(None) };
    }

    /// Has `happens` run when this thread comes to `step` for the first time from now on, before it goes on.
    pub(crate) fn meanwhile(step: &'static str, happens: impl FnOnce() + 'static) {
        MEANWHILE.set(Some((step, Box::new(happens))));
    }

    /// The same of another thread.
    pub(crate) fn meanwhile_in(
        thread: ThreadId,
        step: &'static str,
        happens: impl FnOnce() + Send + 'static,
    ) {
        ELSEWHERE.lock().unwrap().push((thread, step, Box::new(happens)));
    }

    fn elsewhere(step: &str) -> Option<Box<dyn FnOnce() + Send>> {
        let mut all = ELSEWHERE.lock().unwrap();
        let this = thread::current().id();
        let at = all.iter().position(|(thread, at, _)| *thread == this && *at == step)?;
        Some(all.swap_remove(at).2)
    }

    /// The step to end at, if not any, and how often it is still passed before that.
    static ARMED: Mutex<Option<(Option<String>, u32)>> = Mutex::new(None);

    /// Has the process end when it comes to `step` for the `nth` time from now on.
    pub(crate) fn arm(step: &str, nth: u32) {
        *ARMED.lock().unwrap() = Some((Some(step.to_owned()), nth));
    }

    /// Has the process end at the `nth` step from now on, whichever it is.
    pub(crate) fn arm_any(nth: u32) {
        *ARMED.lock().unwrap() = Some((None, nth));
    }

    pub(crate) fn reached(step: &str) {
        if let Some((_, happens)) = MEANWHILE.with(|at| at.borrow_mut().take_if(|(at, _)| *at == step)) {
            happens();
        }
        if let Some(happens) = elsewhere(step) {
            happens();
        }
        let mut armed = ARMED.lock().unwrap();
        let is_meant = |at: &Option<String>| at.as_ref().is_none_or(|at| at == step);
        let Some((_, left)) = armed.as_mut().filter(|(at, _)| is_meant(at)) else { return };
        *left -= 1;
        if *left == 0 {
            eprintln!("ended at: {step}");
            std::process::abort();
        }
    }
}
