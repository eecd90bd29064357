#!/usr/bin/env bash
# Preview or deploy one stage with the Pulumi CLI, in the environment of `ci/environment.sh program`. Variables:
#   PULUMI_BACKEND_URL   S3 bucket of the Pulumi state, as an s3:// URL
#   PULUMI_CONFIG_PASSPHRASE   only if Pulumi.<stage>.yaml names no secrets provider (docs/first-deployment.md);
#                              Pulumi Cloud (https://) has one of its own
#   AWS_ROLE_ARN, GITLAB_OIDC_TOKEN   optional: role to assume with the OIDC token of the job
# and AWS credentials for the state bucket and the account of the stage, unless the token is used.
set -euo pipefail
cd "$(dirname "$0")/.."

usage="usage: ci/pulumi.sh preview|up STAGE [OUTPUT_FILE]"
action=${1:?$usage}
stage=${2:?$usage}
[[ "$action" == preview || "$action" == up ]] || { echo "$usage" >&2; exit 2; }
[[ -f "Pulumi.$stage.yaml" ]] || { echo "pulumi.sh: Pulumi.$stage.yaml: no such stage" >&2; exit 2; }
if [[ "${PULUMI_BACKEND_URL:-https://}" != https://* && -z "${PULUMI_CONFIG_PASSPHRASE+set}${PULUMI_CONFIG_PASSPHRASE_FILE+set}" ]] &&
    ! grep -q '^secretsprovider: ' "Pulumi.$stage.yaml"; then
    echo "pulumi.sh: Pulumi.$stage.yaml names no secrets provider: run 'pulumi stack init $stage --secrets-provider' and commit the file (docs/first-deployment.md), or set PULUMI_CONFIG_PASSPHRASE" >&2
    exit 2
fi
command -v pulumi > /dev/null || { echo "pulumi.sh: no pulumi on PATH: install the Pulumi CLI" >&2; exit 2; }

if [[ -n "${GITLAB_OIDC_TOKEN:-}" ]]; then
    AWS_WEB_IDENTITY_TOKEN_FILE=$(mktemp)
    export AWS_WEB_IDENTITY_TOKEN_FILE
    trap 'rm -f "$AWS_WEB_IDENTITY_TOKEN_FILE"' EXIT
    printf '%s' "$GITLAB_OIDC_TOKEN" > "$AWS_WEB_IDENTITY_TOKEN_FILE"
fi

pack() { python -m ci.spark_packages > /dev/null; }  # the program uploads the archive

if [[ "$action" == preview ]]; then
    # The merge request note includes errors, so keep all output; pipefail preserves the exit code.
    { pack && pulumi preview --stack "$stage" --non-interactive --color never --diff; } 2>&1 | tee "${3:-/dev/null}"
else
    pack
    pulumi up --stack "$stage" --non-interactive --color never --yes
fi
