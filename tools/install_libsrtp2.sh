#!/bin/sh
# Installs libsrtp2, which SRTP calls and their tests load at run time, with the system's package
# manager where this user may do that; otherwise it says what to install. Nothing is touched where it
# is there. Everything but SRTP works without it.
set -eu
if [ "$(uname)" = Darwin ]; then
    brew list srtp >/dev/null 2>&1 || brew install --quiet srtp
    exit 0
fi
if python3 -c 'import ctypes; ctypes.CDLL("libsrtp2.so.1")' 2>/dev/null; then
    exit 0
fi
if command -v apt-get >/dev/null; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif [ -n "${CI:-}" ] && sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo "-- no libsrtp2, so no SRTP; to have it: sudo apt-get install -y libsrtp2-1"
        exit 0
    fi
    echo "-- system package: libsrtp2-1"
    if $as_root apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends \
            libsrtp2-1 >/dev/null; then
        exit 0
    fi
fi
echo "-- no libsrtp2, so no SRTP; install what Debian calls libsrtp2-1"
