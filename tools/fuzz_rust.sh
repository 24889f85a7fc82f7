#!/bin/sh
# Fuzzes the data path for some seconds a target with cargo-fuzz, which is installed when it is not there.
# Sanitizers need unstable flags of the compiler; RUSTC_BOOTSTRAP lets the stable one take them.
set -eu

seconds=$1
"$CARGO" fuzz --version >/dev/null 2>&1 || {
    echo "ginnel: installing cargo-fuzz"
    "$CARGO" install --quiet --locked cargo-fuzz
}
export RUSTC_BOOTSTRAP=1
for target in $("$CARGO" fuzz list); do
    echo "== $target"
    "$CARGO" fuzz run --sanitizer none "$target" -- -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -max_len=4096 -print_final_stats=1
done
