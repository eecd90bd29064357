"""Forms of public data sets: their columns are found, or the refusal names the option or what to change.

A form is a header and a row. In the row, ``{u}`` and ``{i}`` are numbers of users and items, ``{k}`` is that
of the row, ``{s}`` a time in Unix seconds, ``{d:%Y}`` the same in any spelling, ``{n}`` a small number.
"""

from __future__ import annotations

import random
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ml.preparation.detect.input_error import InputError
from ml.preparation.detect.inspection import explain_input
from ml.settings.preparation import ReadSettings, WeightSettings

ROWS = 120
NO_TIME = {"no_time": True}


def text(header: str, row: str) -> str:
    rng = random.Random(3)
    lines = [header] if header else []
    for k in range(ROWS):
        seconds = rng.randrange(1_400_000_000, 1_600_000_000)
        moment = datetime.fromtimestamp(seconds, UTC)
        user, item, n = rng.randrange(10, 40), rng.randrange(1000, 1090), rng.randrange(1, 6)
        lines.append(row.format(u=user, i=item, k=k, s=seconds, d=moment, n=n))
    return "\n".join([*lines, ""])


# Name: header, row, and the columns of user, item and time that are found.
RIGHT: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "RetailRocket": (
        "timestamp,visitorid,event,itemid,transactionid",
        "{s}000,{u},view,{i},",
        ("visitorid", "itemid", "timestamp", "milliseconds"),
    ),
    "Taobao ijcai15": ("", "{u},{i},7,0,{d:%Y%m%d}", ("#1", "#2", "#5", "digits")),
    "Amazon 2014 CSV": ("", "A0{u}XYZ12Q3,00{i}020X,{n}.0,{s}", ("#1", "#2", "#4", "seconds")),
    "Amazon 2023 5-core": (
        "user_id,parent_asin,rating,timestamp",
        "AG{u},B0A{i},5.0,{s}000",
        ("user_id", "parent_asin", "timestamp", "milliseconds"),
    ),
    "Amazon 2014 JSON": (
        "",
        '{{"reviewerID": "A{u}", "asin": "B00{i}", "unixReviewTime": {s}, "reviewTime": "02 28, 2014"}}',
        ("reviewerID", "asin", "unixReviewTime", "seconds"),
    ),
    "Last.fm 1K": (
        "",
        "user_{u:06d}\t{d:%Y-%m-%dT%H:%M:%SZ}\t{i}aa-11\tArtist {i}\t{i}bb-22\tSong {i}",
        ("#1", "#3", "#2", "iso8601"),
    ),
    "HetRec artists": (
        "userID\tartistID\ttagID\ttimestamp",
        "{u}\t{i}\t7\t{s}000",
        ("userID", "artistID", "timestamp", "milliseconds"),
    ),
    "Gowalla": (
        "",
        "{u}\t{d:%Y-%m-%dT%H:%M:%SZ}\t30.23{i}\t-97.79{i}\t{i}",
        ("#1", "#5", "#2", "iso8601"),
    ),
    "Foursquare TSMC": (
        "",
        "{u}\t49bbd6c0f964a520f4{i}\t4bf58\tArts & Crafts\t40.7{i}\t-74.0{i}\t-240\t{d:%a %b %d %X +0000 %Y}",
        ("#1", "#2", "#8", "month-names"),
    ),
    "Yelp": (
        "",
        '{{"user_id": "u{u}", "business_id": "b{i}", "date": "{d:%Y-%m-%d %H:%M:%S}"}}',
        ("user_id", "business_id", "date", "iso8601"),
    ),
    "H&M": (
        "t_dat,customer_id,article_id,price,sales_channel_id",
        "{d:%Y-%m-%d},{u:064x},0{i}001,0.05,2",
        ("customer_id", "article_id", "t_dat", "iso8601"),
    ),
    "OTTO": (
        "",
        '{{"session": {u}, "events": [{{"aid": {i}, "ts": {s}000, "type": "clicks"}}]}}',
        ("session", "events[].aid", "events[].ts", "milliseconds"),
    ),
    "KuaiRec": (
        "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio",
        "{u},{i},138,108,{d:%Y-%m-%d %H:%M:%S.%f},{d:%Y%m%d},{s}.314,1.27",
        ("user_id", "video_id", "timestamp", "seconds"),
    ),
    "KuaiRand": (
        "user_id,video_id,date,hourmin,time_ms,is_click",
        "{u},{i},{d:%Y%m%d},{d:%H%M},{s}000,1",
        ("user_id", "video_id", "time_ms", "milliseconds"),
    ),
    "BeerAdvocate": (
        "brewery_id,brewery_name,review_time,review_overall,review_profilename,beer_style,beer_name,beer_beerid",
        '{n},"Vecchio, Birraio",{s},1.5,stcules{u},Hefe,Sausa {i},{i}',
        ("review_profilename", "beer_beerid", "review_time", "seconds"),
    ),
    "BeerAdvocate as Python": (
        "",
        "{{'beer/beerId': '{i}', 'review/time': '{s}', 'review/profileName': u'st{u}'}}",
        ("review/profileName", "beer/beerId", "review/time", "seconds"),
    ),
    "Goodreads": (
        "",
        '{{"user_id": "{u:032x}", "book_id": "{i}", "date_added": "{d:%a %b %d %X -0700 %Y}"}}',
        ("user_id", "book_id", "date_added", "month-names"),
    ),
    "Online Retail": (
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
        '{k},85{i}A,"WHITE, HANGING",6,{d:%m/%d/%Y %H:%M},2.55,178{u}.0,United Kingdom',
        ("CustomerID", "StockCode", "InvoiceDate", "month-first"),
    ),
    "Korean shop": (
        "주문번호,주문일시,회원번호,상품코드,상품명,수량",
        "{k},{d:%Y.%m.%d} 오후 3:05:00,M{u},P{i},봄 원피스,1",
        ("회원번호", "상품코드", "주문일시", "year-first"),
    ),
    "Olist": (
        '"order_id","customer_id","order_status","order_purchase_timestamp","product_id"',
        '"{k:032x}","{u:032x}","delivered","{d:%Y-%m-%d %H:%M:%S}","{i:032x}"',
        ("customer_id", "product_id", "order_purchase_timestamp", "iso8601"),
    ),
    "GA4": (
        "",
        '{{"event_timestamp": {s}000000, "user_id": "", "user_pseudo_id": {u}, "items": [{{"sku": {i}}}]}}',
        ("user_pseudo_id", "items[].sku", "event_timestamp", "microseconds"),
    ),
    "Globo": (
        "user_id,session_id,session_start,session_size,click_article_id,click_timestamp",
        "{u},1506{k},{s}000,2,{i},{s}000",
        ("user_id", "click_article_id", "click_timestamp", "milliseconds"),
    ),
    "Ta-Feng": (
        "TRANSACTION_DT,CUSTOMER_ID,AGE_GROUP,PIN_CODE,PRODUCT_SUBCLASS,PRODUCT_ID,AMOUNT",
        "{d:%m/%d/%Y},0110{u},45-49,115,110411,4710{i},2",
        ("CUSTOMER_ID", "PRODUCT_ID", "TRANSACTION_DT", "month-first"),
    ),
    "MegaMarket": (
        ";datetime;event;user_id;item_id",
        "{k};{d:%Y-%m-%dT%H:%M:%S};1;{u};{i}",
        ("user_id", "item_id", "datetime", "iso8601"),
    ),
}
# Name: header, row, a part of the refusal, and the settings with which the columns are found; None: none do.
REFUSED: dict[str, tuple[str, str, str, dict[str, Any] | None]] = {
    "Yoochoose buys": (
        "",
        "42{u},{d:%Y-%m-%dT%H:%M:%S}.124Z,2145{i},{n}{k},1",
        "give the positions, as in --user-column '#1' --item-column '#3'",
        {"user_column": "#1", "item_column": "#3"},
    ),
    "Tmall": (
        "user_id,item_id,cat_id,seller_id,brand_id,time_stamp,action_type",
        "{u},{i},1,2,3,{d:%m%d},0",
        "have no known form; give --time-format, another --time-column, or --no-time",
        NO_TIME,
    ),
    "Dunnhumby": (
        "household_key,BASKET_ID,DAY,PRODUCT_ID,QUANTITY,TRANS_TIME",
        "{u},26984{k},{n},{i},1,1631",
        "have no known form; give --time-format, another --time-column, or --no-time",
        NO_TIME,
    ),
    "Steam 200k": (
        "",
        '{u},"The Game {i}",purchase,{n}.0,0',
        "or --no-time",
        {"no_time": True, "user_column": "#1", "item_column": "#2"},
    ),
    "Steam Australian": (
        "",
        "{{'user_id': '{u}', 'items': [{{'item_id': '{i}', 'item_name': 'x'}}]}}",
        "or --no-time if the events have none",
        NO_TIME,
    ),
    "Last.fm 2K": (
        "userID\tartistID\tweight",
        "{u}\t{i}\t{n}",
        "or --no-time if the events have none",
        NO_TIME,
    ),
    "Book-Crossing": ('"User-ID";"ISBN";"Book-Rating"', '"{u}";"0345{i}X";"{n}"', "or --no-time", NO_TIME),
    "Epinions": ("", "{u} {i} {n}", "or --no-time", NO_TIME),
    "Epinions extended": (
        "",
        "{i}\t{u}\t{n}\t0\t{d:%Y/%m/%d}\t2003/01/{u}\t1\t4",
        "give --time-column '#5' or --time-column '#6'",
        {"time_column": "#5", "user_column": "#2", "item_column": "#1"},
    ),
    "Netflix Prize": ("1:", "14{u},{n},{d:%Y-%m-%d}", "write the item into each row", None),
    "Instacart": (
        "order_id,product_id,add_to_cart_order,reordered",
        "{u},{i},1,0",
        "name it with --user-column, and give --no-time if the events have none",
        {"user_column": "order_id", "no_time": True},
    ),
    "MIND": (
        "",
        "{k}\tU{u}\t{d:%m/%d/%Y %I:%M:%S %p}\tN{i} N{u}\tN{i}-1 N{u}-0",
        "#4 holds lists: give --item-column '#4[]' for one event per element",
        {"item_column": "#4[]"},
    ),
    "Criteo": (
        "timestamp\tuid\tcampaign\tconversion\tclick",
        "{s}\t{u}\t{i}\t0\t0",
        "name it with --item-column",
        {"item_column": "campaign"},
    ),
    "Anime": ("user_id,anime_id,rating", "{u},{i},-1", "or --no-time if the events have none", NO_TIME),
    "Jester": ("", ",".join(["74", *["{n}.5"] * 100]), "write one row per user and item", None),
    "Taobao ads": (
        "user,time_stamp,adgroup_id,pid,nonclk,clk",
        "{u},{s},{i},430548_1007,1,0",
        "name it with --item-column",
        {"item_column": "adgroup_id"},
    ),
    "Adressa": (
        "",
        '{{"eventId": {k}, "time": {s}, "userId": "cx:{u}", "id": "{i}"}}',
        "name it with --item-column",
        {"item_column": "id"},
    ),
    "KION": (
        "user_id,item_id,last_watch_dt,total_dur",
        "{u},{i},{d:%Y-%m-%d},4250",
        "name it with --time-column",
        {"time_column": "last_watch_dt"},
    ),
}


# Name: columns that are found after the command of the refusal, and the settings for it.
CONVERTED: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "Netflix Prize": (("user_id", "item_id", "date", "iso8601"), {}),
    "Jester": (("user_id", "item_id"), NO_TIME),
}


def columns_of(path: Path, **settings: Any) -> tuple[str, ...]:
    (found,) = explain_input(path, ReadSettings(**settings), WeightSettings())
    chosen = [found.columns[role] for role in ("user", "item", "time") if role in found.columns]
    return (*chosen, *([found.record["time_format"]] if "time" in found.columns else []))


@pytest.mark.parametrize("name", RIGHT)
def test_form_is_read_without_an_option(tmp_path: Path, name: str) -> None:
    header, row, expected = RIGHT[name]
    (tmp_path / "events").write_text(text(header, row))
    assert columns_of(tmp_path / "events") == expected


@pytest.mark.parametrize("name", REFUSED)
def test_form_is_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    header, row, message, settings = REFUSED[name]
    (tmp_path / "events").write_text(text(header, row))
    with pytest.raises(InputError) as caught:
        columns_of(tmp_path / "events")
    assert message in str(caught.value)
    if settings is not None:
        assert len(columns_of(tmp_path / "events", **settings)) == (2 if settings.get("no_time") else 4)


@pytest.mark.parametrize("name", CONVERTED)
def test_command_of_the_refusal_gives_a_file_that_is_read(tmp_path: Path, name: str) -> None:
    header, row, *_ = REFUSED[name]
    (tmp_path / "FILE").write_text(text(header, row))
    with pytest.raises(InputError) as caught:
        columns_of(tmp_path / "FILE")
    command = re.search(r"awk .*", str(caught.value))
    assert command is not None
    subprocess.run(command[0], shell=True, cwd=tmp_path, check=True)
    expected, settings = CONVERTED[name]
    assert columns_of(tmp_path / "events.csv", **settings) == expected


@pytest.mark.parametrize("items", ["{i} {u}", "{i}|{u}", "[{i}, {u}]", "['{i}', '{u}']"])
@pytest.mark.parametrize("header", ["user_id\titem_id\ttimestamp", ""])
def test_lists_of_items_are_not_taken_for_ids(tmp_path: Path, header: str, items: str) -> None:
    (tmp_path / "events").write_text(text(header, f"{{u}}\t{items}\t{{s}}"))
    name = "item_id" if header else "#2"
    with pytest.raises(InputError, match=f"give --item-column '{name}\\[\\]' for one event per element"):
        columns_of(tmp_path / "events")
    assert columns_of(tmp_path / "events", item_column=f"{name}[]")[1:] == (
        name,
        "timestamp" if header else "#3",
        "seconds",
    )


def test_impressions_with_a_label_are_no_list_of_items(tmp_path: Path) -> None:
    header, row, *_ = REFUSED["MIND"]
    (tmp_path / "events").write_text(text(header, row))
    with pytest.raises(InputError, match="end in -1 if they were clicked"):
        columns_of(tmp_path / "events", item_column="#5[]")
