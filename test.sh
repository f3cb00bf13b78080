#!/usr/bin/env bash
# Sets up as start.sh does, then runs all tests.
#   ./test.sh          everything that is quick
#   ./test.sh --slow   sanitizers, fuzzers, clang-tidy, and the tests marked slow
set -uo pipefail
cd "$(dirname "$0")"
. scripts/setup.sh

lane=test
case "${1:-}" in
  --slow) lane=slow ;;
  '') ;;
  *) die "unknown argument $1; usage: ./test.sh [--slow]" ;;
esac

set -e
install_packages "$lane"
install_gateway '[dev]'
provide_promtool
set +e
export PATH="$PWD/.venv/bin:$PATH"

failed=()
step() {
  local name=$1
  shift
  say "$name"
  "$@" || { failed+=("$name"); printf 'FAILED: %s\n' "$name"; }
}
cpp_files() { find cpp tests/cpp tests/fuzz benchmarks/cpp benchmarks/load -name '*.[ch]pp'; }
format_check() { cpp_files | xargs clang-format --dry-run --Werror; }
cpp_tests() { cmake --preset "$1" >/dev/null && cmake --build --preset "$1" -- -k 0 && ctest --preset "$1" -j "$(nproc)"; }
# `nice`, because what runs beside it goes first.
tidy() {
  local bindings
  bindings=$(ls -td build/cp*/ | head -1)  # the build that pip made
  cmake --preset dev >/dev/null &&
    find cpp/core cpp/server -name '*.cpp' | xargs -P "$(nproc)" -n 1 nice -n 19 clang-tidy -p build/dev --quiet &&
    find cpp/bindings -name '*.cpp' | xargs -P "$(nproc)" -n 1 nice -n 19 clang-tidy -p "$bindings" --quiet
}

# Waits for the process $1, shows what it wrote to $2, and answers as it did.
ended() {
  local answer=0
  wait "$1" || answer=$?
  cat "$2"
  return "$answer"
}

measuring=tests/e2e/test_peers.py  # alone on the machine
if [ "$lane" = test ]; then
  step "ruff" ruff check .
  step "ruff format" ruff format --check .
  step "mypy" mypy
  step "clang-format" format_check
  step "C++ tests" cpp_tests release
  # Two at a time: most of them wait. tests/conftest.py says which stay together.
  step "Python tests" python -m pytest -m "not slow" -n 2 --dist loadgroup tests --ignore "$measuring"
  step "gates" python -m pytest -m "not slow" benchmarks/gates "$measuring"
else
  # They do little but wait, many of them for a time limit of the server's; clang-tidy takes what they leave.
  python -m pytest -m slow -n 6 --dist worksteal tests benchmarks/gates >build/slow-tests.log 2>&1 &
  slow_tests=$!
  trap 'kill "$slow_tests" 2>/dev/null' EXIT
  step "clang-tidy" tidy
  step "slow Python tests" ended "$slow_tests" build/slow-tests.log
  trap - EXIT
  step "C++ tests, AddressSanitizer and UndefinedBehaviorSanitizer" cpp_tests asan
  step "C++ tests, ThreadSanitizer" cpp_tests tsan
  step "fuzzers" cpp_tests fuzz
fi

if [ ${#failed[@]} -gt 0 ]; then
  printf -v list '%s; ' "${failed[@]}"
  die "failed: ${list%; }"
fi
say "All passed"
