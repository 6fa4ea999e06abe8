#!/bin/sh
# Makes .venv beside this file and installs trailcam into it, with what its tests need.
# Called again it does nothing, unless what is installed has changed or the folder has moved.
set -eu
cd "$(dirname "$0")"

# The first Python that is new enough; a Debian may have several.
python=
for candidate in python3 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "$python" ]; then
    echo "setup.sh: trailcam needs Python 3.11 or newer, as in Debian 12 (package python3);" \
        "here is: $(python3 --version 2>&1 || true)" >&2
    exit 1
fi

# The folder is part of it, because an environment does not work elsewhere.
stamp=$(cat setup.cfg pyproject.toml setup.sh | cksum)" $PWD"
if [ -x .venv/bin/trailcam ] && [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ]; then
    exit 0
fi

# Debian keeps the part of Python that makes environments in a package of its own.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=$python-venv
    if ! command -v apt-get >/dev/null; then
        echo "setup.sh: $python cannot make environments; install its venv module" >&2
        exit 1
    fi
    echo "setup.sh: installing the package $package" >&2
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$package" >&2
fi

echo "setup.sh: installing trailcam into .venv" >&2
# --clear, for half an environment is worse than none.
"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
echo "$stamp" > .venv/stamp
