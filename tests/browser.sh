#!/usr/bin/env bash
# Both pages in Chromium against a running demo: a manager watches, a person takes calls by keyboard.
# Leaves the screenshots of the README in docs/images when called with --save.
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
work=$(mktemp -d)
demo=
trap 'if [ -n "$demo" ]; then kill -INT "$demo" 2>/dev/null || true; wait "$demo" 2>/dev/null || true; fi; rm -rf "$work"' EXIT

./target/debug/campanile demo --contacts 600 --agents 9 --speed 6 --port 0 --json --dir "$work/data" \
  >"$work/report.json" 2>"$work/log" &
demo=$!
link() { grep -oE "$1 +http[^ ]+" "$work/log" | grep -oE 'http[^ ]+' || true; }
for _ in $(seq 300); do
  [ -n "$(link 'your desk')" ] && break
  kill -0 $demo 2>/dev/null || { cat "$work/log"; exit 1; }
  sleep 0.1
done
manager=$(link manager)
desk=$(link 'your desk')
base=${manager%/link/*}
( cd ui && node e2e/pages.mjs "$base" "$manager" "$out" "$desk" ) || {
  echo "the demo said:"; tail -5 "$work/log"; echo "screenshots: $out"; exit 1
}
kill -INT $demo
wait $demo || { cat "$work/report.json"; echo "the ledgers differ after a person took calls"; exit 1; }
demo=
if [ "${1:-}" = --save ]; then
  mkdir -p docs/images
  cp "$out"/{manager,agent}-{en,uk}.png docs/images/
fi
echo "3 passed, 0 failed"
