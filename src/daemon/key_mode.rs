//! Who may be able to read a file that holds a key.

/// The permissions in `mode` that let others at a key in a file of `owner`; 0 if there are none. The user
/// `me` runs the collector ([`super::runner::Runner`]).
///
/// A file of its own is for its eyes only. A file that belongs to root may also be read by one group: so an
/// init system (an access list for the unit's user shows as the group's right) and Kubernetes (the `fsGroup`
/// of a mounted secret) hand a key to a process that is not root and cannot change it.
pub(super) const fn exposed(owner: u32, me: u32, mode: u32) -> u32 {
    let is_handed_over = owner == 0 && me != 0;
    mode & if is_handed_over { 0o037 } else { 0o077 }
}

#[cfg(test)]
mod tests {
    use super::exposed;

    #[test]
    fn a_group_may_read_what_belongs_to_root_and_nobody_else_may_do_anything() {
        const ME: u32 = 64_055;
        for mode in [0o400, 0o600] {
            assert_eq!((exposed(ME, ME, mode), exposed(0, ME, mode), exposed(0, 0, mode)), (0, 0, 0));
        }
        for mode in [0o440, 0o640] {
            assert_eq!((exposed(ME, ME, mode), exposed(0, ME, mode), exposed(0, 0, mode)), (0o40, 0, 0o40));
        }
        for mode in [0o444, 0o644, 0o620, 0o660, 0o601, 0o610, 0o602, 0o777] {
            for owner in [ME, 0] {
                assert_ne!(exposed(owner, ME, mode), 0, "{mode:o} of {owner}");
            }
        }
    }
}
