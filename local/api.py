"""Client of the recommendation API of a deployed stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

import requests
from requests.auth import AuthBase
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from local.errors import StepFailedError

API_TIMEOUT_S = (5, 30)
SETTLE_TIMEOUT_S = 30


class StackOutputs(Protocol):
    """Anything with the outputs of a stack."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Stack outputs."""


@retry(
    retry=retry_if_exception_type(requests.ConnectionError),
    stop=stop_after_delay(SETTLE_TIMEOUT_S),
    wait=wait_fixed(0.5),
    reraise=True,
)
def recommend(
    stage: StackOutputs,
    user: str,
    k: int = 10,
    *,
    recent_items: Sequence[str] = (),
    exclude_items: Sequence[str] = (),
    auth: AuthBase | None = None,
) -> dict[str, Any]:
    """Recommendations for a user: the response body of the API.

    Args:
        stage: whose output `api_url` is the address.
        user: user id.
        k: number of items.
        recent_items: items of the user's session, newest last.
        exclude_items: items that are not recommended.
        auth: signs the request; needed outside of the emulator, where the API has IAM authorization.

    Raises:
        StepFailedError: the API responded with an error.
        requests.ConnectionError: the API could not be reached within ``SETTLE_TIMEOUT_S``.
    """
    url = f"{stage.outputs['api_url'].rstrip('/')}/recommendations"
    lists = {"recent_items": list(recent_items), "exclude_items": list(exclude_items)}
    body: dict[str, Any] = {"user_ids": [user], "k": k, **{name: ids for name, ids in lists.items() if ids}}
    # Clients remove the path segments . and .. (RFC 3986, section 5.2.4), also as %2E.
    if len(body) > 2 or user in (".", ".."):
        response = requests.post(url, json=body, timeout=API_TIMEOUT_S, auth=auth)
    else:
        address = f"{url}/{quote(user, safe='')}"
        response = requests.get(address, params={"k": str(k)}, timeout=API_TIMEOUT_S, auth=auth)
    answer = dict(response.json())
    if not response.ok:
        error = answer.get("error", answer)
        raise StepFailedError("recommend", f"{response.status_code}: {error.get('message', error)}")
    if "recommendations" in answer:
        (only,) = answer["recommendations"]
        return {**only, "model_version": answer["model_version"]}
    return answer
