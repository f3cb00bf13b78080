# Shared by start.sh and test.sh: what the machine needs, and the virtual environment with the gateway built into it.
# Sourced with the working directory at the root of the sources.

# To ccache `c++` is another compiler than `g++`. With one name the presets find what pip has compiled.
export CXX="${CXX:-g++}"

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf 'polyglot: %s\n' "$*" >&2; exit 1; }

# lacks_...: true when the machine lacks the thing; each is asked by what it does, not by a package's name.
lacks_command() { ! command -v "$1" >/dev/null; }
lacks_python() { ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
lacks_venv() { ! python3 -c 'import ensurepip, venv' 2>/dev/null; }
lacks_python_headers() { ! python3 -c 'import os, sysconfig, sys
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null; }
lacks_cmake() { ! cmake --version 2>/dev/null | awk 'NR == 1 { split($3, v, "."); exit !(v[1] > 3 || v[2] >= 24) }'; }
lacks_header() { ! echo "#include <$1>" | g++ -std=c++20 -E -x c++ - >/dev/null 2>&1; }

lacks_nchan() { ! compgen -G '/usr/lib/nginx/modules/ngx_nchan_module.so' >/dev/null; }

# Names the Debian packages that would supply what is missing. $1: start, instances, test or slow.
missing_packages() {
  lacks_python && echo python3
  lacks_venv && echo python3-venv
  lacks_python_headers && echo python3-dev
  lacks_command g++ && echo g++
  lacks_cmake && echo cmake
  lacks_command ninja && echo ninja-build
  lacks_command ccache && echo ccache
  lacks_command curl && echo curl
  lacks_command flock && echo util-linux
  lacks_header simdjson.h && echo libsimdjson-dev
  lacks_header boost/beast.hpp && echo libboost-dev
  lacks_header nghttp2/nghttp2.h && echo libnghttp2-dev
  [ "$1" = start ] && return
  lacks_command nginx && echo nginx-light
  lacks_command redis-server && echo redis-server
  [ "$1" = instances ] && return
  lacks_header gtest/gtest.h && echo libgtest-dev
  lacks_header gmock/gmock.h && echo libgmock-dev
  lacks_header benchmark/benchmark.h && echo libbenchmark-dev
  lacks_command node && echo nodejs
  lacks_command npm && echo npm
  lacks_command chromium && echo chromium
  lacks_command git && echo git
  lacks_command openssl && echo openssl
  lacks_command wrk && echo wrk
  lacks_command ip && echo iproute2
  lacks_nchan && echo libnginx-mod-nchan
  [ "$1" = test ] && return
  lacks_fuzzer && echo clang libclang-rt-dev
  return 0
}

lacks_fuzzer() { ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
  clang++ -fsanitize=fuzzer,address -x c++ - -o /dev/null 2>/dev/null; }

install_packages() {
  local missing
  missing=$(missing_packages "$1" | tr '\n' ' ')
  [ -z "$missing" ] && return
  local as_root=''
  if [ "$(id -u)" != 0 ]; then as_root='sudo'; fi
  if lacks_command apt-get || { [ -n "$as_root" ] && ! sudo -n true 2>/dev/null; }; then
    die "this machine lacks some packages; as root run:  apt-get install -y --no-install-recommends $missing"
  fi
  say "Installing $missing"
  $as_root apt-get update -q
  # shellcheck disable=SC2086  # a list of words
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing
  missing=$(missing_packages "$1" | tr '\n' ' ')
  [ -z "$missing" ] || die "still missing after the installation: $missing"
}

# promtool, which checks the alert rules, out of Debian's package and into .venv. The package itself would start a
# Prometheus, at the port of the processor's gRPC. Where it cannot be had, the tests that need it are skipped.
provide_promtool() {
  if ! lacks_command promtool || [ -x .venv/bin/promtool ] || lacks_command apt-get; then return; fi
  local folder
  folder=$(mktemp -d)
  if (cd "$folder" && apt-get download -q prometheus >/dev/null 2>&1); then
    say "Unpacking promtool"
    dpkg-deb --fsys-tarfile "$folder"/prometheus_*.deb | tar -xO ./usr/bin/promtool >"$folder/promtool" &&
      install -m 755 "$folder/promtool" .venv/bin/promtool
  fi
  rm -rf "$folder"
}

# A digest of all that the installation depends on. It is editable, so of Python files only the names count.
sources_digest() {
  {
    python3 --version
    echo "$1"
    find python -name '*.py' | sort
    find CMakeLists.txt pyproject.toml cpp python/CMakeLists.txt python/polyglot_gateway/processor/proto/*.proto -type f |
      sort | xargs sha256sum
  } | sha256sum | cut -d' ' -f1
}

# Makes .venv with the gateway in it, or brings it up to date. $1: extras such as [dev], or nothing.
install_gateway() {
  local stamp=".venv/installed${1:-}" digest
  mkdir -p build
  (
    flock 9
    digest=$(sources_digest "${1:-}")
    if [ "$(cat "$stamp" 2>/dev/null)" = "$digest" ]; then exit; fi
    say "Building the gateway into .venv"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    # Built without isolation, so that the next build finds the same paths and compiles only what has changed.
    .venv/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
      >build/build-requirements.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check -r build/build-requirements.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation -e ".${1:-}"
    echo "$digest" >"$stamp"
  ) 9>build/setup.lock
}
