#!/bin/sh
# Make or repair the environment in venv/: ./init.sh to run, ./init.sh speech with the engines that
# hear and speak, ./init.sh dev to test too.
# run.sh and test.sh call this script if needed.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# Run each name to test it: the shim of a version manager may exist without a Python.
for python in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        exec "$python" -I "$here/utils/environment.py" "$@"
    fi
done

# uv may have a Python, or install one.
if command -v uv >/dev/null 2>&1; then
    found() {
        uv python find --system --no-project '>=3.11' 2>/dev/null
    }
    echo "llm-gateway: Python 3.11 or newer was not found; asking uv for one" >&2
    if python=$(found) || { uv python install 3.12 >&2 && python=$(found); }; then
        exec "$python" -I "$here/utils/environment.py" "$@"
    fi
fi

echo "llm-gateway: Python 3.11 or newer is needed and was not found." >&2
echo "llm-gateway: install it, or give its path: PYTHON=/path/to/python3 ./run.sh" >&2
exit 1
