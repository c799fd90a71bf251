# Sourced by the other scripts: installs Debian packages that are missing. An up-to-date machine needs
# neither the network nor root.
# shellcheck shell=bash

# To build the tool and to run it.
# shellcheck disable=SC2034
tool_packages=(g++ cmake ninja-build llvm-19-dev libzydis-dev nlohmann-json3-dev libfmt-dev
  libcli11-dev libre2-dev pkg-config zlib1g-dev libzstd-dev libarchive-dev rr)
# The Go crash of the quick start.
# shellcheck disable=SC2034
fixture_packages=(golang-1.19-go golang-1.19-src gcc libc6-dev python3-minimal)
# The tests: GoogleTest, more compilers, a validator, tools that they call. Beyond these, the tests of
# report formats use chromium and npm, those of batches parallel, munge, slurmctld, slurmd and
# slurm-client, those of completion zsh and fish, where they are installed, and are skipped where not.
# shellcheck disable=SC2034
test_packages=(libgtest-dev clang-14 rustc python3 python3-jsonschema binutils gdb)

# install_missing PACKAGE...
install_missing() {
  local package missing=() root=()
  for package in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      missing+=("$package")
    fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "Missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
      return 1
    fi
    root=(sudo)
  fi
  echo "Installing: ${missing[*]}" >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

# launcher_options: a compiler cache, where there is one.
launcher_options() {
  if command -v ccache >/dev/null; then echo -DCMAKE_CXX_COMPILER_LAUNCHER=ccache; fi
}
