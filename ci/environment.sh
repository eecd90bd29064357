#!/usr/bin/env bash
# Create a virtual environment of this checkout, or reuse it if its lock and its folder are unchanged:
#   environment.sh            .venv from requirements/lock.txt, and build/spark-packages.zip
#   environment.sh airflow    .venv-airflow, for dags/, from requirements/airflow.lock
#   environment.sh container  .venv-container, SageMaker's serving stack, from requirements/container.lock and .venv
#   environment.sh policies   .venv-policies, Pulumi's policy SDK, from policies/requirements.txt
#   environment.sh peers      .venv-peers, other recommenders for bench/peers.py, from requirements/peers.lock and .venv
#   environment.sh program    .venv with the packages of the Pulumi programs only, for CI; keeps a complete .venv
# Packages come from the indexes that pip is configured for. TORCH_INDEX_URL replaces PyTorch's index of CPU builds.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $*" >&2; exit 1; }

case "${1:-platform}" in
    platform) venv=.venv lock=requirements/lock.txt ;;
    airflow) venv=.venv-airflow lock=requirements/airflow.lock ;;
    container) venv=.venv-container lock=requirements/container.lock ;;
    policies) venv=.venv-policies lock=policies/requirements.txt ;;
    peers) venv=.venv-peers lock=requirements/peers.lock ;;
    program) venv=.venv lock=requirements/program.txt ;;
    *) fail "unknown environment '$1': use platform, airflow, container, policies, peers or program" ;;
esac

is_python_311() { "$1" -c 'import sys; raise SystemExit(sys.version_info[:2] != (3, 11))' 2>/dev/null; }

find_python() {
    local candidate
    for candidate in "${PYTHON311:-}" python3.11 python3 python; do
        if [[ -n "$candidate" ]] && is_python_311 "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 is needed, found $(python3 --version 2>/dev/null || echo none): install python3.11 and python3.11-venv, or set PYTHON311 to one"
}

check_java() {
    local java="${JAVA_HOME:+$JAVA_HOME/bin/}java" version
    # Spark 3.5 supports Java up to 17. pyspark uses the same order: JAVA_HOME, then PATH.
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || true
    [[ "$version" == 17 ]] ||
        fail "Java 17 is needed, found ${version:-none}: install openjdk-17-jre-headless (or any JRE 17), or set JAVA_HOME to one"
}

pack_for_spark() {
    [[ $lock != requirements/lock.txt ]] || "$venv/bin/python" -m ci.spark_packages > /dev/null || exit 1
}

pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile "$@" >> "$log" 2>&1 || {
        grep -v '^WARNING' "$log" | tail -n 15 >&2
        fail "the packages in $lock could not be installed ($log): check the network or PIP_INDEX_URL, then run again"
    }
}

has_cpu_build() { # PIN [OPTION...]: whether an index has the CPU build of a torch version
    local pin=$1 versions
    shift
    versions=$("$venv/bin/python" -m pip index versions torch --disable-pip-version-check "$@" 2>> "$log") || return
    [[ " ${versions//[$',()\n']/ } " == *" ${pin#torch==}+cpu "* ]]
}

# PyPI's torch for Linux requires CUDA packages of several GB. The lock has the dependencies of the CPU build, which
# PyTorch publishes on an index of its own, with the version label "+cpu". On other systems PyPI has the CPU build.
install_torch() {
    local pin index=${TORCH_INDEX_URL:-https://download.pytorch.org/whl/cpu}
    pin=$(grep '^torch==' "$lock") || return 0
    if [[ $(uname -s) == Linux ]]; then
        if has_cpu_build "$pin"; then
            pip_install --no-deps "$pin+cpu"
            return
        elif has_cpu_build "$pin" --index-url "$index" --timeout 5 --retries 1; then
            pip_install --no-deps --index-url "$index" "$pin+cpu"
            return
        fi
        echo "setup: no $pin+cpu at $index or on pip's own indexes: installing $pin with CUDA (several GB)"
    fi
    pip_install --constraint "$lock" "$pin"
}

# Jobs and builds see the environment read-only, so that each of their processes would compile all that it imports,
# torch and the SageMaker SDK among it. pip would compile all 25,000 modules, one after another. A module that cannot
# be imported is reported by the command that needs it. The SageMaker SDK makes a client when it is imported,
# with the variables that local.up removes.
compile_modules() {
    [[ $lock == requirements/lock.txt ]] || return 0
    env -u PYTHONDONTWRITEBYTECODE AWS_DEFAULT_REGION=us-east-1 "$venv/bin/python" -c '
import ml.ncf.jobs.evaluate, ml.ncf.jobs.train, ml.pipeline.definition, ml.pipeline.session
import pip._internal.commands.install, pyspark.sql
import local.up, stacks.platform
' >> "$log" 2>&1 || true
}

digest() { # LOCK
    # The links of an environment lead into .venv, so that it depends on the lock of .venv too.
    local locks=("$1")
    ! $is_linked || locks+=(requirements/lock.txt)
    cat "${locks[@]}" | { sha256sum 2>/dev/null || shasum -a 256; }
}

is_complete() { # LOCK: whether the environment was created here, from this version of the lock
    [[ -x $venv/bin/python && -f $venv/.stamp && "$(cat "$venv/.stamp")" == "$PWD $(digest "$1")" ]]
}

# .venv has most packages of these environments, torch among them: they are linked instead of installed twice.
is_linked=false
[[ $venv != .venv-container && $venv != .venv-peers ]] || is_linked=true
is_program=false
[[ $lock != requirements/program.txt ]] || is_program=true
$is_program || check_java
if is_complete "$lock" || { $is_program && is_complete requirements/lock.txt; }; then
    pack_for_spark
    exit 0
fi

python=$(find_python)
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv: install python3.11-venv"
echo "setup: creating $venv from $lock (takes a few minutes)"
rm -rf "$venv"
"$python" -m venv "$venv"
log=$venv/pip.log
if $is_linked; then
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    .venv/bin/python -m ci.link_packages "$lock" "$site" torch > "$venv/requirements.txt"
else
    grep -v '^torch==' "$lock" > "$venv/requirements.txt" || true
fi
# --no-deps: the lock is complete. Builds from source (pyspark) still get their build dependencies.
pip_install --no-deps --requirement "$venv/requirements.txt"
install_torch
"$venv/bin/python" -m pip check --disable-pip-version-check > /dev/null || fail "the versions in $lock are incompatible: run 'make lock'"
compile_modules
echo "$PWD $(digest "$lock")" > "$venv/.stamp"
pack_for_spark
