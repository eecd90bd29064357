"""Operations on the stages of HTTP APIs that moto does not have: tags and UpdateStage."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from emulator import moto_state
from emulator.provider import Forward
from emulator.wire import Request, Response, ServiceError

STAGE_PATH = r"/v2/apis/(?P<api>[^/]+)/stages/(?P<stage>[^/]+)"
STAGE_ARN = re.compile(r"arn:[\w-]+:apigateway:[\w-]+::/apis/(?P<api>[^/]+)/stages/(?P<stage>[^/]+)")
# Fields of UpdateStage and the attributes of moto's stage.
UPDATED = {
    "accessLogSettings": "access_log_settings",
    "autoDeploy": "auto_deploy",
    "clientCertificateId": "client_certificate_id",
    "defaultRouteSettings": "default_route_settings",
    "description": "description",
    "routeSettings": "route_settings",
    "stageVariables": "stage_variables",
}


class Stages:
    """Stages of moto's APIs."""

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    def answer_tags(self, request: Request, match: re.Match[str]) -> Response:
        """GetTags, TagResource and UntagResource; moto has the tags of other resources than stages."""
        del match
        arn = STAGE_ARN.fullmatch(request.path.partition("/v2/tags/")[2])
        if arn is None:
            return self._forward(request)
        stage = _find(request.region, arn["api"], arn["stage"])
        if request.method == "POST":
            stage.tags = {**stage.tags, **request.json.get("tags", {})}
            return Response(201, {})
        if request.method == "DELETE":
            removed = request.query.getlist("tagKeys")
            stage.tags = {key: value for key, value in stage.tags.items() if key not in removed}
            return Response(204)
        return Response(200, {"tags": stage.tags})

    def update(self, request: Request, match: re.Match[str]) -> Response:
        """UpdateStage: changes the fields of the request."""
        stage = _find(request.region, match["api"], unquote(match["stage"]))
        for name, attribute in UPDATED.items():
            if name in request.json:
                setattr(stage, attribute, request.json[name])
        stage.updated = datetime.now(UTC).replace(tzinfo=None)
        return Response(200, stage.to_json())


def _find(region: str, api_id: str, name: str) -> Any:
    """moto's stage.

    Raises:
        ServiceError: NotFoundException.
    """
    api = moto_state.backend("apigatewayv2", region).apis.get(api_id)
    if api is None:
        raise ServiceError("NotFoundException", f"Invalid API identifier specified {api_id}", 404)
    if name not in api.stages:
        raise ServiceError("NotFoundException", "Invalid stage identifier specified", 404)
    return api.stages[name]
