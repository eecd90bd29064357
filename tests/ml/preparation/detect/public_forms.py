"""Forms of public data sets, as a header and a row each.

In the row, ``{u}`` and ``{i}`` are numbers of users and items, ``{p}`` is a number that belongs to the item,
``{k}`` that of the row, ``{s}`` a time in Unix seconds, ``{d:%Y}`` the same in any spelling, ``{n}`` a small
number, ``{l}`` a list of items and ``{c}`` its length.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

ROWS = 120
NO_TIME = {"no_time": True}


def form_text(header: str, row: str) -> str:
    rng, rng_of_lists = random.Random(3), random.Random(4)
    lines = [header] if header else []
    for k in range(ROWS):
        seconds = rng.randrange(1_400_000_000, 1_600_000_000)
        moment = datetime.fromtimestamp(seconds, UTC)
        user, item, n = rng.randrange(10, 40), rng.randrange(1000, 1090), rng.randrange(1, 6)
        items = [str(rng_of_lists.randrange(1000, 1090)) for _ in range(rng_of_lists.randrange(2, 12))]
        fields = {"p": item * 37 % 9001, "l": " ".join(items), "c": len(items)}
        lines.append(row.format(u=user, i=item, k=k, s=seconds, d=moment, n=n, **fields))
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
    "MovieLens 25M": (
        "userId,movieId,rating,timestamp",
        "{u},{i},{n}.5,{s}",
        ("userId", "movieId", "timestamp", "seconds"),
    ),
    "MovieTweetings": ("", "{u}::0{i}508::8::{s}", ("#1", "#2", "#4", "seconds")),
    "Netflix as a table": (
        "Cust_Id,Rating,Date,Movie_Id",
        "{u},{n}.0,{d:%Y-%m-%d},{i}",
        ("Cust_Id", "Movie_Id", "Date", "iso8601"),
    ),
    "Amazon 2018 JSON": (
        "",
        (
            '{{"overall": 5.0, "reviewTime": "09 13, 2009", "reviewerID": "A{u}XXXXXXXX", "asin": "B0{i}XX", '
            '"style": {{"Size:": " 1"}}, "reviewText": "x, y", "unixReviewTime": {s}}}'
        ),
        ("reviewerID", "asin", "unixReviewTime", "seconds"),
    ),
    "Amazon 2023 JSON of products without variants": (
        "",
        (
            '{{"rating": 5.0, "title": "t", "images": [], "asin": "B0{i}XXXX", "parent_asin": "B0{i}XXXX", '
            '"user_id": "AG{u}", "timestamp": {s}123, "helpful_vote": 0, "verified_purchase": true}}'
        ),
        ("user_id", "asin", "timestamp", "milliseconds"),
    ),
    "Yoochoose buys": (
        "",
        "42{u},{d:%Y-%m-%dT%H:%M:%S}.124Z,2145{i},{p},1",
        ("#1", "#3", "#2", "iso8601"),
    ),
    "Diginetica purchases": (
        "sessionId;userId;timeframe;eventdate;ordernumber;itemId",
        "{u};NA;3015{k};{d:%Y-%m-%d};{k};{i}",
        ("sessionId", "itemId", "eventdate", "iso8601"),
    ),
    "Tianchi mobile": (
        "user_id,item_id,behavior_type,user_geohash,item_category,time",
        "{u},{i},{n},,4245,{d:%Y-%m-%d %H}",
        ("user_id", "item_id", "time", "year-first"),
    ),
    "Taobao ads": (
        "user,time_stamp,adgroup_id,pid,nonclk,clk",
        "{u},{s},{i},430548_1007,1,0",
        ("user", "adgroup_id", "time_stamp", "seconds"),
    ),
    "IJCAI-16": (
        "use_ID,sel_ID,ite_ID,cat_ID,act_ID,tim_ID",
        "{u},{n},{i},3,0,{d:%Y%m%d}",
        ("use_ID", "ite_ID", "tim_ID", "digits"),
    ),
    "JData": (
        "user_id,sku_id,time,model_id,type,cate,brand",
        "{u}.0,{i},{d:%Y-%m-%d %H:%M:%S},,6,9,{n}",
        ("user_id", "sku_id", "time", "iso8601"),
    ),
    "KuaiSAR": (
        "user_id,item_id,time,timestamp,is_click",
        "{u},{i},{d:%Y-%m-%d %H:%M:%S},{s}000,1",
        ("user_id", "item_id", "timestamp", "milliseconds"),
    ),
    "MicroLens": ("user,item,timestamp", "{u},{i},{s}123", ("user", "item", "timestamp", "milliseconds")),
    "Foursquare as CSV": (
        "userId,venueId,venueCategoryId,venueCategory,latitude,longitude,timezoneOffset,utcTimestamp",
        "{u},49bb{i},4bf5,Arts,35.7,139.7,540,{d:%a %b %d %X +0000 %Y}",
        ("userId", "venueId", "utcTimestamp", "month-names"),
    ),
    "Brightkite": (
        "",
        "{u}\t{d:%Y-%m-%dT%H:%M:%SZ}\t39.74{i}\t-104.99{i}\t88c46bf20db2{i}",
        ("#1", "#5", "#2", "iso8601"),
    ),
    "LFM-2b": (
        "user_id\ttrack_id\talbum_id\ttimestamp",
        "{u}\t{i}\t{n}{i}\t{d:%Y-%m-%d %H:%M:%S}",
        ("user_id", "track_id", "timestamp", "iso8601"),
    ),
    "HetRec Delicious": (
        "userID\tbookmarkID\ttagID\ttimestamp",
        "{u}\t{i}\t1\t{s}000",
        ("userID", "bookmarkID", "timestamp", "milliseconds"),
    ),
    "Steam recommendations": (
        "app_id,helpful,funny,date,is_recommended,hours,user_id,review_id",
        "{i},0,0,{d:%Y-%m-%d},true,36.3,{u},{k}",
        ("user_id", "app_id", "date", "iso8601"),
    ),
    "Epinions as Python": (
        "",
        "{{'item': 'P_{i}', 'user': 'u_{u}', 'paid': 0.1, 'time': {s}.0, 'stars': {n}.0}}",
        ("user", "item", "time", "seconds"),
    ),
    "RecBole Steam": (
        "user_id:token\tplay_hours:float\tproducts:float\tproduct_id:token\ttimestamp:float",
        "u{u}\t3.9\t92\t{i}\t{s}",
        ("user_id:token", "product_id:token", "timestamp:float", "seconds"),
    ),
    "Online Retail II": (
        "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
        "48{k},{i}A,LIGHTS,6,{d:%Y-%m-%d %H:%M:%S},2.55,13{u}.0,United Kingdom",
        ("Customer ID", "StockCode", "InvoiceDate", "iso8601"),
    ),
    "REES46 electronics": (
        "event_time,order_id,product_id,category_id,category_code,brand,price,user_id",
        "{d:%Y-%m-%d %H:%M:%S} UTC,22943{k},{i},22681,electronics.tablet,samsung,162.01,15159156{u}",
        ("user_id", "product_id", "event_time", "iso8601"),
    ),
    "Food.com": (
        "user_id,recipe_id,date,rating,review",
        '{u},{i},{d:%Y-%m-%d},4,"Great, x"',
        ("user_id", "recipe_id", "date", "iso8601"),
    ),
    "MyAnimeList": (
        "username,anime_id,my_watched_episodes,my_start_date,my_finish_date,my_score,my_last_updated,my_tags",
        "karth{u},{i},586,0000-00-00,0000-00-00,{n},{s},",
        ("username", "anime_id", "my_last_updated", "seconds"),
    ),
    "XING": (
        "user_id\titem_id\tinteraction_type\tcreated_at",
        "{u}\t{i}\t1\t{s}",
        ("user_id", "item_id", "created_at", "seconds"),
    ),
    "Dressipi": (
        "session_id,item_id,date",
        "{u},{i},{d:%Y-%m-%d %H:%M:%S}.987",
        ("session_id", "item_id", "date", "iso8601"),
    ),
    "Behance": ("", "{u} 0{i} {s}", ("#1", "#2", "#3", "seconds")),
    "ModCloth": (
        "item_id,user_id,rating,timestamp,size,fit,user_attr,model_attr,category,brand,year,split",
        "{i},{u},{n}.0,{d:%Y-%m-%d %H:%M:%S}.310000+00:00,,,Small,Small,Dresses,,2012,0",
        ("user_id", "item_id", "timestamp", "iso8601"),
    ),
    "Rent the Runway": (
        "",
        (
            '{{"fit": "fit", "user_id": "{u}", "item_id": "{i}", "review_text": "x", '
            '"review_date": "{d:%B} {d.day}, {d:%Y}"}}'
        ),
        ("user_id", "item_id", "review_date", "month-names"),
    ),
    "Google Local 2021": (
        "",
        '{{"user_id": "1010{u}", "time": {s}056, "rating": 5, "pics": null, "gmap_id": "0x8:{i}"}}',
        ("user_id", "gmap_id", "time", "milliseconds"),
    ),
    "Google Local 2018": (
        "",
        (
            "{{'rating': 3.0, 'categories': [u'Asian'], 'gPlusPlaceId': u'1088{i}', 'unixReviewTime': {s}, "
            "'reviewTime': u'{d:%b %d, %Y}', 'gPlusUserId': u'1000{u}'}}"
        ),
        ("gPlusUserId", "gPlusPlaceId", "unixReviewTime", "seconds"),
    ),
    "Douban": (
        "ID,Movie_Name_EN,Movie_Name_CN,Crawl_Date,Number,Username,Date,Star,Comment,Like",
        "{k},Film {i},电影 {i},2017-01-22,{k},user{u},{d:%Y-%m-%d},3,好,24",
        ("Username", "Movie_Name_EN", "Date", "iso8601"),
    ),
    "Expedia": (
        "date_time,site_name,posa_continent,user_location_city,user_id,srch_ci,srch_co,is_booking,hotel_cluster",
        "{d:%Y-%m-%d %H:%M:%S},2,3,48862,{u},2014-08-27,2014-08-31,0,{i}",
        ("user_id", "hotel_cluster", "date_time", "iso8601"),
    ),
    "MOOC": (
        "user_id,course_id,enroll_time",
        "U_{u},C_{i},{d:%Y-%m-%d %H:%M:%S}",
        ("user_id", "course_id", "enroll_time", "iso8601"),
    ),
    "KION": (
        "user_id,item_id,last_watch_dt,total_dur,watched_pct",
        "{u},{i},{d:%Y-%m-%d},4250,72.0",
        ("user_id", "item_id", "last_watch_dt", "iso8601"),
    ),
    "X5 Retail Hero": (
        "client_id,transaction_id,transaction_datetime,store_id,product_id,product_quantity,trn_sum_from_iss",
        "c{u},{k}aa,{d:%Y-%m-%d %H:%M:%S},54a4{n},{i},1.0,80.0",
        ("client_id", "product_id", "transaction_datetime", "iso8601"),
    ),
    "L.POINT": (
        "cust,rct_no,chnl_dv,cop_c,br_c,pd_c,de_dt,de_hr,buy_am,buy_ct",
        "M43{u},A0122{k},1,A01,A010039,PD0{i},{d:%Y%m%d},{d:%H},15000.0,1",
        ("cust", "pd_c", "de_dt", "digits"),
    ),
    "dunnhumby Sort-of-Real": (
        (
            "SHOP_WEEK,SHOP_DATE,SHOP_WEEKDAY,SHOP_HOUR,QUANTITY,SPEND,PROD_CODE,PROD_CODE_10,CUST_CODE,BASKET_ID,"
            "STORE_CODE"
        ),
        "200607,{d:%Y%m%d},5,20,1,103,PRD090{i},CL00{n},CUST0000{u},9941{k},STORE{n}",
        ("CUST_CODE", "PROD_CODE", "SHOP_DATE", "digits"),
    ),
    "Adressa": (
        "",
        (
            '{{"eventId": {k}, "activeTime": 22, "url": "http://a.no/{i}", "referrerHostClass": '
            '"direct", "time": {s}, "userId": "cx:{u}", "id": "{i}f", "publishtime": "2017-01-01T06:54:15Z"}}'
        ),
        ("userId", "id", "time", "seconds"),
    ),
}
# Name: header, row, a part of the refusal, and the settings with which the columns are found; None: none do.
REFUSED: dict[str, tuple[str, str, str, dict[str, Any] | None]] = {
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
    "MIND": (
        "",
        "{k}\tU{u}\t{d:%m/%d/%Y %I:%M:%S %p}\tN{i} N{u}\tN{i}-1 N{u}-0",
        "#4 holds lists: give --item-column '#4[]' for one event per element",
        {"item_column": "#4[]"},
    ),
    "Anime": ("user_id,anime_id,rating", "{u},{i},-1", "or --no-time if the events have none", NO_TIME),
    "Jester": ("", ",".join(["74", *["{n}.5"] * 100]), "write one row per user and item", None),
    "Yoochoose buys with changing prices": (
        "",
        "42{u},{d:%Y-%m-%dT%H:%M:%S}.124Z,2145{i},{p}{n},1",
        "give the positions, as in --user-column '#1' --item-column '#3'",
        {"user_column": "#1", "item_column": "#3"},
    ),
    "LFM-1b": (
        "",
        "{u}\t{i}\t{i}{n}\t{i}{n}{n}\t{s}",
        "4 columns look like ids",
        {"user_column": "#1", "item_column": "#4"},
    ),
    "CiteULike": (
        "",
        "{i}|61baa{u}|{d:%Y-%m-%d %H:%M:%S}.373798+00|ecoli{k}",
        "3 columns look like ids",
        {"user_column": "#2", "item_column": "#1"},
    ),
    "CiaoDVD": (
        "",
        "{u},{i},{n},{k},{n},{d:%Y-%m-%d}",
        "3 columns look like ids",
        {"user_column": "#1", "item_column": "#2"},
    ),
    "Amazon 2023 JSON": (
        "",
        '{{"asin": "B0{i}X{n}", "parent_asin": "B0{i}XX", "user_id": "AG{u}", "timestamp": {s}123}}',
        "give --item-column asin or --item-column parent_asin",
        {"item_column": "parent_asin"},
    ),
    "Steam 200k": ("", '{u},"The Game {i}",purchase,{n}.0,0', "or --no-time", NO_TIME),
    "Instacart": (
        "order_id,product_id,add_to_cart_order,reordered",
        "{u},{i},1,0",
        "or --no-time if the events have none",
        NO_TIME,
    ),
    "Criteo": (  # seconds since the first event
        "timestamp\tuid\tcampaign\tconversion\tclick\tcost",
        "{k}123\t{u}\t{i}\t0\t0\t1.5e-05",
        "or --no-time",
        NO_TIME,
    ),
    "Yambda": (
        "uid,timestamp,item_id,is_organic,played_ratio_pct",
        "{u},{k}5,{i},1,100",
        "give --time-format, another --time-column, or --no-time",
        NO_TIME,
    ),
    "Outbrain": (
        "uuid,document_id,timestamp,platform,geo_location,traffic_source",
        "1fd5f05{u},{i},{k}905,1,VE,3",
        "or --no-time",
        NO_TIME,
    ),
    "KKBox": (
        "msno,song_id,source_system_tab,source_screen_name,source_type,target",
        "FGtll{u}=,BBz{i}=,explore,Explore,online-playlist,1",
        "or --no-time if the events have none",
        NO_TIME,
    ),
    "Million Song taste profile": ("", "b80344{u}\tSOAKIMP{i}\t{n}", "or --no-time", NO_TIME),
    "Pinterest of NCF": ("", "{u}\t{i}\t1\t0", "or --no-time", NO_TIME),
    "FilmTrust": ("", "{u} {i} {n}.5", "or --no-time", NO_TIME),
    "Goodbooks": ("user_id,book_id,rating", "{u},{i},{n}", "or --no-time if the events have none", NO_TIME),
    "Goodreads CSV": (
        "user_id,book_id,is_read,rating,is_reviewed",
        "{u},{i},1,{n},0",
        "or --no-time if the events have none",
        NO_TIME,
    ),
    "Tenrec": (
        "user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age",
        "{u},{i},1,0,0,0,1,0,1,3",
        "or --no-time if the events have none",
        NO_TIME,
    ),
    "HetRec tags": (
        "userID\tartistID\ttagID\tday\tmonth\tyear",
        "{u}\t{i}\t13\t1\t4\t2009",
        "or --no-time",
        NO_TIME,
    ),
    "trivago": (
        "user_id,session_id,timestamp,step,action_type,reference,platform,impressions",
        "U{u},{k}b,{s},1,clickout item,{i},BR,1|2",
        "name it with --item-column",
        {"item_column": "reference"},
    ),
    "LightGCN": ("", "{k} {l}", "all items of a user; write one row per item", None),
    "CiteULike of users": ("", "{c} {l}", "all items of a user; write one row per item", None),
    "Deals": (
        "user_id,deal_id,created_at",
        "{u},{i},{d:%Y-%m-%d %H:%M:%S}",
        "name it with --item-column",
        {"item_column": "deal_id"},
    ),
}
