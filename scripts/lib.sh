# Sourced by the scripts beside it: a Python of 3.11 or newer, and a virtual environment that has this checkout in it.
# shellcheck shell=bash

PXL_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
PXL_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/pxl-audit"

pxl_say() { printf '%s\n' "$*" >&2; }

pxl_die() {
  pxl_say "$(basename "$0"): error: $*"
  exit 2
}

# Prints the path of a real interpreter (not of a version manager's shim, which is slow and may change under us).
pxl_python() {
  local name real
  local -a names=(python3.11 python3.12 python3.13 python3.14 python3)
  [ -z "${PYTHON:-}" ] || names=("$PYTHON")
  for name in "${names[@]}"; do
    real="$("$name" -I -c 'import sys; sys.version_info >= (3, 11) and print(sys.executable)' 2>/dev/null)" || continue
    [ -n "$real" ] && printf '%s\n' "$real" && return 0
  done
  pxl_die "no Python 3.11 or newer found; install one, or name it: PYTHON=/path/to/python3.11 $0"
}

# pxl_venv WORD...   a WORD is an extra of pyproject.toml, or group:NAME for a dependency group.
# Makes the environment unless it is there, and sets PXL_VENV to its directory. It stands in the cache, one for each
# (checkout, Python, pyproject.toml, words). The file .ready is written last, so a broken installation is never used.
pxl_venv() {
  local python key words="$*"
  python="$(pxl_python)" || exit 2
  key="$({ printf '%s\n' "$PXL_ROOT" "$words"; "$python" -VV; cat "$PXL_ROOT/pyproject.toml"; } | sha256sum)"
  PXL_VENV="$PXL_CACHE/venv-${key:0:16}"
  mkdir -p "$PXL_CACHE"
  (
    flock 9
    [ -e "$PXL_VENV/.ready" ] || _pxl_install "$python" "$@"
    touch "$PXL_VENV/.ready"
  ) 9>"$PXL_VENV.lock" || exit $?
  _pxl_forget_old
}

_pxl_install() {
  local python="$1" word extras="" started=$SECONDS log="$PXL_VENV.log"
  local -a groups=()
  shift
  for word in "$@"; do
    case "$word" in
      group:*) groups+=(--group "$PXL_ROOT/pyproject.toml:${word#group:}") ;;
      *) extras="$extras${extras:+,}$word" ;;
    esac
  done
  pxl_say "setting up $PXL_VENV (once; about a minute)"
  rm -rf "$PXL_VENV"
  "$python" -m venv "$PXL_VENV" >"$log" 2>&1 ||
    pxl_die "cannot make a virtual environment (on Debian: apt-get install python3-venv); see $log"
  # --group needs pip 25.1.
  "$PXL_VENV/bin/python" -m pip install --upgrade 'pip>=25.1' >>"$log" 2>&1 &&
    "$PXL_VENV/bin/python" -m pip install -e "$PXL_ROOT${extras:+[$extras]}" "${groups[@]}" >>"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    pxl_die "cannot install the packages; the whole output is in $log"
  }
  pxl_say "set up in $((SECONDS - started)) s"
}

# Environments that nobody has used for two weeks: an older pyproject.toml, a checkout that is gone.
_pxl_forget_old() {
  local ready
  find "$PXL_CACHE" -maxdepth 2 -path '*/venv-*/.ready' -mtime +14 | while read -r ready; do
    rm -rf "${ready%/.ready}" "${ready%/.ready}.lock" "${ready%/.ready}.log"
  done
}
