#!/usr/bin/env bash
# Builds the executable for ../paddock, and says on standard error what it is doing: build.sh OUT [--native|--runtime|--start] [--force]
set -u
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd) || exit 1
out=$1
shift
# a build that is interrupted leaves no stamp, so the next start builds again
trap 'exit 130' INT TERM

say() { printf 'paddock: %s\n' "$*" >&2; }

usage() {
    cat <<'TEXT'
Usage: ./paddock build [--native|--runtime] [--force]

Builds the executable of this checkout under artifacts/, or in the user's cache if the checkout is read-only.

  --native   one native executable, artifacts/aot/paddock: starts in a few milliseconds, needs clang or gcc, takes a few minutes (the default)
  --runtime  the program for the .NET runtime, artifacts/net/paddock, which ./paddock makes by itself when it has no newer build
  --force    build even if nothing has changed

./paddock runs the native executable while it is as new as the sources, and the other one after that.
TEXT
}

has_linker() { command -v clang >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1; }

mode=aot first='' force=''
for word in "$@"; do
    case $word in
        --native) mode=aot ;;
        --runtime) mode=net ;;
        --start) mode=net first=1 ;;
        --force) force=1 ;;
        --help | -h | '-?') usage; exit 0 ;;
        *) say "build: unknown word '$word'; ./paddock build --help lists the options"; exit 64 ;;
    esac
done

if ! dotnet --list-sdks 2>/dev/null | grep -q '^1[0-9]\.'; then
    say "the .NET 10 SDK is missing; install it (package dotnet-sdk-10.0, or https://dotnet.microsoft.com) and try again"
    exit 1
fi
if [ $mode = aot ] && ! has_linker; then
    say "a native build needs a linker: install clang or gcc; without it ./paddock runs on the .NET runtime"
    exit 1
fi

folder=$out/$mode
mkdir -p "$folder" || exit 1
out=$(cd -- "$out" && pwd) folder=$out/$mode

fresh() {
    [ -z "$force" ] && [ -x "$folder/paddock" ] && [ -e "$folder/.built" ] && [ -z "$(find "$root/src" "$root"/build/*.targets "$root"/Directory.* \
        "$root/global.json" \( -name bin -o -name obj \) -prune -o -newer "$folder/.built" -type f -print -quit)" ]
}

# one build at a time; a start that has waited finds the work done
lock() {
    command -v flock >/dev/null 2>&1 || return
    exec 9>"$out/build-$mode.lock"
    flock -n 9 && return
    say "another build of this checkout is running: waiting for it"
    until flock -w 5 9; do say "  still waiting"; done
}

export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1 DOTNET_GENERATE_ASPNET_CERTIFICATE=false DOTNET_CLI_UI_LANGUAGE=en
# packages are those of the lock files, by their hashes, unless PADDOCK_UNLOCKED_RESTORE is set
[ -n "${PADDOCK_UNLOCKED_RESTORE:-}" ] || export PADDOCK_LOCKED_RESTORE=1

# run_dotnet LOG: what the build prints, then a line with its exit code
run_dotnet() {
    local project=$root/src/Paddock.Cli/Paddock.Cli.csproj
    # packages may have another version than the checkout
    local version=()
    [ -z "${PADDOCK_VERSION:-}" ] || version=(-p:Version="$PADDOCK_VERSION")
    local common=(-c Release -v m -nologo -tl:off -nodeReuse:false --artifacts-path "$out/obj-$mode" -p:PaddockProgress=true)
    if [ $mode = aot ]; then
        dotnet publish "$project" "${common[@]}" -p:PaddockNative=true "${version[@]}" -o "$folder/new"
    else
        # the analyzers are the tests' business; a first start waits for this build
        dotnet build "$project" "${common[@]}" -p:RunAnalyzers=false -p:EnforceCodeStyleInBuild=false -p:GenerateDocumentationFile=false \
            -o "$folder"
    fi 2>&1 | tee "$1"
    echo "exit ${PIPESTATUS[0]}"
}

# Prints each step of the build as it begins, and a sign of life every few seconds. Returns the build's exit code.
follow() {
    local line='' part step='starting' since=$SECONDS code=1
    while :; do
        part=''
        if IFS= read -r -t 4 part; then
            line+=$part
            case $line in
                'exit '*) code=${line#exit } ;;
                *'paddock-step: '*) step=${line#*paddock-step: } since=$SECONDS; say "  $step" ;;
                *'Determining projects to restore'*) step='restoring packages' since=$SECONDS; say "  $step" ;;
                *'Restored '*.csproj*) line=${line##*/}; step=preparing since=$SECONDS; say "  restored ${line%%.csproj*}" ;;
            esac
            line=''
        elif [ $? -gt 128 ]; then
            # read has timed out, perhaps in the middle of a line
            line+=$part
            say "  ... $step, $((SECONDS - since)) s"
        else
            return "$code"
        fi
    done
}

explain() {
    grep -E 'error|warning' "$1" | sort -u | head -20 >&2
    if grep -q NU1004 "$1"; then
        say "the packages differ from the lock files (another version of the SDK, or another processor, brings its own compiler packages);"
        say "set PADDOCK_UNLOCKED_RESTORE=1 to build with what this SDK brings"
    fi
    say "the build failed; all of its output is in $1"
}

lock
if fresh; then
    [ -n "$first" ] || say "$folder/paddock is up to date"
    exit 0
fi
if [ $mode = aot ]; then say "building the native executable"; else say "building for the .NET runtime"; fi
begin=$SECONDS
rm -f "$folder/.built"
# the stamp is as old as the sources: an edit made during the build must be seen
: >"$folder/.started"
if ! follow < <(run_dotnet "$folder/build.log" 9>&-); then
    explain "$folder/build.log"
    exit 1
fi
if [ $mode = aot ]; then
    # a running program keeps the file that it was started from
    mv -f "$folder/new/"* "$folder/" && rmdir "$folder/new" || exit 1
fi
mv -f "$folder/.started" "$folder/.built"
say "built in $((SECONDS - begin)) s"
if [ -n "$first" ] && [ -z "${PADDOCK_NO_AOT:-}" ] && has_linker; then
    say "'./paddock build' makes the native executable, which starts faster"
fi
