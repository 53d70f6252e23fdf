#!/bin/sh
# Installs libopus, which Opus calls and their tests load at run time, with the system's package
# manager where this user may do that; otherwise it says what to install. Nothing is touched where it
# is there. Everything but Opus works without it.
set -eu
if [ "$(uname)" = Darwin ]; then
    brew list opus >/dev/null 2>&1 || brew install --quiet opus
    exit 0
fi
if python3 -c 'import ctypes; ctypes.CDLL("libopus.so.0")' 2>/dev/null; then
    exit 0
fi
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif [ -n "${CI:-}" ] && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo "-- no libopus, so no Opus; to have it: sudo apt-get install -y libopus0"
        exit 0
    fi
    echo "-- system package: libopus0"
    if $as_root apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
            libopus0 >/dev/null; then
        exit 0
    fi
fi
echo "-- no libopus, so no Opus; install what Debian calls libopus0"
