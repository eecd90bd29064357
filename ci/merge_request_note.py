"""Publish the review or the preview of a stage as a note on the GitLab merge request.

Each has a separate note, which later pipelines update.

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


def preview_note(stage: str, preview: str) -> str:
    """Markdown of the note with the text of a preview; its first line identifies it to later pipelines."""
    preview = _limited(preview)
    fence = "`" * 3
    while fence in preview:
        fence += "`"
    heading = f"{marker('preview', stage)}\n### `pulumi preview` of {stage}"
    return f"{heading}\n\n{fence}diff\n{preview.rstrip()}\n{fence}\n"


def review_note(stage: str, review: str) -> str:
    """Markdown of the note with a review, which is Markdown itself."""
    return f"{marker('review', stage)}\n{_limited(review)}"


def _limited(text: str) -> str:
    limit = MAX_NOTE_CHARACTERS - FRAME_CHARACTERS
    return text if len(text) <= limit else text[:limit] + "\n… truncated: see the log of the job"


def marker(kind: str, stage: str) -> str:
    """First line of the note of a stage: `kind` is preview or review."""
    return f"<!-- pulumi-{kind}:{stage} -->"


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


def put_note(session: requests.Session, notes_url: str, body: str) -> str:
    """Create the note, or update the one with the same first line; returns ``created`` or ``updated``."""
    first = body.splitlines()[0]
    for note in list_notes(session, notes_url):
        if note["body"].startswith(first):
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
    parser.add_argument("file", type=Path, help="file with the output of the preview")
    parser.add_argument("--review", action="store_true", help="the file is a review, in Markdown")
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
        body = (review_note if args.review else preview_note)(args.stage, args.file.read_text())
        print(f"note {put_note(session_for(token), notes_url, body)}")
    except OSError as error:  # a requests.RequestException is one
        print(f"merge request note: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
