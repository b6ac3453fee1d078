#!/bin/sh
# Builds the executable for ../paddock: build.sh PROGRAM, with PADDOCK_BUILD_MODE=aot|net. Speaks on standard error only.
set -u
program=$1
mode=${PADDOCK_BUILD_MODE:-aot}
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd) || exit 1
out=$here/artifacts/$mode
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
# packages are those of packages.lock.json, by their hashes, unless PADDOCK_UNLOCKED_RESTORE is set
[ -n "${PADDOCK_UNLOCKED_RESTORE:-}" ] || export PADDOCK_LOCKED_RESTORE=1

say() { echo "paddock: $*" >&2; }

if ! dotnet --list-sdks 2>/dev/null | grep -q '^1[0-9]\.'; then
    say "the .NET 10 SDK is missing; install it (package dotnet-sdk-10.0, or https://dotnet.microsoft.com) and try again"
    exit 1
fi

mkdir -p "$out" || exit 1
if command -v flock >/dev/null 2>&1; then
    exec 9>"$here/artifacts/build.lock"
    flock 9
    # another start may have built it while this one waited
    if [ -x "$program" ] && [ -z "$(find "$here/src" \( -name bin -o -name obj \) -prune -o -newer "$program" -type f -print -quit)" ]; then
        exit 0
    fi
fi

if [ "$mode" = aot ]; then
    say "building (once; about a minute) ..."
    set -- publish
else
    if [ -z "${PADDOCK_NO_AOT:-}" ]; then
        say "no linker (clang or gcc) here: building for the .NET runtime, which starts more slowly"
    else
        say "building for the .NET runtime ..."
    fi
    set -- build
fi

log=$out/build.log
started=$out/.started
: >"$started"
if ! dotnet "$1" "$here/src/Paddock.Cli/Paddock.Cli.csproj" -c Release -v q -nologo \
    --artifacts-path "$here/artifacts/obj-$mode" -o "$out" >"$log" 2>&1 9>&-; then
    grep -E 'error|warning' "$log" | sort -u | head -20 >&2
    if grep -q NU1004 "$log"; then
        say "the packages differ from packages.lock.json (another version of the SDK, or another processor, brings its own compiler packages);"
        say "set PADDOCK_UNLOCKED_RESTORE=1 to build with what this SDK brings"
    fi
    say "the build failed; all of its output is in $log"
    exit 1
fi
# as old as the sources that it was built from: an edit made during the build must be seen
touch -r "$started" "$program"
