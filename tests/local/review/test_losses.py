"""What a replacement loses, and which changed grants are one change."""

from __future__ import annotations

from dataclasses import replace

from local.preview import PreviewedResource
from local.replacements.table import Effect
from local.review.difference import Change, InputChange, Kind
from local.review.grants import Grant, grant_changes
from local.review.losses import SUBNET, loses_protection, losses


def resource(type_: str, **inputs: str) -> PreviewedResource:
    return PreviewedResource(type=type_, name="it", urn="urn", parent="", inputs=inputs, is_component=False)


def replaced_subnet(new: str) -> Change:
    before, after = resource(SUBNET, cidrBlock="10.0.0.0/20"), resource(SUBNET, cidrBlock=new)
    change = InputChange(path="cidrBlock", old="10.0.0.0/20", new=new, effect=Effect.REPLACES)
    return Change(kind=Kind.REPLACED, before=before, after=after, inputs=(change,))


def test_resource_with_a_fixed_name_is_deleted_first() -> None:
    api = resource("aws:apigatewayv2/api:Api", name="recommend")
    found = list(losses(Change(kind=Kind.REPLACED, before=api, after=api)))
    assert found[-1] == "downtime: deleted first, then created, because its name recommend is fixed"


def test_subnet_whose_new_block_overlaps_the_old_one_cannot_be_created() -> None:
    assert list(losses(replaced_subnet("10.0.0.0/21")))[-1].startswith("creation fails: 10.0.0.0/21 overlaps")
    assert list(losses(replaced_subnet("10.0.16.0/20")))[-1].startswith("created first")


def test_protection_is_lost_only_if_it_was_there() -> None:
    bucket = resource("aws:s3/bucket:Bucket")
    for old in (True, False):
        change = InputChange(path="protect", old=old, new=not old, effect=Effect.UPDATES)
        updated = Change(kind=Kind.UPDATED, before=bucket, after=bucket, inputs=(change,))
        assert loses_protection(updated) is old


def test_grant_under_another_condition_is_one_change() -> None:
    old = Grant(who="role a", action="s3:GetObject", resource="b", condition='{"Bool": {"x": "true"}}')
    (found,) = grant_changes({old}, {replace(old, condition="")})
    assert found.widens
    assert "under another condition: always" in found.sentence
