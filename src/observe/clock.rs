//! The one place that reads the wall clock, and that says when it may be believed.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::settled::{Settling, wait};
use crate::model::UnixMillis;

/// A source of wall-clock time: the system's, or one that a test moves. Clones share what was seen of it.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Source,
    settling: Arc<Mutex<Settling>>,
}

#[derive(Debug, Clone)]
enum Source {
    /// Begun at this time.
    System(Instant),
    Manual(Arc<Manual>),
}

/// Both times of a clock that a test moves.
#[derive(Debug)]
struct Manual {
    wall_ms: AtomicI64,
    steady_ms: AtomicU64,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::of(Source::System(Instant::now()))
    }

    /// A clock that stands at `start` until it is moved. Clones share it.
    #[must_use]
    pub fn manual(start: UnixMillis) -> Self {
        let times = Manual { wall_ms: AtomicI64::new(start.0), steady_ms: AtomicU64::new(0) };
        Self::of(Source::Manual(Arc::new(times)))
    }

    fn of(source: Source) -> Self {
        let mut settling = Settling::default();
        source.see(&mut settling);
        Self { source, settling: Arc::new(Mutex::new(settling)) }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> UnixMillis {
        self.source.now()
    }

    /// The time for what cannot be taken back, such as dropping what is older than `age`: the latest that the wall
    /// clock has not been behind for an hour by the monotonic clock, or for a tenth of `age` if that is shorter. A clock
    /// that is ahead for less than that moves nothing. `None` if this clock was begun since. What a clock shows has to
    /// be looked at now and then, by anyone: it is believed from when it was seen.
    #[must_use]
    pub fn settled(&self, age: Duration) -> Option<UnixMillis> {
        let mut settling = self.settling.lock().unwrap_or_else(PoisonError::into_inner);
        let steady = self.source.see(&mut settling);
        settling.settled(steady, wait(age)).map(UnixMillis)
    }

    /// How much time has passed since this clock was begun, by the monotonic clock, which nobody sets: for how long
    /// something has been so.
    #[must_use]
    pub fn steady(&self) -> Duration {
        self.source.steady()
    }

    /// Lets time pass on a manual clock; the system's is not to be moved.
    pub fn advance_ms(&self, ms: i64) {
        if let Source::Manual(times) = &self.source {
            times.steady_ms.fetch_add(u64::try_from(ms).unwrap_or(0), Ordering::AcqRel);
            times.wall_ms.fetch_add(ms, Ordering::AcqRel);
        }
    }

    /// Sets a manual clock ahead, or back, while no time passes: it is wrong now, or is put right.
    pub fn set_ahead_ms(&self, ms: i64) {
        if let Source::Manual(times) = &self.source {
            times.wall_ms.fetch_add(ms, Ordering::AcqRel);
        }
    }
}

impl Source {
    #[expect(clippy::disallowed_methods, reason = "the one owner of the wall clock")]
    fn now(&self) -> UnixMillis {
        match self {
            Self::System(_) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
            }
            Self::Manual(times) => UnixMillis(times.wall_ms.load(Ordering::Acquire)),
        }
    }

    /// Notes what both clocks show; gives the monotonic one.
    fn see(&self, settling: &mut Settling) -> Duration {
        let wall = self.now();
        let steady = self.steady();
        settling.see(wall.0, steady);
        steady
    }

    fn steady(&self) -> Duration {
        match self {
            Self::System(begun) => begun.elapsed(),
            Self::Manual(times) => Duration::from_millis(times.steady_ms.load(Ordering::Acquire)),
        }
    }
}
