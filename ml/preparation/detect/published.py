"""Published data sets whose columns have names that are usual nowhere else; the header identifies them.

A name such as ``campaign`` or ``id`` is an item in one of them, and something else in another file. So it is
only used together with the other columns of the data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ml.preparation.detect.spellings import spelled


@dataclass(frozen=True)
class PublishedForm:
    """Columns of a published data set, in the spelling of `spelled`."""

    columns: frozenset[str]  # which a header must have, all of them
    roles: Mapping[str, str]  # the column of a role that has no usual name
    note: str | None = None  # what a person should know


def _form(columns: str, note: str | None = None, **roles: str) -> PublishedForm:
    return PublishedForm(frozenset(columns.split()), roles, note)


_FORMS = (
    # Taobao, display advertising: raw_sample.csv
    _form("user timestamp adgroupid pid nonclk clk", item="adgroupid"),
    # Criteo, attribution modelling for bidding
    _form("timestamp uid campaign conversion click", item="campaign"),
    # Adressa, news reading: events of articles have an id
    _form("eventid activetime referrerhostclass time userid id", item="id"),
    # KION, films and series: interactions.csv
    _form("userid itemid lastwatchdt totaldur", time="lastwatchdt"),
    # IJCAI-16, Taobao and Koubei
    _form("useid selid iteid catid actid timid", user="useid", item="iteid", time="timid"),
    _form("useid merid locid timid", user="useid", item="merid", time="timid"),
    # dunnhumby, Let's Get Sort-of-Real: transactions
    _form(
        "shopweek shopdate shophour prodcode custcode basketid storecode",
        user="custcode",
        item="prodcode",
        time="shopdate",
    ),
    # L.POINT, competitions of 2020 and later: purchases
    _form("cust rctno pdc dedt dehr buyam buyct", user="cust", item="pdc", time="dedt"),
    # MyAnimeList: UserAnimeList.csv
    _form("username animeid mywatchedepisodes myscore mylastupdated", time="mylastupdated"),
    # Douban, short comments on films: DMSC.csv
    _form("movienameen movienamecn crawldate username date star", item="movienameen"),
    # Expedia, hotel recommendations: train.csv
    _form("datetime posacontinent userid srchci srchco hotelcluster", item="hotelcluster"),
    # KKBox, music recommendation: train.csv
    _form("msno songid sourcesystemtab target", user="msno"),
    # Outbrain, click prediction: page_views.csv
    _form("uuid documentid timestamp platform geolocation trafficsource", user="uuid"),
    # Instacart: order_products__prior.csv, whose users are in orders.csv
    _form(
        "orderid productid addtocartorder reordered",
        "user = order_id: each order is taken as a user; to use those of orders.csv, add its column user_id",
        user="orderid",
    ),
)


def published_form(columns: Sequence[str]) -> PublishedForm | None:
    """The published form that a header has; None if it has none."""
    names = {spelled(column) for column in columns}
    return next((form for form in _FORMS if form.columns <= names), None)


def position_in(columns: Sequence[str], name: str) -> int:
    """The position of a published column."""
    return [spelled(column) for column in columns].index(name)
