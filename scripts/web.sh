#!/usr/bin/env bash
# The browser package and its page.
#
#   scripts/web.sh build            the package in web/dist
#   scripts/web.sh serve            builds, then serves the page on http://localhost:8080 (PORT=... for another port)
#   scripts/web.sh test [PATTERN]   builds, then runs the browser tests (those whose name fits) in headless Chromium
#   scripts/web.sh bench [OPTIONS]  builds, then measures the package beside its peers, see benches/web/README.md
#
# Needs Rust (rustup, or Debian's rustc-web where rustup cannot fetch) and Node.js; tests need Chromium. On a
# Debian-like system what is missing is installed, as root or through sudo.
set -euo pipefail
cd "$(dirname "$0")/.."

apt_install() {
    command -v apt-get >/dev/null || { echo "please install: $*" >&2; exit 1; }
    echo "installing $*"
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# What a folder's package.json names.
node_modules() {
    command -v npm >/dev/null || apt_install nodejs npm
    if [ ! "$1/node_modules/.package-lock.json" -nt "$1/package-lock.json" ]; then
        npm ci --prefix "$1" --no-audit --no-fund --loglevel=error
        touch "$1/node_modules/.package-lock.json"
    fi
}

# The standard library is compiled with the package, for size: that needs its source and no compiled copy for wasm.
compiler() {
    export RUSTC_BOOTSTRAP=1
    cargo=cargo
    if ! rustup component add rust-src >/dev/null 2>&1 &&
        [ ! -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library" ]; then
        echo "rustup cannot fetch rust-src: taking Debian's compiler for the web"
        [ -d /usr/share/doc/rustc-web ] || apt_install rustc-web cargo-web rust-web-src lld-19
        export RUSTC=/usr/bin/rustc CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=wasm-ld-19
        cargo=/usr/bin/cargo
    fi
}

build() {
    node_modules web
    compiler
    local target="${CARGO_TARGET_DIR:-target}"
    env -u RUSTC_BOOTSTRAP CARGO_TARGET_DIR="$target/bindgen" cargo build --quiet --release --locked --manifest-path web/bindgen/Cargo.toml
    for feature in web-run web-zoo web-reference; do
        local module="mbconv_${feature#web-}"
        # No places and no words for panics, which are defects of ours: they stop the module all the same.
        local flags="-Zlocation-detail=none -Zunstable-options -Cpanic=immediate-abort" unused=()
        # What runs networks has no `{:?}` in its messages.
        [ "$feature" != web-run ] || { module=mbconv flags="$flags -Zfmt-debug=none" unused=(3fmt5Debug3fmt); }
        CARGO_TARGET_DIR="$target/web" RUSTFLAGS="$flags" \
            "$cargo" rustc --quiet --locked --lib --crate-type cdylib --profile web --target wasm32-unknown-unknown \
            --no-default-features --features "$feature" -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size
        cp "$target/web/wasm32-unknown-unknown/web/mbconv.wasm" "$target/web/$module.wasm"
        "$target/bindgen/release/bindgen" "$target/web/$module.wasm" web/build "${unused[@]}"
    done
    node web/build.mjs
}

find_chromium() {
    CHROMIUM="${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}"
    [ -n "$CHROMIUM" ] || { apt_install chromium; CHROMIUM=$(command -v chromium); }
    export CHROMIUM
}

# A file of tests that hangs fails after ten minutes, and what it left open ends with the tests.
run_tests() {
    node --test --test-concurrency=1 --test-timeout=600000 --test-force-exit --test-reporter=spec \
        ${1:+--test-name-pattern="$1"} web/tests/*.test.mjs
}

case "${1:-}" in
build) build ;;
serve) build && exec node web/serve.mjs ;;
test) build && find_chromium && shift && run_tests "$@" ;;
bench) build && find_chromium && node_modules benches/web && shift && node benches/web/compare.mjs "$@" ;;
*) sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' && exit 2 ;;
esac
