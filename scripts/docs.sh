#!/usr/bin/env bash
# Writes what the documentation shows of the registry and its graphs: the pictures in docs/ and the README's table.
# tests/it/documentation.rs runs the same lines and compares. MBCONV=FILE is the program, else it is built.
set -euo pipefail
cd "$(dirname "$0")/.."
mbconv="${MBCONV:-}"
if [ -z "$mbconv" ]; then
    cargo build --release --locked --quiet
    mbconv="${CARGO_TARGET_DIR:-target}/release/mbconv"
fi

# FILE and the program's arguments.
write() { "$mbconv" "${@:2}" > "$1"; }
write docs/accuracy.svg models --plot
write docs/mbconv.svg describe efficientnet_b0 --svg --block blocks.1.1
write docs/inverted_residual.svg describe mobilenetv2_100 --svg --block blocks.1.1
write docs/sandglass.svg describe mobilenext_100 --svg --block blocks.2.1

# Between its markers. Times are there once benches/zoo.py has measured them.
table=$(mktemp)
times=benches/results/zoo.json
[ -f "$times" ] && times=(--times "$times") || times=()
"$mbconv" models --markdown "${times[@]}" > "$table"
awk -v table="$table" '
    /^<!-- \/models -->$/ { inside = 0 }
    !inside { print }
    /^<!-- models -->$/ { inside = 1; print ""; while ((getline line < table) > 0) print line; print "" }
' README.md > "$table.new"
cat "$table.new" > README.md
rm "$table" "$table.new"
