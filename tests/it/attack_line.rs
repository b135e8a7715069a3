//! The line over which attackers reach the collector. They are on other machines, and a line has an end;
//! here they share two processors with it and with its honest clients, and without one they would
//! take what no network can bring.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What all attackers of an attack send together: 100 Mbit/s.
const BYTES_PER_SECOND: u32 = 12_500_000;
/// Connections that they open together in a second.
const CONNECTIONS_PER_SECOND: u32 = 2_000;
/// How far they may get ahead of that.
const BURST: Duration = Duration::from_millis(20);

/// The line. Whoever sends waits until its bytes would have come through.
#[derive(Default)]
pub struct Line(Mutex<Option<Instant>>);

impl Line {
    pub fn bytes(&self, bytes: usize) {
        std::thread::sleep(self.bytes_take(bytes));
    }

    /// How long whoever sends so many bytes has to wait.
    pub fn bytes_take(&self, bytes: usize) -> Duration {
        self.ahead(Duration::from_secs(1) * u32::try_from(bytes).unwrap() / BYTES_PER_SECOND)
    }

    pub fn connection(&self) {
        std::thread::sleep(self.ahead(Duration::from_secs(1) / CONNECTIONS_PER_SECOND));
    }

    fn ahead(&self, takes: Duration) -> Duration {
        let now = Instant::now();
        let free = {
            let mut free = self.0.lock().unwrap();
            let begins = free.map_or(now, |free| free.max(now));
            *free = Some(begins + takes);
            begins + takes
        };
        free.saturating_duration_since(now).saturating_sub(BURST)
    }
}
