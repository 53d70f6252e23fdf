#!/bin/sh
# What a virtual environment and a C extension need beyond the Python interpreter itself: the venv
# module, Python's headers and a C compiler. On Debian and Ubuntu they are packages of their own;
# whoever may install packages (root, or sudo without a password) gets them installed here, anyone
# else is told the command. Nothing is touched when nothing is missing.
#
#     tools/prepare_system.sh python3
set -eu
python=$1

missing=
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
"$python" -c 'import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")' 2>/dev/null ||
    missing="$missing python3-dev"
command -v "${CC:-cc}" >/dev/null || missing="$missing gcc libc6-dev"
[ -n "$missing" ] || exit 0
# Not needed, so never asked for alone: it builds voicecore._kernels, for tests/kernels.
command -v c++ >/dev/null || missing="$missing g++"

install="apt-get install -y --no-install-recommends$missing"
if command -v apt-get >/dev/null && [ "$(command -v "$python")" = /usr/bin/python3 ]; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif sudo -n true 2>/dev/null; then
        as_root='sudo -n'
    else
        echo "missing on this machine:$missing; install with: sudo $install"
        exit 1
    fi
    echo "-- system packages:$missing"
    $as_root apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $as_root $install -qq >/dev/null
    exit 0
fi
echo "missing beside $python: what Debian calls$missing; install it, then run make again"
exit 1
