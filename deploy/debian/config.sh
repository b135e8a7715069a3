#!/usr/bin/env bash
# The sample configuration (standard input) with the places of a package (standard output): its data, its policy, and
# keys in a directory that only root reads. Fails if the sample has no such key any more.
set -euo pipefail

text=$(cat)
place() { # place KEY VALUE
  grep -qE "^(# )?$1 = " <<<"$text" || { echo "usaged: the sample has no key $1" >&2; exit 1; }
  text=$(sed -E "s|^(# )?$1 = .*|$1 = \"$2\"|" <<<"$text")
}
place data_dir /var/lib/usaged/data
place root_key_file /etc/usaged/keys/root
place ledger_key_file /etc/usaged/keys/ledger
place policy_dir /etc/usaged/policy
printf '%s\n' "$text"
