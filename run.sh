#!/bin/sh
# Start the gateway with the given arguments. The first run sets up the environment before that.
set -eu

self=$0
while [ -h "$self" ]; do # follow a symbolic link to the project
    target=$(readlink -- "$self")
    case $target in
    /*) self=$target ;;
    *) self=$(dirname -- "$self")/$target ;;
    esac
done
here=$(CDPATH='' cd -- "$(dirname -- "$self")" && pwd)

# The stamp is a copy of the lock files that were installed, see utils/environment.py.
if ! [ -x "$here/venv/bin/python" ] ||
    ! cat "$here/locks/uv.txt" "$here/locks/runtime.txt" | cmp -s - "$here/venv/ready-runtime"; then
    "$here/init.sh"
fi

exec "$here/venv/bin/python" "$here/main.py" "$@"
