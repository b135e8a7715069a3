#!/usr/bin/env bash
# The manual page, from what the program itself says: `usaged --help`, and the help of each command below it.
#
#   deploy/debian/manual.sh USAGED VERSION DATE >usaged.1
set -euo pipefail

usaged=${1:?name the program}
version=${2:?name the version}
date=${3:?name the date}

words() { # words COMMAND...: the help of a command, as text that roff shows as it is
  "$usaged" "$@" --help | sed -e 's/\\/\\e/g' -e 's/-/\\-/g' -e "s/^'/\\\\\&'/" -e 's/^\./\\\&./'
}

below() { # below COMMAND...: the commands that its help lists
  "$usaged" "$@" --help | awk '/^Commands:/ { on = 1; next } /^$/ { on = 0 } on && /^  [a-z]/ && $1 != "help" { print $1 }'
}

page() { # page COMMAND...
  printf '.SH "USAGED %s"\n.nf\n' "$(tr '[:lower:]' '[:upper:]' <<<"$*")"
  words "$@"
  printf '.fi\n'
  local one
  for one in $(below "$@"); do page "$@" "$one"; done
}

cat <<ROFF
.TH USAGED 1 "$date" "usaged $version" "User commands"
.SH NAME
usaged \\- usage\\-data collector that stores only what a customer agreed to
.SH SYNOPSIS
.B usaged
.I COMMAND
.RI [ OPTION ...]
.SH DESCRIPTION
.nf
$(words)
.fi
ROFF
for command in $(below); do page "$command"; done
cat <<'ROFF'
.SH FILES
.TP
.I /etc/usaged/usaged.toml
The configuration: every key with its default and what it means.
.TP
.I /etc/usaged/policy
Programs with their levels, and the dictionaries of products.
.TP
.I /etc/usaged/keys
The root key and the key of the ledger. Back them up, apart from the data.
.TP
.I /var/lib/usaged
The data.
.SH SEE ALSO
.IR /usr/share/doc/usaged/operations.md ,
.IR /usr/share/doc/usaged/runbook.md
ROFF
