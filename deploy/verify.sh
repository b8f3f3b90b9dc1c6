#!/bin/sh
# Check both units with systemd, and print how exposed the system unit is.
#
# systemd checks that the program of a unit exists, so a stub takes the gateway's place.
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
    if [ -n "$said" ]; then # an unknown key is only a warning, with status 0
        echo "deploy/$kind/llm-gateway.service: $said" >&2
        exit 1
    fi
done

# At most 2.5 of 10: GPUs and clients need some access.
systemd-analyze --offline=yes --threshold=25 --no-pager security \
    "$work/system/llm-gateway.service" >"$work/exposure" || {
    cat "$work/exposure" >&2
    exit 1
}
tail -n 1 "$work/exposure"
