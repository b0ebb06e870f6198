#!/bin/sh
# Makes sure this machine has what a build needs and prints the Python to use, one path, on the last line of stdout.
#
# Needed: make, a C compiler with libc headers, and a Python between 3.11 and 3.13 with `venv` and its C headers.
# As root on Debian or a relative the missing packages are installed; anywhere else one exact line says what to do.
# Nothing is installed, and nothing is printed but the path, when all is there already. Run it alone on a machine
# that has no make yet: `sh appliance/bootstrap.sh`. With the argument `tests` the programs that tests run beside ours
# are needed too: mosquitto, as peer and measure of the MQTT gateway, chromium, to look at the dashboard, and the shells
# whose completion is asked.
set -eu

# True when $1 can build us: right version, can make environments, has Python.h.
is_suitable() {
    "$1" - 2>/dev/null <<'PYTHON'
import os, sys, sysconfig
import ensurepip, venv
ok = (3, 11) <= sys.version_info[:2] <= (3, 13) and os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
sys.exit(0 if ok else 1)
PYTHON
}

# Prints the newest suitable Python on PATH; `PYTHON=...` in the environment overrides the search.
find_python() {
    for candidate in ${PYTHON:-python3.13 python3.12 python3.11 python3 /usr/bin/python3}; do
        path=$(command -v "$candidate") || continue
        if is_suitable "$path"; then
            echo "$path"
            return 0
        fi
    done
    return 1
}

# Prints what is missing as Debian package names.
missing_packages() {
    command -v make >/dev/null || printf 'make '
    # A gcc without libc's headers cannot compile anything, so the compiler is tried, not looked up.
    printf '#include <stdio.h>\n' | ${CC:-cc} -x c -E - >/dev/null 2>&1 || printf 'gcc libc6-dev '
    find_python >/dev/null || [ -n "${PYTHON:-}" ] || printf 'python3 python3-venv python3-dev '
    [ "$wanted" = tests ] || return 0
    command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || printf 'mosquitto '
    command -v chromium >/dev/null || printf 'chromium '
    command -v zsh >/dev/null || printf 'zsh '
    command -v fish >/dev/null || printf 'fish '
}

wanted=${1:-build}
packages=$(missing_packages)
if [ -n "$packages" ]; then
    command="apt-get install --yes --no-install-recommends ${packages% }"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing: run as root (Debian names): $command" >&2
        exit 1
    fi
    echo "installing: ${packages% }" >&2
    # Tests start their own; the service would take the port of MQTT.
    case $packages in *mosquitto*) [ ! -d /run/systemd/system ] || systemctl mask --quiet mosquitto.service ;; esac
    apt-get update --quiet=2 >&2
    # shellcheck disable=SC2086 # The names are meant to be split.
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends $packages >&2
fi

find_python || {
    echo "missing: a Python from 3.11 to 3.13 with venv and headers; set PYTHON=/path/to/python3 if it is not on PATH" >&2
    exit 1
}
