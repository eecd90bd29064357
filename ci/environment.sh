#!/usr/bin/env bash
# The virtual environments of this checkout, each made once and reused until its lock or the place changes:
#   environment.sh            .venv, the platform, from requirements/lock.txt, and build/spark-packages.zip
#   environment.sh airflow    .venv-airflow, what runs dags/, from requirements/airflow.lock
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "setup: $*" >&2; exit 1; }

case "${1:-platform}" in
    platform) venv=.venv lock=requirements/lock.txt ;;
    airflow) venv=.venv-airflow lock=requirements/airflow.lock ;;
    *) fail "no environment '$1': there are platform and airflow" ;;
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
    fail "Python 3.11 is needed, found $(python3 --version 2>/dev/null || echo none): install python3.11 and python3.11-venv, or name one in PYTHON311"
}

check_java() {
    local java="${JAVA_HOME:+$JAVA_HOME/bin/}java" version
    # Spark 3.5 reads no Java newer than 17, and pyspark finds the same one: JAVA_HOME first, then PATH.
    version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1) || true
    [[ "$version" == 17 ]] ||
        fail "Java 17 is needed, found ${version:-none}: install openjdk-17-jre-headless (or any JRE 17), or point JAVA_HOME at one"
}

pack_for_spark() {
    [[ $venv != .venv ]] || "$venv/bin/python" -m ci.spark_packages > /dev/null || exit 1
}

check_java
stamp=$venv/.stamp
if [[ -x $venv/bin/python && -f "$stamp" ]] &&
    [[ "$(cat "$stamp")" == "$PWD $(sha256sum < "$lock" 2>/dev/null || shasum -a 256 < "$lock")" ]]; then
    pack_for_spark
    exit 0
fi

python=$(find_python)
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv: install python3.11-venv"
echo "setup: making $venv from $lock (a few minutes the first time)"
rm -rf "$venv"
"$python" -m venv "$venv"
# The lock is whole, so nothing is left to resolve; a build from source (pyspark) still gets its own tools.
log=$venv/pip.log
"$venv/bin/python" -m pip install --disable-pip-version-check --no-deps --requirement "$lock" > "$log" 2>&1 || {
    grep -v '^WARNING' "$log" | tail -n 15 >&2
    fail "the packages in $lock could not be installed ($log): check the network or PIP_INDEX_URL, then run again"
}
"$venv/bin/python" -m pip check --disable-pip-version-check > /dev/null || fail "$lock contradicts itself: run 'make lock'"
echo "$PWD $(sha256sum < "$lock" 2>/dev/null || shasum -a 256 < "$lock")" > "$stamp"
pack_for_spark
