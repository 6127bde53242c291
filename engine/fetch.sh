#!/bin/sh
# Brings the engine of the embedded store into engine/node_modules, at the version package.json pins
# and with the hash package-lock.json pins. Quick and silent when it is already there.
set -eu
cd "$(dirname "$0")"

fail() {
    printf 'engine: %s\n' "$@" >&2
    exit 1
}

case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/amd64) package=@chdb/lib-linux-x64-gnu file=libchdb.so ;;
    Linux/aarch64 | Linux/arm64) package=@chdb/lib-linux-arm64-gnu file=libchdb.so ;;
    # The package for macOS names the file .so or .dylib, depending on its version.
    Darwin/arm64) package=@chdb/lib-darwin-arm64 file='libchdb.*' ;;
    Darwin/x86_64) package=@chdb/lib-darwin-x64 file='libchdb.*' ;;
    *) fail "there is no build of the engine for $(uname -s) on $(uname -m); use a ClickHouse server instead" ;;
esac

pinned=$(sed -n "s|.*\"$package\": \"\([^\"]*\)\".*|\1|p" package.json)
[ -n "$pinned" ] || fail "package.json does not pin a version of $package"

# Whether the library is there, at the pinned version.
present() {
    manifest=node_modules/$package/package.json
    [ -f "$manifest" ] || return 1
    grep -q "\"version\": *\"$pinned\"" "$manifest" || return 1
    for library in node_modules/$package/$file; do
        [ -s "$library" ] && return 0
    done
    return 1
}

present && exit 0

for tool in node npm; do
    command -v "$tool" >/dev/null 2>&1 || fail \
        "$tool is missing; it brings the engine." \
        "Install Node.js 20.19 or 22.12 or later: 'apt install nodejs npm', 'dnf install nodejs', 'brew install node'," \
        "or https://nodejs.org/, and run this again."
done

# An entry without a hash would be installed unchecked.
node -e 'const entry = require("./package-lock.json").packages["node_modules/" + process.argv[1]];
    process.exit(entry && entry.integrity ? 0 : 1)' "$package" || fail \
    "package-lock.json holds no hash of $package yet, so it cannot be checked." \
    "On a machine like this one, once: remove the entry of $package from engine/package-lock.json," \
    "run 'cd engine && npm install', look at what changed in the lock file (version $pinned, one integrity hash)," \
    "compare the hash with 'npm view $package@$pinned dist.integrity' seen from another network, and commit it."

printf 'engine: fetching %s %s (about 160 MB, once)\n' "$package" "$pinned" >&2
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retries=3 >&2 || fail \
    "npm could not fetch $package $pinned; is the registry reachable? ('npm ping')"
present || fail "npm finished, but $package $pinned is not in node_modules"
