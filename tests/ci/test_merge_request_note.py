import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
import requests

from ci.merge_request_note import MAX_NOTE_CHARACTERS, marker, note_body, put_note, session_for


class GitLabNotes(BaseHTTPRequestHandler):
    """The notes of one merge request, over HTTP and in pages of two, as GitLab serves them."""

    notes: ClassVar[list[dict]] = []
    tokens: ClassVar[set[str]] = set()
    failures_left: ClassVar[int] = 0
    loses_answers: ClassVar[bool] = False

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
        self.reply(503 if GitLabNotes.loses_answers else 201, self.notes[-1])

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
        """Quiet."""


@pytest.fixture
def notes_url() -> Iterator[str]:
    GitLabNotes.notes, GitLabNotes.tokens = [], set()
    GitLabNotes.failures_left, GitLabNotes.loses_answers = 0, False
    server = ThreadingHTTPServer(("127.0.0.1", 0), GitLabNotes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/api/v4/projects/7/merge_requests/3/notes"
    server.shutdown()
    server.server_close()


@pytest.fixture
def session() -> requests.Session:
    return session_for("the-token")


def test_a_second_pipeline_rewrites_the_stages_note(notes_url: str, session: requests.Session) -> None:
    assert put_note(session, notes_url, "dev", "+ one bucket") == "created"
    assert put_note(session, notes_url, "dev", "+ two buckets") == "updated"
    assert len(GitLabNotes.notes) == 1
    assert "two buckets" in GitLabNotes.notes[0]["body"]
    assert GitLabNotes.tokens == {"the-token"}


def test_stages_have_a_note_each_and_peoples_notes_stay(notes_url: str, session: requests.Session) -> None:
    GitLabNotes.notes += [{"id": n, "body": f"please look at {marker('dev')}"} for n in (1, 2, 3)]
    put_note(session, notes_url, "dev", "dev preview")
    put_note(session, notes_url, "prod", "prod preview")
    put_note(session, notes_url, "dev", "dev preview again")
    assert [n["body"].splitlines()[0] for n in GitLabNotes.notes[3:]] == [marker("dev"), marker("prod")]
    assert all(n["body"].startswith("please") for n in GitLabNotes.notes[:3])


def test_a_passing_fault_of_gitlab_is_retried(notes_url: str, session: requests.Session) -> None:
    GitLabNotes.failures_left = 1
    assert put_note(session, notes_url, "dev", "text") == "created"


def test_a_new_note_that_may_have_been_written_is_not_sent_again(
    notes_url: str, session: requests.Session
) -> None:
    GitLabNotes.loses_answers = True
    with pytest.raises(requests.HTTPError, match="503"):
        put_note(session, notes_url, "dev", "text")
    assert len(GitLabNotes.notes) == 1


def test_a_preview_cannot_end_its_own_fence_or_outgrow_a_note() -> None:
    assert "````diff" in note_body("dev", "a\n```\nb")
    long = note_body("dev", "x" * (2 * MAX_NOTE_CHARACTERS))
    assert len(long) <= MAX_NOTE_CHARACTERS
    assert "the job's log has the rest" in long
