#!/usr/bin/env bash
# The demo in every mode on SQLite, predictive and progressive on PostgreSQL too: the ledgers of
# dialer, carrier and CRM must agree each time.
#   tests/acceptance.sh quick   150 contacts at thirty times the speed
#   tests/acceptance.sh full    the demo's defaults
# All runs at once: each waits for people and timers, not for the processor.
# Wants the built program; PostgreSQL runs in a temporary folder and ends with this script.
set -euo pipefail

case "${1:-}" in
  quick) size=(--contacts 150 --speed 30 --agents 10) minutes=4 ;;
  full) size=() minutes=15 ;;
  *) echo "usage: tests/acceptance.sh quick|full" >&2; exit 2 ;;
esac
cd "$(dirname "$0")/.."
program=${CAMPANILE:-${CARGO_TARGET_DIR:-target}/debug/campanile}
[ -x "$program" ] || { echo "$program is missing: cargo build --bin campanile" >&2; exit 2; }

work=$(mktemp -d)
server=
finish() {
  local children
  children=$(jobs -p)
  [ -z "$children" ] || kill $children 2>/dev/null || true
  [ -z "$server" ] || as_postgres "$bin/pg_ctl" -D "$work/pg/data" -m immediate -s stop || true
  rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# PostgreSQL refuses to run as root; its Debian package brings a user of its own.
as_postgres() {
  if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi
}

start_postgres() {
  bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
  [ -n "$bin" ] || { echo "PostgreSQL is missing: apt-get install postgresql" >&2; exit 2; }
  chmod 755 "$work"
  mkdir "$work/pg"
  [ "$(id -u)" -ne 0 ] || chown postgres "$work/pg"
  # Its data lasts as long as the runs, so nothing has to be synced to the disk at the start; the
  # runs themselves do sync, as a real server would.
  (cd / && as_postgres "$bin/initdb" -D "$work/pg/data" -U postgres -A trust -E UTF8 --no-locale \
    --no-sync) >"$work/initdb" 2>&1 || { cat "$work/initdb" >&2; exit 2; }
  server=started
  (cd / && as_postgres "$bin/pg_ctl" -D "$work/pg/data" -w -s -l "$work/pg/log" \
    -o "-k $work/pg -c listen_addresses=" start) || { cat "$work/pg/log" >&2; exit 2; }
}

# One run: $1 a name, the rest options. Its verdict goes to a file of that name.
run() {
  local name=$1 code=0
  shift
  timeout --kill-after=10 $((minutes * 60)) "$program" demo --json --port 0 ${size[@]+"${size[@]}"} "$@" \
    >"$work/$name.out" 2>"$work/$name.err" </dev/null || code=$?
  node tests/acceptance.mjs "$name" "$code" "$work/$name.out" >"$work/$name.verdict" 2>&1 \
    && : >"$work/$name.passed"
  cat "$work/$name.verdict"
  [ -e "$work/$name.passed" ] || tail -n 20 "$work/$name.err" | sed 's/^/    /'
}

start_postgres
url="postgres://postgres@localhost/postgres?host=$work/pg&schema"
runs=(
  "predictive-sqlite --mode predictive"
  "predictive-postgres --mode predictive --database $url=predictive"
  "progressive-sqlite --mode progressive"
  "progressive-postgres --mode progressive --database $url=progressive"
  "power-sqlite --mode power"
  "preview-sqlite --mode preview"
)
SECONDS=0
for words in "${runs[@]}"; do
  run $words &
done
wait
passed=$(find "$work" -name '*.passed' | wc -l)
echo "$passed passed, $((${#runs[@]} - passed)) failed, in $SECONDS s"
[ "$passed" -eq ${#runs[@]} ]
