#!/usr/bin/env bash
# Boots a Debian with systemd as the first process of a container of its own, installs the package there, and uses it:
# what no test outside of systemd can show. As root; mmdebstrap fetches about 100 MB at the first run.
#
#   deploy/boot.sh PACKAGE [CACHE]
set -euo pipefail

package=$(realpath "${1:?name the package}")
cache=${2:-${CARGO_TARGET_DIR:-$HOME/.cache/usaged/target}/boot}
[ "$(id -u)" = 0 ] || { echo "usaged: booting takes root" >&2; exit 1; }

base=$cache/base
if [ ! -e "$cache/made" ]; then
  command -v mmdebstrap >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmdebstrap >/dev/null
  rm -rf "$base"
  mkdir -p "$cache"
  mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus,init-system-helpers,libstdc++6,openssl,procps bookworm "$base"
  touch "$cache/made"
fi
root=$(mktemp -d "$cache/root.XXXXXX")
init=
finish() {
  [ -z "$init" ] || kill -KILL "$init" 2>/dev/null || true
  sleep 1
  rm -rf --one-file-system "$root"
}
trap finish EXIT
cp -a "$base/." "$root/"
cp "$package" "$root/root/usaged.deb"

# Namespaces of its own for everything; the new root is the real one, because the unit wants user namespaces.
cat >"$root/root/boot" <<'BOOT'
set -e
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
  touch "$root/dev/$node"
  mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs tmpfs "$root/dev/shm"
if grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/memory" "$root/sys/fs/cgroup/pids"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup -o memory cgroup "$root/sys/fs/cgroup/memory"
  mount -t cgroup -o pids cgroup "$root/sys/fs/cgroup/pids"
fi
mkdir -p "$root/.outside"
cd "$root"
pivot_root . .outside
cd /
umount -l /.outside
rmdir /.outside
mount --make-rshared /
exec env -i container=usaged-boot PATH=/usr/bin:/usr/sbin /lib/systemd/systemd --system --log-target=journal
BOOT
(
  for group in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/memory /sys/fs/cgroup/pids; do
    [ ! -e "$group/cgroup.procs" ] || { mkdir -p "$group/usaged-boot" && echo "$BASHPID" >"$group/usaged-boot/cgroup.procs"; } 2>/dev/null || true
  done
  exec unshare --pid --fork --mount --uts --ipc --net --cgroup --kill-child sh "$root/root/boot" "$root"
) </dev/null >"$cache/boot.log" 2>&1 &
outside=$!
for _ in $(seq 100); do
  init=$(pgrep -P "$outside" | head -1 || true)
  [ -z "$init" ] || [ "$(cat "/proc/$init/comm" 2>/dev/null)" != systemd ] || break
  sleep 0.1
done
inside() { nsenter --target "$init" --all --root --wd "$@"; }
say() { printf '  %s\n' "$*"; }
fail() { echo "usaged: $*" >&2; inside journalctl -u usaged --no-pager -o cat -n 30 >&2 || true; exit 1; }

for _ in $(seq 100); do
  state=$(inside systemctl is-system-running 2>/dev/null || true)
  case $state in running | degraded) break ;; esac
  sleep 0.2
done
[ "$state" = running ] || fail "the machine did not boot: $state"
inside ip link set lo up 2>/dev/null || true
say "booted systemd $(inside systemctl --version | awk 'NR == 1 { print $2 }')"

# Installed and running, with nothing else done.
mkdir -p "$root/etc/systemd/system/usaged.service.d"
printf '[Service]\nTimeoutStartSec=20s\n' >"$root/etc/systemd/system/usaged.service.d/test.conf"
inside dpkg --force-depends --install /root/usaged.deb >"$cache/install.log" 2>&1 || fail "dpkg: $(tail -3 "$cache/install.log")"
[ "$(inside systemctl is-active usaged)" = active ] || fail "it is not active after the installation"
[ "$(inside usaged health)" = ready ] || fail "it is not ready"
say "installed, active and ready"

pid=$(inside systemctl show --property MainPID --value usaged)
status=$(inside cat "/proc/$pid/status")
for expected in 'Seccomp:	2' 'NoNewPrivs:	1' 'CapBnd:	0000000000000000' 'CapEff:	0000000000000000'; do
  grep -q "^$expected" <<<"$status" || fail "the process has not $expected"
done
! grep -q '^Uid:	0' <<<"$status" || fail "it runs as root"
keys=$(inside sh -c 'stat -c "%a %U" /run/credentials/usaged.service/keys_root /etc/usaged/keys/root' | tr '\n' ' ')
[ "$keys" = "400 usaged 600 root " ] || fail "the keys are not as they should be: $keys"
say "confined: seccomp, no capabilities, no new privileges, keys handed over"

# The whole job, a reload, and a kill -9 that systemd mends.
inside usaged participation set acme --level ceip=standard --reason test >/dev/null || fail "participation"
inside usaged subscription create jobs --purpose improve --recipient tests --from-oldest >/dev/null || fail "subscription"
event='{"name":"vm.inventory","fields":{"host":"esx-1.example.com","vcpus":8}}'
inside usaged send --customer acme --product vcenter <<<"$event" >/dev/null || fail "send"
inside systemctl reload usaged || fail "reload"
inside systemctl kill --signal KILL usaged
for _ in $(seq 100); do
  sleep 0.2
  [ "$(inside systemctl show --property MainPID --value usaged)" != "$pid" ] && inside usaged health >/dev/null 2>&1 && break
done
[ "$(inside usaged drain jobs 2>/dev/null | grep -c vm.inventory)" = 1 ] || fail "what was acknowledged is not there after a kill"
say "sent, reloaded, killed, started again by systemd, drained"

# A backup is written where the unit lets it, and nowhere else.
inside usaged store backup /var/backups/usaged/first --personal /var/backups/usaged/personal >"$cache/backup.log" 2>&1 ||
  fail "backup: $(tail -3 "$cache/backup.log")"
inside usaged store check /var/backups/usaged/first >"$cache/check.log" 2>&1 || fail "check of the backup: $(tail -3 "$cache/check.log")"
! inside usaged store backup /srv/first --personal /var/backups/usaged/other >/dev/null 2>&1 || fail "it writes outside of its places"
say "backed up while it runs, and the backup checked"

# The root key is changed with the key that systemd hands over.
inside sh -c 'umask 077; openssl rand -hex 32 >/etc/usaged/keys/root.next'
inside systemctl restart usaged || fail "restart with a next key"
# It says by its exit code (7) that a step is left: the collector cannot write where its keys are.
turned=0
inside usaged keys rotate-root --reason test >"$cache/rotate.log" 2>&1 || turned=$?
if [ "$turned" != 7 ] || ! grep -q 'one step is left' "$cache/rotate.log"; then
  fail "rotate-root ended with $turned: $(cat "$cache/rotate.log")"
fi
inside mv /etc/usaged/keys/root.next /etc/usaged/keys/root
inside systemctl restart usaged || fail "restart with the new key"
[ "$(inside usaged health)" = ready ] || fail "it does not open with the new key"
say "root key changed"

# An upgrade starts the new program: root's check of the configuration is made for the user of the collector.
before=$(inside systemctl show --property MainPID --value usaged)
inside dpkg --force-depends --install /root/usaged.deb >"$cache/upgrade.log" 2>&1 || fail "upgrade: $(tail -3 "$cache/upgrade.log")"
[ "$(inside systemctl show --property MainPID --value usaged)" != "$before" ] || fail "an upgrade did not start the new program: $(tail -3 "$cache/upgrade.log")"
[ "$(inside usaged health)" = ready ] || fail "it is not ready after an upgrade"
say "upgraded, and started anew"

# A configuration that is refused is not tried again, and an upgrade leaves the running collector alone.
before=$(inside systemctl show --property MainPID --value usaged)
inside sh -c 'echo "nonsense = 1" >>/etc/usaged/usaged.toml'
inside dpkg --force-depends --install /root/usaged.deb >"$cache/upgrade.log" 2>&1 || true
[ "$(inside systemctl show --property MainPID --value usaged)" = "$before" ] || fail "an upgrade ended the collector over a configuration that is refused"
inside systemctl restart usaged >/dev/null 2>&1 || true
sleep 6
[ "$(inside systemctl show --property ExecMainStatus --value usaged)" = 3 ] || fail "the exit code is not 3"
[ "$(inside systemctl is-failed usaged)" = failed ] || fail "it is tried again"
inside journalctl -u usaged -p err --no-pager -o cat >"$cache/errors.log" || fail "journalctl"
grep -q nonsense "$cache/errors.log" || fail "the journal does not have the refusal as an error"
inside sed -i '/^nonsense/d' /etc/usaged/usaged.toml
inside systemctl start usaged || fail "start after the correction"
say "a configuration that is refused neither ends what runs nor is tried again"

inside dpkg --remove usaged >/dev/null 2>&1 || fail "remove"
[ "$(inside systemctl is-active usaged)" != active ] || fail "it runs after it was removed"
inside dpkg --purge usaged >"$cache/purge.log" 2>&1 || fail "purge"
grep -q 'are left in /var/lib/usaged' "$cache/purge.log" || fail "the purge does not say what is left"
[ -e "$root/var/lib/usaged/data/FORMAT" ] || fail "the purge took the data"
say "removed and purged; data and keys are left"
echo "usaged: the package works under systemd"
