#!/usr/bin/env bash
# Make the virtual environment $1 from requirements.lock, with the package itself editable.
set -euo pipefail
environment=$1

find_python() {
    local candidate
    for candidate in "${SAMNB_PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3 python; do
        [ -n "$candidate" ] || continue
        # Asked by running it: a name on the PATH may be a shim with nothing behind it.
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or newer with venv was found." >&2
    echo "Remedy: install one (Debian: apt-get install python3 python3-venv), or name it:" >&2
    echo "  make setup SAMNB_PYTHON=/path/to/python3" >&2
    return 1
}

if [ ! -x "$environment/bin/python" ]; then
    python=$(find_python)
    echo "Making $environment with $("$python" --version) ..."
    "$python" -m venv "$environment"
fi

echo "Installing the locked environment (minutes the first time) ..."
# -qq: only errors; pip otherwise warns about every configured folder that is not there.
pip=("$environment/bin/python" -m pip --disable-pip-version-check -qq)
"${pip[@]}" install --require-hashes --no-deps -r requirements.lock
# The lock holds the build backend, so nothing outside it is fetched for the package itself.
"${pip[@]}" install --no-deps --no-build-isolation --editable .
echo "Ready: $("$environment/bin/python" --version) in $environment"
