#!/bin/sh
# Makes the environment in .venv: Python packages with the digests of locks/, and, through apt, what some features need
# beside them. Run again, it does nothing as long as nothing it depends on has changed; interrupted, it starts anew.
# pip reads its own variables (PIP_INDEX_URL, PIP_FIND_LINKS, ...), for a mirror.
#
#   PYTHON=/path/to/python sh scripts/setup.sh     with a Python of your choice (3.11 or newer)
#   sh scripts/setup.sh --tests                    also what only the checks need: a Chromium, the documentation builder
#   HASHES=no sh scripts/setup.sh                  at the versions of constraints.txt without digests, for another build of
#                                                  torch than locks/ lists, or a platform that has to compile a package
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }

# ---- apt: optional parts. Without them the rest works, so nothing here ends the set-up.

sudo_words=                     # how to become root: nothing, "sudo -n", "sudo"; "no" where there is no way
find_root() {
    if [ "$(id -u)" = 0 ]; then sudo_words=
    elif ! command -v sudo >/dev/null; then sudo_words=no
    elif sudo -n true 2>/dev/null; then sudo_words="sudo -n"
    elif [ -t 0 ] && [ -t 2 ]; then sudo_words=sudo; say "sudo may ask for your password, to install: $*"
    else sudo_words=no
    fi
}

apt_get() {
    # dpkg needs the sbin folders, which a user's PATH often lacks; another apt-get at work is waited for.
    # shellcheck disable=SC2086  # $sudo_words is words
    $sudo_words env DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" \
        apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

apt_install() {                 # true when all packages are installed at the end
    command -v apt-get >/dev/null || { say "this system has no apt-get, to install: $*"; return 1; }
    find_root "$@"
    [ "$sudo_words" != no ] || { say "root (or sudo without a password) is needed to install: $*"; return 1; }
    say "apt-get install $*"
    # A machine whose package lists are missing or old gets new ones; one where they are good is not made to wait.
    apt_get install -y --no-install-recommends "$@" 2>/dev/null ||
        { apt_get update && apt_get install -y --no-install-recommends "$@"; }
}

has_translator() { command -v apertium >/dev/null && [ -e /usr/share/apertium/modes/eng-spa.mode ]; }
has_wordnet() { [ -e /usr/share/wordnet/data.noun ] && [ -e /usr/share/wordnet/index.sense ]; }

has_chromium() { command -v chromedriver >/dev/null; }

install_debian_parts() {
    packages=
    has_translator || packages="apertium-eng-spa"
    has_wordnet || packages="$packages wordnet-base wordnet-sense-index"
    [ "$for_tests" = no ] || has_chromium || packages="$packages chromium chromium-driver"
    [ -n "$packages" ] || return 0
    # shellcheck disable=SC2086  # $packages is words
    apt_install $packages || true
    has_translator || say "no Apertium: back-translation with apertium:eng-spa will not work" \
        "until you run: apt-get install apertium-eng-spa"
    has_wordnet || say "no WordNet: synonyms and the wordnet data sets will not work, unless NLTK has its own copy," \
        "until you run: apt-get install wordnet-base wordnet-sense-index"
    [ "$for_tests" = no ] || has_chromium || say "no Chromium: the tests that look at the report with it are skipped" \
        "until you run: apt-get install chromium chromium-driver"
}

# ---- Python

# shellcheck disable=SC2086  # $PYTHON is one word, or the default is many
candidates() { printf '%s\n' ${PYTHON:-python3.11 python3.12 python3.13 python3 /usr/bin/python3.11 /usr/bin/python3}; }

find_python() {                 # $1: modules it must have. Prints the first that does; fails where none does
    for python in $(candidates); do
        if "$python" -c "import sys, $1; sys.exit(sys.version_info < (3, 11))" >/dev/null 2>&1; then
            command -v "$python"
            return 0
        fi
    done
    return 1
}

python_with_venv() {
    find_python "venv, ensurepip" && return 0
    if [ -n "${PYTHON:-}" ]; then
        say "error: PYTHON=$PYTHON is not a Python 3.11 or newer with its venv module"
        return 1
    fi
    # Debian and Ubuntu ship Python without its venv module; the package that has it is named for the version.
    if python=$(find_python sys); then
        name=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        apt_install "$name" || apt_install python3-venv || true
    else
        apt_install python3 python3-venv || true
        find_python "venv, ensurepip" || apt_install python3.11 python3.11-venv || true
    fi
    find_python "venv, ensurepip" && return 0
    say "error: no Python 3.11 or newer with its venv module. Run: apt-get install python3.11 python3.11-venv" \
        "(or name one: PYTHON=/path/to/python make setup)"
    return 1
}

pip_install() {
    env PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
        .venv/bin/python -m pip install --no-input "$@"
}

install_locked() {              # $1: a file of locks/. Builds nothing, since what builds a package has no digest
    pip_install --require-hashes --no-deps --only-binary :all: --requirement "locks/$1.txt" && return 0
    say "error: a package of locks/$1.txt cannot be installed, or has another digest; HASHES=no make setup installs" \
        "the versions of constraints.txt from your package index, whatever their digests are"
    return 1
}

install_torch() {               # the build that pip takes without digests, if its digest is known
    wheels=.venv/torch-wheel
    rm -rf "$wheels"
    env PIP_CONSTRAINT=constraints.txt .venv/bin/python -m pip --disable-pip-version-check download --no-input --quiet \
        --no-deps --only-binary :all: --dest "$wheels" torch
    digest=$(.venv/bin/python -m pip --disable-pip-version-check hash "$wheels"/torch-*.whl | grep '^--hash=')
    if ! grep -qF -e "$digest" locks/torch.txt; then
        say "error: $(cd "$wheels" && echo *.whl) has another digest than those of locks/torch.txt (${digest#*=});" \
            "HASHES=no make setup installs it all the same"
        return 1
    fi
    pip_install --no-deps "$wheels"/torch-*.whl
    rm -rf "$wheels"
}

needs_cuda() {                  # true where the build of torch is one for CUDA, which has its libraries beside it
    .venv/bin/python - <<'END'
import sys
from importlib.metadata import requires
sys.exit(not (sys.platform == "linux" and any(name.startswith("nvidia-") for name in requires("torch") or ())))
END
}

make_environment() {
    wanted=$(cat pyproject.toml constraints.txt locks/*.txt scripts/setup.sh | cksum)
    stamp=.venv/text-uda-setup  # two lines, $wanted and this folder, once the environment is whole
    if [ -e "$stamp" ]; then
        made=$(sed -n 1p "$stamp") where=$(sed -n 2p "$stamp")
        [ "$made" != "$wanted" ] || [ "$where" != "$PWD" ] || return 0
        # What was cut short, was moved here with the tree, or has lost its Python is made anew; the rest is mended.
        if [ "$made" = unfinished ] || [ "$where" != "$PWD" ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1
        then rm -rf .venv
        fi
    fi                          # a .venv without the stamp is the user's own: it is installed into
    mkdir -p .venv
    printf '%s\n' unfinished "$PWD" >"$stamp"
    if [ ! -x .venv/bin/python ]; then
        python=$(python_with_venv)
        say "making .venv with $python"
        "$python" -m venv .venv
    fi
    say "installing the Python packages (the first time this takes minutes)"
    if [ "${HASHES:-yes}" = no ]; then
        pip_install --quiet 'setuptools>=77'  # what builds text-uda itself, pinned too: hence no isolated build below
        pip_install --no-build-isolation --editable '.[demo,dev]'
    else
        install_locked setup
        install_torch
        ! needs_cuda || install_locked cuda
        pip_install --quiet --no-deps --no-build-isolation --editable .
        .venv/bin/python -m pip --disable-pip-version-check check >&2
    fi
    printf '%s\n' "$wanted" "$PWD" >"$stamp.new"
    mv "$stamp.new" "$stamp"
    say "done"
}

add_docs() {                    # after make_environment, whose stamp says whether .venv is the one that was wanted
    docs_stamp=.venv/text-uda-docs
    ! cmp -s "$docs_stamp" .venv/text-uda-setup || return 0
    say "installing what builds the documentation"
    if [ "${HASHES:-yes}" = no ]; then pip_install --quiet --no-build-isolation --editable '.[docs]'
    else install_locked docs
    fi
    cp .venv/text-uda-setup "$docs_stamp.new"
    mv "$docs_stamp.new" "$docs_stamp"
}

for_tests=no
[ "${1:-}" != --tests ] || for_tests=yes

# Two makes at once in one tree: the second waits, and finds the environment made.
exec 9>.venv.lock
if command -v flock >/dev/null; then flock 9; fi
install_debian_parts
make_environment
[ "$for_tests" = no ] || add_docs
