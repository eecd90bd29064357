#!/usr/bin/env bash
# Preview or deploy one stage. What it needs beside the Pulumi CLI is in the environment:
#   PULUMI_BACKEND_URL   where the state lies (an s3:// bucket), credentials for it and for the stage's account
#   AWS_ROLE_ARN, GITLAB_OIDC_TOKEN   optional: the role that the job's own token may assume, instead of stored keys
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: ci/pulumi.sh preview|up STAGE [FILE for the preview's text]"
action=${1:?$usage}
stage=${2:?$usage}
[[ "$action" == preview || "$action" == up ]] || { echo "$usage" >&2; exit 2; }
[[ -f "Pulumi.$stage.yaml" ]] || { echo "pulumi.sh: Pulumi.$stage.yaml: no such stage" >&2; exit 2; }
command -v pulumi > /dev/null || { echo "pulumi.sh: no pulumi on PATH: install the Pulumi CLI" >&2; exit 2; }

if [[ -n "${GITLAB_OIDC_TOKEN:-}" ]]; then
    AWS_WEB_IDENTITY_TOKEN_FILE=$(mktemp)
    export AWS_WEB_IDENTITY_TOKEN_FILE
    trap 'rm -f "$AWS_WEB_IDENTITY_TOKEN_FILE"' EXIT
    printf '%s' "$GITLAB_OIDC_TOKEN" > "$AWS_WEB_IDENTITY_TOKEN_FILE"
fi

pack() { python -m ci.spark_packages > /dev/null; }  # the program uploads it, and asks no network itself

if [[ "$action" == preview ]]; then
    # The note must say what failed, too: keep the text, and pipefail passes the exit code on.
    { pack && pulumi preview --stack "$stage" --non-interactive --color never --diff; } 2>&1 | tee "${3:-/dev/null}"
else
    pack
    pulumi up --stack "$stage" --non-interactive --color never --yes
fi
