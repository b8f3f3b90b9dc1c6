#!/bin/sh
# Measure the gateway: ./bench/run.sh [--quick] [--parts core frame ...] [--write FILE],
# see bench/main.py.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)

if ! [ -x "$here/venv/bin/python" ] ||
    ! cat "$here/locks/uv.txt" "$here/locks/runtime.txt" | cmp -s - "$here/venv/ready-runtime"; then
    "$here/init.sh"
fi

cd "$here"
exec venv/bin/python -m bench.main "$@"
