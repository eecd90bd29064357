"""Usual names of the columns, in the order of preference.

Names are compared in lower case without punctuation and without the types of RecBole's headers: ``userId``,
``User ID`` and ``user_id:token`` are one spelling. For users and items the names are grouped by noun: a file
with two nouns, such as user and customer, has two columns that could be meant.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# One line per noun.
NOUNS: Mapping[str, Sequence[Sequence[str]]] = {
    "user": (
        _names("userid user uid useridx userno userkey username userpseudoid pseudouserid steamid usrid")
        + _names("gplususerid reviewprofilename 사용자id 사용자아이디 사용자번호 사용자 유저id 유저 이용자"),
        _names(
            "customerid customer custid customerno customerkey customerunique clientid client buyerid buyer"
        )
        + _names("고객id 고객번호 고객코드 고객아이디 고객 구매자id 구매자"),
        _names("memberid member membno memberno 회원id 회원번호 회원아이디 회원코드 회원"),
        _names("visitorid visitor fullvisitorid"),
        _names("reviewerid reviewer"),
        _names("accountid account profileid authorid listenerid viewerid playerid personid"),
        _names("householdkey householdid deviceid cookieid anonymousid"),
    ),
    "item": (
        _names("itemid item iid itemno itemcode 품목id 품목코드 품목번호 품목 아이템id 아이템"),
        _names("productid product prodid productno productcode productkey goodsid goodsno goodscode")
        + _names("productskuhash 상품id 상품번호 상품코드 상품 제품id 제품코드 제품번호 제품"),
        _names("movieid movie filmid animeid videoid showid 영화id"),
        _names("articleid article aid newsid clickarticleid postid documentid contentid 콘텐츠id"),
        _names("bookid isbn book 도서id"),
        _names("sku skuid stockcode"),
        _names("asin"),
        _names("parentasin"),  # of all colours and sizes
        _names("gameid appid trackid songid recipeid businessid venueid poiid courseid artistid bookmarkid")
        + _names("gmapid gplusplaceid"),
        _names("jobid listingid hotelid restaurantid placeid locationid beerid beerbeerid"),
    ),
}
# Used if no column above is there, or if it is empty in most rows: a session is a visit of one user.
WEAK_USERS = _names("sessionid session usersession sessionidhash 세션id")
TIMES = (
    _names("timestamp eventtimestamp eventtime unixtime unixtimestamp ts timestampms timems datetime")
    + _names(
        "servertimestampepochms utctimestamp clicktimestamp createdat createtime createdtime creationtime"
    )
    + _names("unixreviewtime reviewtime ratingtime purchasetime purchasedat ordertime orderedat occurredat")
    + _names("insertedat orderpurchasetimestamp orderdatetime transactiontime transactiondatetime")
    + _names("timestampcreated timestr")
    + _names("주문일시 구매일시 결제일시 등록일시 이벤트일시 발생일시 생성일시 접속일시 조회일시 일시 시각")
    + _names("타임스탬프 time date eventdate tdat dateadded orderdate invoicedate purchasedate")
    + _names("transactiondate transactiondt reviewdate createddate datecreated dt day")
    + _names("주문일자 구매일자 거래일자 주문일 구매일 등록일 등록일자 날짜 일자 시간")
)
DATES = _names("date day dt orderdate eventdate purchasedate 날짜 일자 주문일자 주문일 구매일자 구매일")
CLOCKS = _names("time timeofday clock hour ordertime eventtime 시간 시각 주문시간 주문시각 구매시간")
EVENTS = _names(
    "eventtype event eventname action actiontype behavior behaviour behaviortype interactiontype type"
) + _names("이벤트 이벤트유형 이벤트명 행동 행동유형 유형")

_RECBOLE_TYPE = re.compile(r":(token|token_seq|float|float_seq)$")
_PUNCTUATION = re.compile(r"[\W_]+")


def spelled(column: str) -> str:
    """The spelling of a column's name."""
    text = unicodedata.normalize("NFKC", _RECBOLE_TYPE.sub("", column.strip().lstrip("#")))
    return _PUNCTUATION.sub("", text.casefold())


def spellings_of(column: str) -> Iterator[str]:
    """The spelling of a column, and for a path such as ``events[].aid`` that of its last key."""
    yield spelled(column)
    if "." in column:
        yield spelled(column.rsplit(".", 1)[1])


def first_named(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """The column with the first of some spellings; whole names come before the last keys of paths."""
    for number in (0, 1):
        keys = [[*spellings_of(column), ""][number] for column in columns]
        found = next((keys.index(name) for name in names if name in keys), None)
        if found is not None:
            return found
    return None


def known_spellings(role: str) -> frozenset[str]:
    """All spellings of a role's column."""
    return frozenset(_KNOWN[role])


_KNOWN = {
    "user": (*(each for noun in NOUNS["user"] for each in noun), *WEAK_USERS),
    "item": tuple(each for noun in NOUNS["item"] for each in noun),
    "time": TIMES,
    "event": EVENTS,
    "weight": (),  # always configured
}
