#!/usr/bin/env bash
# Puts together the whole file system of the container: the program, the libraries that it is linked with, the
# certificates of public authorities, one user without a password, the sample configuration and the shipped policy.
# No shell, no package manager, nothing that could be run but the program.
#
#   deploy/container/rootfs.sh USAGED DIR
set -euo pipefail

usaged=$(realpath "${1:?name the program}")
root=${2:?name the directory}
top=$(cd "$(dirname "$0")/../.." && pwd)
user=65532

mkdir -p "$root"/{usr/bin,etc/usaged/policy,etc/ssl/certs,var/lib/usaged,run,tmp,proc,sys,dev}
install -m 0755 "$usaged" "$root/usr/bin/usaged"
strip --strip-unneeded "$root/usr/bin/usaged"

# Where the program looks for a library, there it is put: no links that another distribution arranges otherwise.
ldd "$usaged" | awk '/=> \// { print $3 } /^\t\// { print $1 }' | while read -r library; do
  install -D -m 0755 "$library" "$root$library"
done

printf 'root:x:0:0:root:/:/nologin\nusaged:x:%s:%s:usaged:/var/lib/usaged:/nologin\n' $user $user >"$root/etc/passwd"
printf 'root:x:0:\nusaged:x:%s:\n' $user >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
install -m 0644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"

"$top/deploy/debian/config.sh" <"$top/deploy/usaged.toml" >"$root/etc/usaged/usaged.toml"
(cd "$top/deploy/policy" && find . -name '*.toml' -printf '%P\n') | while read -r file; do
  install -D -m 0644 "$top/deploy/policy/$file" "$root/etc/usaged/policy/$file"
done

chmod 0700 "$root/var/lib/usaged"
chown $user:$user "$root/var/lib/usaged"
chmod 1777 "$root/tmp"
