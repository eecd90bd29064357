"""`ci.merge_request_note` against an HTTP server with the notes API of GitLab."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import requests

from ci.merge_request_note import (
    MAX_NOTE_CHARACTERS,
    marker,
    preview_note,
    put_note,
    review_note,
    session_for,
)


class GitLabNotes(BaseHTTPRequestHandler):
    """HTTP server with the notes of one merge request, two per page."""

    notes: ClassVar[list[dict]] = []
    tokens: ClassVar[set[str]] = set()
    failures_left: ClassVar[int] = 0
    fails_after_post: ClassVar[bool] = False

    def do_GET(self) -> None:
        if GitLabNotes.failures_left:
            GitLabNotes.failures_left -= 1
            self.reply(503, {})
            return
        page = int(self.path.rsplit("page=", 1)[1])
        last = page * 2 >= len(self.notes)
        self.reply(200, self.notes[page * 2 - 2 : page * 2], {"X-Next-Page": "" if last else str(page + 1)})

    def do_POST(self) -> None:
        self.notes.append({"id": len(self.notes) + 1, **self.sent()})
        self.reply(503 if GitLabNotes.fails_after_post else 201, self.notes[-1])

    def do_PUT(self) -> None:
        note = next(n for n in self.notes if n["id"] == int(self.path.rsplit("/", 1)[1]))
        note.update(self.sent())
        self.reply(200, note)

    def sent(self) -> dict:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def reply(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        self.tokens.add(self.headers["PRIVATE-TOKEN"])
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Suppress the request log."""


@pytest.fixture
def notes_url() -> Iterator[str]:
    GitLabNotes.notes, GitLabNotes.tokens = [], set()
    GitLabNotes.failures_left, GitLabNotes.fails_after_post = 0, False
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitLabNotes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v4/projects/7/merge_requests/3/notes"
    server.shutdown()
    server.server_close()


@pytest.fixture
def session() -> requests.Session:
    return session_for("the-token")


def test_second_pipeline_updates_the_note_of_the_stage(notes_url: str, session: requests.Session) -> None:
    assert put_note(session, notes_url, preview_note("dev", "+ one bucket")) == "created"
    assert put_note(session, notes_url, preview_note("dev", "+ two buckets")) == "updated"
    assert len(GitLabNotes.notes) == 1
    assert "two buckets" in GitLabNotes.notes[0]["body"]
    assert GitLabNotes.tokens == {"the-token"}


def test_each_stage_has_one_note_and_other_notes_are_unchanged(
    notes_url: str, session: requests.Session
) -> None:
    GitLabNotes.notes += [{"id": n, "body": f"please look at {marker('preview', 'dev')}"} for n in (1, 2, 3)]
    put_note(session, notes_url, preview_note("dev", "dev preview"))
    put_note(session, notes_url, preview_note("prod", "prod preview"))
    put_note(session, notes_url, review_note("dev", "### Review of dev"))
    put_note(session, notes_url, preview_note("dev", "dev preview again"))
    assert [n["body"].splitlines()[0] for n in GitLabNotes.notes[3:]] == [
        marker("preview", "dev"),
        marker("preview", "prod"),
        marker("review", "dev"),
    ]
    assert all(n["body"].startswith("please") for n in GitLabNotes.notes[:3])


def test_transient_error_of_gitlab_is_retried(notes_url: str, session: requests.Session) -> None:
    GitLabNotes.failures_left = 1
    assert put_note(session, notes_url, preview_note("dev", "text")) == "created"


def test_failed_creation_is_not_retried(notes_url: str, session: requests.Session) -> None:
    GitLabNotes.fails_after_post = True
    with pytest.raises(requests.HTTPError, match="503"):
        put_note(session, notes_url, preview_note("dev", "text"))
    assert len(GitLabNotes.notes) == 1


def test_note_escapes_fences_and_truncates_long_previews() -> None:
    assert "````diff" in preview_note("dev", "a\n```\nb")
    long = preview_note("dev", "x" * (2 * MAX_NOTE_CHARACTERS))
    assert len(long) <= MAX_NOTE_CHARACTERS
    assert "see the log of the job" in long
