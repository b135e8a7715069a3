#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of `make fuzz`: compiles the crate and the fuzz targets with the counters that libFuzzer
# reads, on stable Rust. Only members of the workspace go through it, so RocksDB and the other dependencies stay as
# they are. The build script links without libFuzzer, and is left alone.
rustc=$1
shift
case " $* " in
*" --crate-name usaged "*" --crate-type lib "* | *" --crate-name fuzz "*)
    exec "$rustc" "$@" --cfg fuzzing \
        -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares \
        -Ccodegen-units=16 -Copt-level=2 -Cdebug-assertions=on
    ;;
esac
exec "$rustc" "$@"
