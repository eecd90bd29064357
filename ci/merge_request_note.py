"""Publish the preview of a stage as a note on the GitLab merge request; later pipelines update the note.

Reads the predefined variables ``CI_API_V4_URL``, ``CI_PROJECT_ID`` and ``CI_MERGE_REQUEST_IID``, and
``GITLAB_NOTE_TOKEN``, a masked project access token with the ``api`` scope.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

MAX_NOTE_CHARACTERS = 1_000_000  # GitLab docs, "Instance limits", size of comments
FRAME_CHARACTERS = 1_000  # upper limit for the marker, the heading and the fences
TIMEOUT_S = (5, 30)


def note_body(stage: str, preview: str) -> str:
    """Markdown of the note; its first line identifies the note to later pipelines."""
    limit = MAX_NOTE_CHARACTERS - FRAME_CHARACTERS
    if len(preview) > limit:
        preview = preview[:limit] + "\n… truncated: see the log of the job"
    fence = "`" * 3
    while fence in preview:
        fence += "`"
    return f"{marker(stage)}\n### `pulumi preview` of {stage}\n\n{fence}diff\n{preview.rstrip()}\n{fence}\n"


def marker(stage: str) -> str:
    return f"<!-- pulumi-preview:{stage} -->"


def session_for(token: str) -> requests.Session:
    """HTTP session that retries idempotent requests."""
    session = requests.Session()
    session.headers["PRIVATE-TOKEN"] = token
    retry = Retry(
        total=4, backoff_factor=1, status_forcelist=(429, 502, 503, 504), allowed_methods={"GET", "PUT"}
    )
    for scheme in ("https://", "http://"):  # http: GitLab on a private network, and the tests
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def list_notes(session: requests.Session, notes_url: str) -> list[dict[str, Any]]:
    """All notes of the merge request, from every page."""
    found: list[dict[str, Any]] = []
    page = "1"
    while page:
        response = session.get(notes_url, params={"per_page": "100", "page": page}, timeout=TIMEOUT_S)
        response.raise_for_status()
        found += response.json()
        page = response.headers.get("X-Next-Page", "")
    return found


def put_note(session: requests.Session, notes_url: str, stage: str, preview: str) -> str:
    """Create or update the note of the stage; returns ``created`` or ``updated``."""
    body = note_body(stage, preview)
    for note in list_notes(session, notes_url):
        if note["body"].startswith(marker(stage)):
            session.put(
                f"{notes_url}/{note['id']}", json={"body": body}, timeout=TIMEOUT_S
            ).raise_for_status()
            return "updated"
    session.post(notes_url, json={"body": body}, timeout=TIMEOUT_S).raise_for_status()
    return "created"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ci.merge_request_note", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("stage")
    parser.add_argument("preview", type=Path, help="file with the output of the preview")
    args = parser.parse_args()
    try:
        env = {name: os.environ[name] for name in ("CI_API_V4_URL", "CI_PROJECT_ID", "CI_MERGE_REQUEST_IID")}
        token = os.environ["GITLAB_NOTE_TOKEN"]
    except KeyError as missing:
        print(f"merge request note: {missing.args[0]} is not set", file=sys.stderr)
        return 2
    project_url = f"{env['CI_API_V4_URL']}/projects/{env['CI_PROJECT_ID']}"
    notes_url = f"{project_url}/merge_requests/{env['CI_MERGE_REQUEST_IID']}/notes"
    try:
        print(f"note {put_note(session_for(token), notes_url, args.stage, args.preview.read_text())}")
    except OSError as error:  # a requests.RequestException is one
        print(f"merge request note: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
