"""Client of the recommendation API of a deployed stage."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from local.aws import DeployedStage
from local.errors import StepFailedError

API_TIMEOUT_S = (5, 30)
SETTLE_TIMEOUT_S = 30


@retry(
    retry=retry_if_exception_type(requests.ConnectionError),
    stop=stop_after_delay(SETTLE_TIMEOUT_S),
    wait=wait_fixed(0.5),
    reraise=True,
)
def recommend(stage: DeployedStage, user: str, k: int = 10) -> dict[str, Any]:
    """Recommendations for a user: the response body of the API.

    Raises:
        StepFailedError: the API responded with an error.
        requests.ConnectionError: the API could not be reached within ``SETTLE_TIMEOUT_S``.
    """
    url = f"{stage.outputs['api_url'].rstrip('/')}/recommendations"
    if user in (".", ".."):  # clients remove such path segments (RFC 3986, section 5.2.4), also %2E
        response = requests.post(url, json={"user_ids": [user], "k": k}, timeout=API_TIMEOUT_S)
    else:
        response = requests.get(f"{url}/{quote(user, safe='')}", params={"k": str(k)}, timeout=API_TIMEOUT_S)
    body = dict(response.json())
    if not response.ok:
        error = body.get("error", body)
        raise StepFailedError("recommend", f"{response.status_code}: {error.get('message', error)}")
    if "recommendations" in body:
        (only,) = body["recommendations"]
        return {**only, "model_version": body["model_version"]}
    return body
