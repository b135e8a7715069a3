//! The ratchet of a customer: from its state the rotating keys of an epoch and of every later one can be
//! derived, and of no earlier one. Moving it forward is what makes old rotating pseudonyms underivable.
//!
//! ```text
//! state of epoch e + 1 = HKDF(no salt, state of epoch e, info = "usaged/ratchet/v1")
//! seed of epoch e      = HKDF(no salt, state of epoch e, info = "usaged/epoch/v1")
//! ```
//!
//! Rotating keys come from the seed, so a seed that is kept for longer (a bridge) opens its one epoch only.
//!
//! A ratchet that was moved by a clock that was ahead cannot be moved back. It gets a second, random state instead, for the
//! epochs before the one where it stands: nothing that was derived from the first is lost, and when time reaches that
//! epoch the second state ends.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::keys_derive::Prk;

/// The state of the oldest epoch whose keys can still be derived.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Ratchet {
    main: State,
    /// Where the epochs before that of `main` come from, if there are keys of any.
    early: Option<State>,
}

/// A state of an epoch, and so of those after it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
struct State {
    epoch: u32,
    state: [u8; 32],
}

impl State {
    fn after(&self, steps: u32) -> Zeroizing<[u8; 32]> {
        let mut state = Zeroizing::new(self.state);
        for _ in 0..steps {
            state = Prk::extract(&[], &*state).expand(&[b"usaged/ratchet/v1"]);
        }
        state
    }

    fn seed(&self, epoch: u32) -> Option<EpochSeed> {
        let steps = epoch.checked_sub(self.epoch).filter(|steps| *steps <= Ratchet::STEPS)?;
        Some(EpochSeed(*Prk::extract(&[], &*self.after(steps)).expand(&[b"usaged/epoch/v1"])))
    }

    fn forward(&self, epoch: u32) -> Self {
        let steps = epoch.saturating_sub(self.epoch).min(Ratchet::STEPS);
        Self { epoch: self.epoch.saturating_add(steps), state: *self.after(steps) }
    }
}

impl std::fmt::Debug for Ratchet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ratchet(epoch {}, ..)", self.epoch())
    }
}

impl Ratchet {
    /// The most steps that are taken at once, about ten milliseconds of work. Keys of an epoch that is further
    /// ahead are not to be had before the stored state was moved closer.
    pub const STEPS: u32 = 10_000;

    /// The ratchet that stands at `epoch`. `state` is random when the ratchet is made.
    #[must_use]
    pub const fn new(epoch: u32, state: [u8; 32]) -> Self {
        Self { main: State { epoch, state }, early: None }
    }

    /// The same with keys of the epochs from `epoch` to where it stands, from another random state; `None` if it stands
    /// there already, or has such a state.
    #[must_use]
    pub fn reaching(&self, epoch: u32, state: [u8; 32]) -> Option<Self> {
        let is_before = epoch < self.main.epoch && self.early.is_none();
        is_before.then(|| Self { main: self.main.clone(), early: Some(State { epoch, state }) })
    }

    /// Whether it is `other` with a state of earlier epochs, and nothing of `other` is lost in it.
    #[must_use]
    pub fn extends(&self, other: &Self) -> bool {
        self.main == other.main && self.early.is_some() && other.early.is_none()
    }

    /// The oldest epoch whose keys can be derived.
    #[must_use]
    pub const fn epoch(&self) -> u32 {
        match &self.early {
            Some(early) => early.epoch,
            None => self.main.epoch,
        }
    }

    /// The state, for the one place that keeps it: the store's family of salts.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.main.state
    }

    /// Every state with its epoch, for that place: first the one that was there first, then that of earlier epochs.
    pub fn expose_all(&self) -> impl Iterator<Item = (u32, &[u8; 32])> {
        [&self.main].into_iter().chain(&self.early).map(|state| (state.epoch, &state.state))
    }

    /// The seed of an epoch; `None` if it is older than the state, or more than [`Self::STEPS`] ahead.
    #[must_use]
    pub fn seed(&self, epoch: u32) -> Option<EpochSeed> {
        match &self.early {
            Some(early) if epoch < self.main.epoch => early.seed(epoch),
            Some(_) | None => self.main.seed(epoch),
        }
    }

    /// Whether there is a seed of an epoch.
    #[must_use]
    pub const fn gives(&self, epoch: u32) -> bool {
        let from = match &self.early {
            Some(early) if epoch < self.main.epoch => early.epoch,
            Some(_) | None => self.main.epoch,
        };
        matches!(epoch.checked_sub(from), Some(steps) if steps <= Self::STEPS)
    }

    /// The last epoch that there is a seed of.
    #[must_use]
    pub const fn last(&self) -> u32 {
        self.main.epoch.saturating_add(Self::STEPS)
    }

    /// This ratchet moved forward to `epoch`, by at most [`Self::STEPS`]. It never moves back.
    #[must_use]
    pub fn forward(&self, epoch: u32) -> Self {
        match &self.early {
            Some(early) if epoch < self.main.epoch => {
                Self { main: self.main.clone(), early: Some(early.forward(epoch)) }
            }
            Some(_) | None => Self { main: self.main.forward(epoch), early: None },
        }
    }

    /// Where the ratchet has to stand when it is `present` and `past` epochs before it are kept, if that is
    /// further than it is. Pure.
    #[must_use]
    pub fn due(&self, present: u32, past: u32) -> Option<u32> {
        let oldest = present.saturating_sub(past);
        (oldest > self.epoch()).then_some(oldest)
    }
}

/// What the rotating keys of one customer and epoch are derived from, together with the customer's salt and
/// the data root. Nothing of another epoch can be derived from it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct EpochSeed([u8; 32]);

impl std::fmt::Debug for EpochSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EpochSeed(..)")
    }
}

impl EpochSeed {
    /// Takes back what [`Self::expose`] gave.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for the one place that keeps them: the store's family of salts.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}
