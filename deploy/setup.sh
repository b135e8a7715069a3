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

if [ ${#missing[@]} -gt 0 ]; then
  echo "usaged: installing ${missing[*]} with apt-get"
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
  echo "usaged: Rust is missing; install it as https://rustup.rs says, then run this again" >&2
  exit 1
fi
