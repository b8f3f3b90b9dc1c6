#!/bin/sh
# Check the project: ruff, mypy, and pytest with the arguments given.
#
# LLAMA_SERVER and LLAMA_TOKENIZE name binaries to test with besides the bundled engine; without
# them those on PATH are taken, if any.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

if ! [ -x "$here/venv/bin/python" ] ||
    ! cat "$here/locks/uv.txt" "$here/locks/dev.txt" | cmp -s - "$here/venv/ready-dev"; then
    "$here/init.sh" dev
fi

cd "$here"
LLAMA_SERVER=${LLAMA_SERVER:-$(command -v llama-server || true)}
LLAMA_TOKENIZE=${LLAMA_TOKENIZE:-$(command -v llama-tokenize || true)}
export LLAMA_SERVER LLAMA_TOKENIZE

failed=
step() { # a name, then a command
    name=$1
    shift
    echo "== $name"
    "$@" || failed="$failed$name; "
}

step "ruff check" venv/bin/python -m ruff check .
step "ruff format" venv/bin/python -m ruff format --check .
step "mypy" venv/bin/python -m mypy
step "pytest" venv/bin/python -m pytest "$@"

if [ -n "$failed" ]; then
    echo "FAILED: ${failed%; }" >&2
    exit 1
fi
echo "All checks passed."
