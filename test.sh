#!/bin/sh
# Check the project: ruff, mypy, and the tests.
#
# Without arguments it runs the unit tests and the gateway tests, then those on real engines.
# The slow tests in tests/system are left to .ci/run. Arguments go to one run of pytest instead.
#
# LLAMA_SERVER and LLAMA_TOKENIZE name binaries to test with besides the bundled engine; without
# them those on PATH are taken, if any. MLX_LM_SERVER names the server of mlx_lm likewise,
# CHROMIUM the browser for the pages.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

if ! [ -x "$here/venv/bin/python" ] ||
    ! cat "$here/locks/uv.txt" "$here/locks/dev.txt" | cmp -s - "$here/venv/ready-dev"; then
    "$here/init.sh" dev
fi

cd "$here"
LLAMA_SERVER=${LLAMA_SERVER:-$(command -v llama-server || true)}
LLAMA_TOKENIZE=${LLAMA_TOKENIZE:-$(command -v llama-tokenize || true)}
MLX_LM_SERVER=${MLX_LM_SERVER:-$(command -v mlx_lm.server || true)}
export LLAMA_SERVER LLAMA_TOKENIZE MLX_LM_SERVER
# Clones have mostly the same files: what mypy found in them is kept for all.
MYPY_CACHE_DIR=${MYPY_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/llm-gateway/mypy}
export MYPY_CACHE_DIR
# The tests start Python a thousand times: it must not compile the same files each time.
unset PYTHONDONTWRITEBYTECODE
python=$here/venv/bin/python
cores=$("$python" -c 'import os; print(os.cpu_count() or 1)')

failed=
step() { # a name, then a command
    name=$1
    shift
    echo "== $name"
    "$@" || failed="$failed$name; "
}

# mypy computes for half a minute the first time. It takes what the tests leave of the cores.
types=$(mktemp)
unit=$(mktemp)
trap 'rm -f "$types" "$unit"' EXIT
nice "$python" -m mypy >"$types" 2>&1 &
checker=$!

step "ruff check" "$python" -m ruff check .
step "ruff format" "$python" -m ruff format --check .
if [ $# -gt 0 ]; then
    step "pytest" "$python" -m pytest "$@"
else
    # Unit tests compute; gateway tests mostly wait for processes. Beside each other they keep the
    # cores busy. Apart, each worker is smaller: it collects half the tests.
    "$python" -m pytest -q -n $((cores / 2 > 1 ? cores / 2 : 0)) tests/unit >"$unit" 2>&1 &
    units=$!
    step "gateway tests" "$python" -m pytest -q -n $((cores + 2)) tests/gateway
    wait "$units" || failed="${failed}unit tests; "
    echo "== unit tests"
    cat "$unit"
    without=
    if ! PATH=$PATH:$(echo /usr/lib/postgresql/*/bin | tr ' ' :) command -v initdb >/dev/null; then
        killed=tests/real/test_accounts_killed.py
        echo "== PostgreSQL was not found: its tests in $killed are not run"
        for each in test_every_answer_that_a_client_has_is_charged_once[postgresql] \
            test_four_gateways_spend_no_more_than_there_is test_a_database_that_goes_and_comes_back; do
            without="$without --deselect=$killed::$each"
        done
    fi
    if ! command -v espeak-ng >/dev/null; then
        echo "== espeak-ng was not found: its tests in tests/unit/engine/espeak/test_type.py and" \
            "tests/real/test_speech.py are not run"
    fi
    if [ -z "$MLX_LM_SERVER" ]; then
        echo "== mlx_lm.server was not found: its tests in tests/real/test_generic.py are not run"
        without="$without --deselect=tests/real/test_generic.py::test_its_own_count_is_told_and_remembered"
    fi
    if [ -z "$LLAMA_SERVER" ]; then
        large=tests/real/test_estimate.py::test_large_models_are_estimated_as_the_engine_projects_them
        echo "== llama-server was not found: the tests run on the bundled engine alone, and $large," \
            "which needs what that does not print, is not run"
        without="$without --deselect=$large"
    fi
    if [ -z "${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}" ]; then
        pages="tests/real/test_pages*.py"
        echo "== Chromium was not found: the tests of the pages in $pages are not run"
        without="$without --ignore-glob=$pages"
    fi
    # shellcheck disable=SC2086 # several words
    step "real engines" "$python" -m pytest -q -n $((cores + 1)) --dist loadgroup \
        --no-loadscope-reorder tests/real $without
fi
wait "$checker" || failed="${failed}mypy; "
echo "== mypy"
cat "$types"

if [ -n "$failed" ]; then
    echo "FAILED: ${failed%; }" >&2
    exit 1
fi
echo "All checks passed."
