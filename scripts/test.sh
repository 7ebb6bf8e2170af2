#!/usr/bin/env bash
# Runs every test of the repository. One command on a fresh machine: where no Vulkan driver is found it installs a
# software one (Debian-like systems, as root or through sudo), elsewhere it says what to install.
#
#   scripts/test.sh [arguments of cargo test]
#
# MBCONV_SKIP_GPU=1 runs without any GPU test, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."

vulkan_driver() {
    ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json /usr/local/share/vulkan/icd.d/*.json \
        ${VK_ICD_FILENAMES:-} ${VK_DRIVER_FILES:-} 2>/dev/null | head -n 1
}

apt_install() {
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

apt_update() {
    local sudo=""
    [ "$(id -u)" -eq 0 ] || sudo="sudo"
    $sudo apt-get update -qq
}

# Debian 12 has a newer Mesa, about twice as fast, in its backports; the archive's own works too.
install_driver() {
    echo "no Vulkan driver found: installing Mesa's software driver (mesa-vulkan-drivers)"
    apt_update
    if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then
        local sudo=""
        [ "$(id -u)" -eq 0 ] || sudo="sudo"
        echo "deb http://deb.debian.org/debian bookworm-backports main" |
            $sudo tee /etc/apt/sources.list.d/mbconv-backports.list >/dev/null
        if apt_update && apt_install -t bookworm-backports mesa-vulkan-drivers libvulkan1; then
            return
        fi
    fi
    apt_install mesa-vulkan-drivers libvulkan1
}

if [ "$(uname -s)" = Linux ]; then
    if ! command -v cc >/dev/null && command -v apt-get >/dev/null; then
        echo "no linker found: installing gcc"
        apt_update
        apt_install gcc libc6-dev
    fi
    if [ -z "${MBCONV_SKIP_GPU:-}" ] && [ -z "$(vulkan_driver)" ]; then
        if command -v apt-get >/dev/null; then
            install_driver
        else
            echo "no Vulkan driver found: install Mesa's (Fedora: mesa-vulkan-drivers, Arch: vulkan-swrast," >&2
            echo "Alpine: mesa-vulkan-swrast) or your GPU's, or set MBCONV_SKIP_GPU=1" >&2
            exit 1
        fi
    fi
fi

cargo test --release --locked "$@"

# Chromium brings a second, independent software driver. Lockstep verification runs on it wherever it is installed.
for icd in /usr/lib/chromium/vk_swiftshader_icd.json /usr/lib/chromium-browser/vk_swiftshader_icd.json \
    /opt/google/chrome/vk_swiftshader_icd.json; do
    [ -z "${MBCONV_SKIP_GPU:-}" ] && [ -f "$icd" ] && [ $# -eq 0 ] || continue
    for size in 0 1 2 3 4 5 6 7; do
        echo "SwiftShader: verifying efficientnet_b$size"
        VK_ICD_FILENAMES="$icd" VK_DRIVER_FILES="$icd" WGPU_BACKEND=vulkan \
            cargo run --release --locked --quiet -- verify --arch "efficientnet_b$size" --resolution 64 --device SwiftShader | tail -n 3
    done
    break
done
