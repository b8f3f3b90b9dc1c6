#!/bin/sh
# Have systemd check the units, and say how exposed the machine's own is.
#
# systemd wants the programs to exist that a unit starts: a stand-in takes the gateway's place.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '#!/bin/sh\n' >"$work/llm-gateway"
chmod 755 "$work/llm-gateway"

for kind in system user; do
    mkdir "$work/$kind"
    sed "s|^ExecStart=[^ ]*/llm-gateway |ExecStart=$work/llm-gateway |" \
        "$here/$kind/llm-gateway.service" >"$work/$kind/llm-gateway.service"
    said=$(XDG_RUNTIME_DIR=$work systemd-analyze "--$kind" --man=no --recursive-errors=no verify \
        "$work/$kind/llm-gateway.service" 2>&1) || {
        echo "deploy/$kind/llm-gateway.service: $said" >&2
        exit 1
    }
    if [ -n "$said" ]; then # unknown keys are only warned of
        echo "deploy/$kind/llm-gateway.service: $said" >&2
        exit 1
    fi
done

# 2.5 of 10: what GPUs and clients need stays open.
systemd-analyze --offline=yes --threshold=25 --no-pager security \
    "$work/system/llm-gateway.service" >"$work/exposure" || {
    cat "$work/exposure" >&2
    exit 1
}
tail -n 1 "$work/exposure"
