#!/usr/bin/env bash
# Installs what building and testing need and this machine does not have. Says what it does.
set -euo pipefail

missing=()
command -v c++ >/dev/null || missing+=(g++)
# bindgen reads RocksDB's C header through libclang (which is not libclang-cpp).
compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null || missing+=(libclang-dev)
# The test of a foreign client runs Python in a virtual environment of its own.
python3 -c 'import venv, ensurepip' >/dev/null 2>&1 || missing+=(python3 python3-venv)
# The test of a disk that fails a sync injects the error with strace.
command -v strace >/dev/null || missing+=(strace)
# The tests of what is deployed: systemd rates the unit, dpkg makes the package, shellcheck reads the scripts.
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v dpkg-shlibdeps >/dev/null || missing+=(dpkg-dev)
command -v shellcheck >/dev/null || missing+=(shellcheck)
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
# The test of a power cut mounts file systems of its own; syncs that fail need no package.
command -v mkfs.btrfs >/dev/null || missing+=(btrfs-progs)
command -v mkfs.ext4 >/dev/null || missing+=(e2fsprogs)

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
if [ ${#missing[@]} -gt 0 ]; then
  echo "usaged: installing ${missing[*]} with apt-get"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
fi

# The tests of metrics, alerts and the dashboard run promtool and Prometheus. Debian's package is unpacked into the
# target directory and not installed: so no service is started, and nothing of the machine changes.
debian="${CARGO_TARGET_DIR:-$HOME/.cache/usaged/target}/debian"
if ! { command -v promtool && command -v prometheus; } >/dev/null && [ ! -x "$debian/usr/bin/promtool" ]; then
  echo "usaged: unpacking Debian's prometheus (19 MB) into $debian"
  mkdir -p "$debian"
  (cd "$debian" && { apt-get download -qq -o APT::Sandbox::User=root prometheus || { "${sudo[@]}" apt-get update -qq; apt-get download -qq -o APT::Sandbox::User=root prometheus; }; } &&
    dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb)
fi

if ! command -v cargo >/dev/null; then
  echo "usaged: Rust is missing; install it as https://rustup.rs says, then run this again" >&2
  exit 1
fi
