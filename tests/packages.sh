#!/usr/bin/env bash
# The Debian packages that the tests need: installed when root, named with the command otherwise.
set -euo pipefail

declare -A provides=(
  [sip-tester]=sipp
  [postgresql]=/usr/lib/postgresql/15/bin/initdb
  [chromium]=chromium
  [strace]=strace
)
missing=()
for package in "${!provides[@]}"; do
  command -v "${provides[$package]}" >/dev/null 2>&1 || missing+=("$package")
done
# Another major version of PostgreSQL serves as well.
if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
  missing=("${missing[@]/postgresql/}")
fi
missing=(${missing[@]})
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ]; then
  echo "installing: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "the tests need these Debian packages; install them with:"
  echo "  sudo apt-get install --no-install-recommends ${missing[*]}"
  exit 1
fi
