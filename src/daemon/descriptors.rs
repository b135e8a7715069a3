//! File descriptors: every connection takes one and every file of the store does. The store comes
//! first: if connections could take its share, a crowd of them would end the process, because a store
//! that cannot begin a segment has failed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the store and the rest may need: 512 tables of RocksDB, its logs, its directory, and room.
const STORE: usize = 640;

/// What each door may have open at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doors {
    /// Connections of the gRPC door.
    pub grpc: usize,
    /// Connections of the admin port.
    pub admin: usize,
}

impl Doors {
    /// As many of the connections that are `wanted` as there are descriptors for, once the limit of
    /// the process is raised as far as it goes.
    pub fn that_fit(wanted: Self) -> Self {
        let limit = raise_limit();
        // If the system does not say, the usual few are open.
        let open = std::fs::read_dir("/proc/self/fd").map_or(16, Iterator::count);
        let fit = wanted.within(limit.saturating_sub(open));
        if fit != wanted {
            tracing::warn!(
                limit,
                grpc_connections = fit.grpc,
                admin_connections = fit.admin,
                "few file descriptors: fewer connections are taken than configured; raise the limit (ulimit -n, LimitNOFILE)"
            );
        }
        fit
    }

    /// What is left of `free` descriptors beside the store: when there are few, a third.
    fn within(self, free: usize) -> Self {
        let left = free.saturating_sub(STORE).max(free / 3);
        let admin = self.admin.min((left / 8).max(1));
        Self { grpc: self.grpc.min(left.saturating_sub(admin).max(1)), admin }
    }
}

/// Raises the soft limit to the hard one, which is there for those who ask; gives the limit.
fn raise_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_comes_first_and_each_door_keeps_a_place() {
        let wanted = Doors { grpc: 512, admin: 64 };
        for (free, grpc, admin) in
            [(usize::MAX, 512, 64), (1_216, 512, 64), (1_000, 315, 45), (52, 15, 2), (28, 8, 1), (0, 1, 1)]
        {
            assert_eq!(wanted.within(free), Doors { grpc, admin }, "{free}");
        }
        assert_eq!(Doors { grpc: 4, admin: 64 }.within(1_000), Doors { grpc: 4, admin: 45 });
    }

    #[test]
    fn what_the_documents_say_of_the_limit_is_enough_for_every_connection() {
        let text = include_str!("../../docs/operations.md");
        let said = text
            .split("`LimitNOFILE` = `grpc.max_connections` + ")
            .nth(1)
            .and_then(|rest| rest.split(':').next());
        let more: usize = said.and_then(|number| number.replace(',', "").parse().ok()).unwrap_or_default();
        for grpc in [16, 512, 10_000, 60_000] {
            let wanted = Doors { grpc, admin: 64 };
            // The standard streams, the listeners and what the runtime has open before the doors are.
            assert_eq!(wanted.within(grpc + more - 64), wanted, "{grpc} and {more}");
        }
    }
}
