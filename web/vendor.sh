#!/bin/sh
# Make web/static/vendor/ again, from the packages that web/vendor.lock names. For developers only.
#
# It needs Node with npm. Each package comes from the npm registry of this machine and must have the
# integrity in the lock. With "--write", the sha256 of each new file is written into the lock;
# without it, a file that differs from the lock is a failure. To take a newer version, change
# "version" and "integrity" in the lock first.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

node -e '
for (const p of JSON.parse(require("fs").readFileSync(process.argv[1])).packages)
  console.log(p.name, p.version, p.integrity)
' "$here/vendor.lock" | while read -r name version integrity; do
    file=$(npm pack --silent "$name@$version")
    found=sha512-$(openssl dgst -sha512 -binary "$file" | openssl base64 -A)
    if [ "$found" != "$integrity" ]; then
        echo "$name $version: its integrity is $found" >&2
        exit 1
    fi
    mkdir -p "node_modules/$name"
    tar -xzf "$file" -C "node_modules/$name" --strip-components 1
done

cat >preact.js <<'END'
import htm from "htm";
import { h, render } from "preact";
import * as hooks from "preact/hooks";
export const html = htm.bind(h);
export { h, render };
export const { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } = hooks;
END
cat >markdown.js <<'END'
export { default as MarkdownIt } from "markdown-it/browser";
export { default as DOMPurify } from "dompurify";
END
languages="bash c cpp css diff go java javascript json lua markdown python rust sql typescript xml yaml"
{
    echo 'import hljs from "highlight.js/lib/core";'
    for each in $languages; do
        echo "import $each from \"highlight.js/lib/languages/$each\";"
        echo "hljs.registerLanguage(\"$each\", $each);"
    done
    echo 'export default hljs;'
} >highlight.js
echo 'export { default } from "uplot";' >uplot.js

out=$here/static/vendor
mkdir -p "$out"
for each in preact markdown highlight uplot; do
    node node_modules/esbuild-wasm/bin/esbuild "$each.js" --bundle --minify --format=esm \
        --target=es2022 --charset=utf8 --legal-comments=none --outfile="$out/$each.js" --log-level=warning
done
cp node_modules/uplot/dist/uPlot.min.css "$out/uplot.css"
for each in preact htm markdown-it dompurify highlight.js uplot; do
    echo "---- $each ----"
    cat "node_modules/$each/LICENSE"
    echo
done >"$out/LICENSES.txt"

node -e '
const fs = require("fs"), crypto = require("crypto");
const [lockFile, out, write] = process.argv.slice(1);
const lock = JSON.parse(fs.readFileSync(lockFile));
const files = Object.fromEntries(fs.readdirSync(out).sort().map((name) => [name,
  crypto.createHash("sha256").update(fs.readFileSync(`${out}/${name}`)).digest("hex")]));
if (write === "--write") {
  fs.writeFileSync(lockFile, JSON.stringify({ ...lock, files }, null, 2) + "\n");
} else if (JSON.stringify(files) !== JSON.stringify(lock.files)) {
  console.error("the files differ from web/vendor.lock");
  process.exit(1);
}
' "$here/vendor.lock" "$out" "${1:-}"
