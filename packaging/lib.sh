# What the packaging scripts share; sourced by bash with root= set to the repository's folder.

say() { printf 'packaging: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# need PROGRAM PACKAGE: stops if a program is missing, and names the Debian package that has it
need() { command -v "$1" >/dev/null 2>&1 || die "$1 is missing: install Debian's package $2"; }

# The one version of all packages: PADDOCK_VERSION, the tag vX.Y.Z of this commit, or <Version> of Directory.Build.props.
package_version() {
    local tag
    if [ -n "${PADDOCK_VERSION:-}" ]; then
        echo "$PADDOCK_VERSION"
    elif tag=$(git -C "$root" describe --tags --exact-match --match 'v[0-9]*' 2>/dev/null); then
        echo "${tag#v}"
    else
        sed -n 's:.*<Version>\(.*\)</Version>.*:\1:p' "$root/Directory.Build.props"
    fi
}

# The time in all packages: that of the commit, or of the newest source where there is no repository.
source_date_epoch() {
    git -C "$root" log -1 --format=%ct 2>/dev/null || find "$root/src" -type f -printf '%T@\n' | sort -n | tail -1 | cut -d. -f1
}

# Where roots are kept between runs and checkouts: making one takes most of a minute.
kept_roots() { echo "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/paddock/roots"; }
