#!/usr/bin/env bash
# create_venv.sh DIRECTORY UV_VERSION: the virtual environment, on the best interpreter at hand, with uv in it.
#
# $PYTHON, when set, is taken as it is. Otherwise python3; but one built without --enable-optimizations costs 20-30 % more
# CPU, so the first optimised python3 of 3.11 or newer on the PATH or in /usr/bin is taken before it. Debian's python3 may
# lack ensurepip: then uv, in an environment of the first interpreter that can, creates this one.
set -euo pipefail
directory=$1 uv_version=$2

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
# Distributions build theirs with profiles; Debian leaves no trace of that in CONFIG_ARGS.
is_optimised() {
  "$1" -c 'import sys, sysconfig
arguments = str(sysconfig.get_config_var("CONFIG_ARGS"))
sys.exit("--enable-optimizations" not in arguments and sys.base_prefix != "/usr")' 2>/dev/null
}

candidates=()
for name in python3 python3.11 python3.12 python3.13 python3.14; do
  for path in "$(command -v $name || true)" "/usr/bin/$name"; do
    if [ -x "$path" ] && is_new_enough "$path"; then candidates+=("$path"); fi
  done
done

chosen=${PYTHON:-} why="as asked"
if [ -z "$chosen" ]; then
  [ ${#candidates[@]} -gt 0 ] || { echo "Lumen needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
  chosen=${candidates[0]} why="no optimised one was found"
  for path in "${candidates[@]}"; do
    if is_optimised "$path"; then chosen=$path why="an optimised build"; break; fi
  done
fi
is_new_enough "$chosen" || { echo "$chosen: Lumen needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
echo "Python: $chosen ($("$chosen" -V 2>&1 | cut -d' ' -f2), $why)"

if "$chosen" -c 'import ensurepip, venv' 2>/dev/null; then
  "$chosen" -m venv "$directory"
  "$directory/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
  exit
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for path in "${candidates[@]}"; do
  if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
    "$path" -m venv "$scratch/venv"
    "$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "uv==$uv_version"
    "$scratch/venv/bin/uv" venv --quiet --python "$chosen" "$directory"
    cp "$scratch/venv/bin/uv" "$directory/bin/uv"
    exit
  fi
done
echo "$chosen has no ensurepip and no other Python has: install python3-venv, or set PYTHON=..." >&2
exit 1
