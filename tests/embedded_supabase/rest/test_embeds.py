"""Resource embedding: foreign keys walked both ways, through junctions, filtered, ordered, spread."""

from __future__ import annotations

import httpx
import pytest

ALBUMS = "/albums?select="
MAKER = "artists!albums_artist_id_fkey"

# Each: the query, the rows.
EMBEDS = [
    ("/artists?select=name,labels(name)&id=eq.1", [{"name": "Autechre", "labels": {"name": "Warp"}}]),
    ("/artists?select=name,labels(*)&id=eq.4", [{"name": "Nobody", "labels": None}]),
    ("/artists?select=name,by:label_id(name)&id=eq.1", [{"name": "Autechre", "by": {"name": "Warp"}}]),
    (
        "/labels?select=name,artists(id)&id=in.(1,3)&order=id&artists.order=id.desc",
        [{"name": "Warp", "artists": [{"id": 2}, {"id": 1}]}, {"name": "Empty", "artists": []}],
    ),
    (
        "/labels?select=name,artists_label_id_fkey(id)&id=eq.2",
        [{"name": "Ninja Tune", "artists_label_id_fkey": [{"id": 3}]}],
    ),
    (
        ALBUMS + "id,sleeves(colour)&id=lt.3&order=id",
        [{"id": 1, "sleeves": {"colour": "amber"}}, {"id": 2, "sleeves": None}],
    ),
    (
        "/sleeves?select=colour,albums(title)&album_id=eq.3",
        [{"colour": "red", "albums": {"title": "Geogaddi"}}],
    ),
    (ALBUMS + f"id,{MAKER}(name)&id=eq.2", [{"id": 2, "artists": {"name": "Autechre"}}]),
    (
        ALBUMS + "id,producer:artists!albums_producer(name)&id=eq.2",
        [{"id": 2, "producer": {"name": "Boards of Canada"}}],
    ),
    (
        ALBUMS + "id,producer:artists!producer_id(name)&id=eq.2",
        [{"id": 2, "producer": {"name": "Boards of Canada"}}],
    ),
    ("/artists?select=id,produced:albums!albums_producer(id)&id=eq.1", [{"id": 1, "produced": [{"id": 3}]}]),
    (
        ALBUMS + "id,genres(name)&id=in.(1,4)&order=id&genres.order=name",
        [{"id": 1, "genres": [{"name": "Downtempo"}, {"name": "IDM"}]}, {"id": 4, "genres": []}],
    ),
    (
        "/genres?select=name,albums!album_genres(id)&id=eq.1&albums.order=id",
        [{"name": "IDM", "albums": [{"id": 1}, {"id": 2}]}],
    ),
    (
        ALBUMS + "id,album_genres(weight,genres(name))&id=eq.2",
        [{"id": 2, "album_genres": [{"weight": 1, "genres": {"name": "IDM"}}]}],
    ),
    (
        "/artists?select=name,mentor_id(name)&id=eq.2",
        [{"name": "Boards of Canada", "mentor_id": {"name": "Autechre"}}],
    ),
    (
        "/artists?select=name,pupils:artists(name)&id=eq.1&pupils.order=name",
        [{"name": "Autechre", "pupils": [{"name": "Amon Tobin"}, {"name": "Boards of Canada"}]}],
    ),
    ("/artists?select=name,mentor:artists!artists_mentor_id_fkey(name)&id=eq.99", []),
    (
        "/labels?select=name,artists(name,albums!albums_artist_id_fkey(title,genres(name)))&id=eq.2",
        [
            {
                "name": "Ninja Tune",
                "artists": [{"name": "Amon Tobin", "albums": [{"title": "Supermodified", "genres": []}]}],
            }
        ],
    ),
    (
        ALBUMS + "a:artists!albums_artist_id_fkey(name),b:artists!albums_producer(name)&id=eq.2",
        [{"a": {"name": "Autechre"}, "b": {"name": "Boards of Canada"}}],
    ),
    (
        "/labels?select=id,artists(id)&id=eq.1&artists.limit=1&artists.offset=1&artists.order=id",
        [{"id": 1, "artists": [{"id": 2}]}],
    ),
    (
        "/labels?select=id,artists(id)&order=id&artists.name=like.A*",
        [{"id": 1, "artists": [{"id": 1}]}, {"id": 2, "artists": [{"id": 3}]}, {"id": 3, "artists": []}],
    ),
    (
        "/labels?select=id,artists(id)&id=eq.1&artists.or=(id.eq.2,name.eq.x)",
        [{"id": 1, "artists": [{"id": 2}]}],
    ),
    ("/labels?select=id,who:artists(id)&id=eq.1&who.id=eq.2", [{"id": 1, "who": [{"id": 2}]}]),
    (
        "/labels?select=id,artists(albums!albums_artist_id_fkey(id))&id=eq.1&artists.id=eq.1&artists.albums.id=eq.2",
        [{"id": 1, "artists": [{"albums": [{"id": 2}]}]}],
    ),
    (
        "/labels?select=id,artists!inner(id)&order=id&artists.name=eq.Autechre",
        [{"id": 1, "artists": [{"id": 1}]}],
    ),
    ("/artists?select=id,labels!inner()&order=id", [{"id": 1}, {"id": 2}, {"id": 3}]),
    (
        ALBUMS + f"id,{MAKER}!inner(labels!inner(name))&artists.labels.name=eq.Ninja Tune",
        [{"id": 4, "artists": {"labels": {"name": "Ninja Tune"}}}],
    ),
    (ALBUMS + "id,genres!inner()&genres.name=eq.Downtempo&order=id", [{"id": 1}, {"id": 3}]),
    ("/labels?select=id,artists()&artists=is.null", [{"id": 3}]),
    ("/labels?select=id,artists()&artists=not.is.null&order=id", [{"id": 1}, {"id": 2}]),
    ("/labels?select=id,artists()&or=(artists.is.null,id.eq.1)&order=id", [{"id": 1}, {"id": 3}]),
    (
        "/artists?select=id,labels(name)&order=labels(name).desc.nullslast,id&id=in.(1,3,4)",
        [
            {"id": 1, "labels": {"name": "Warp"}},
            {"id": 3, "labels": {"name": "Ninja Tune"}},
            {"id": 4, "labels": None},
        ],
    ),
    ("/artists?select=id,labels()&order=labels(founded).desc,id&id=in.(1,3)", [{"id": 3}, {"id": 1}]),
    (
        "/artists?select=name,...labels(label:name,founded)&id=eq.1",
        [{"name": "Autechre", "label": "Warp", "founded": "1989-01-01"}],
    ),
    ("/artists?select=name,...labels(label:name)&id=eq.4", [{"name": "Nobody", "label": None}]),
    (
        "/sleeves?select=colour,...albums(title,...artists!albums_artist_id_fkey(name))&album_id=eq.1",
        [{"colour": "amber", "title": "Amber", "name": "Autechre"}],
    ),
    (
        "/labels?select=id,...artists(names:name)&id=in.(1,3)&order=id&artists.order=name",
        [{"id": 1, "names": ["Autechre", "Boards of Canada"]}, {"id": 3, "names": []}],
    ),
    ("/labels?select=id,...artists!inner()&order=id", [{"id": 1}, {"id": 2}]),
    ("/artists?select=...labels(*)&id=eq.1", [{"id": 1, "name": "Warp", "founded": "1989-01-01"}]),
]


@pytest.mark.row("rest.embedding", by="http")
@pytest.mark.parametrize(("query", "rows"), EMBEDS)
def test_embed(anon: httpx.Client, query: str, rows: object) -> None:
    answer = anon.get(query)
    assert answer.status_code == 200, answer.text
    assert answer.json() == rows


@pytest.mark.parametrize(
    ("query", "content_range"),
    [
        ("/labels?select=id,artists!inner(id)&artists.name=eq.Autechre", "0-0/1"),
        ("/labels?select=id,artists(id)&artists=is.null", "0-0/1"),
        ("/albums?select=id,genres!inner(id)&limit=1", "0-0/3"),
    ],
)
def test_counts_see_through_embeds(anon: httpx.Client, query: str, content_range: str) -> None:
    assert anon.get(query, headers={"Prefer": "count=exact"}).headers["content-range"] == content_range


def test_csv_of_an_embed(anon: httpx.Client) -> None:
    answer = anon.get("/artists?select=id,labels(name)&id=eq.1", headers={"Accept": "text/csv"})
    assert answer.text == 'id,labels\n1,"{""name"":""Warp""}"'


def test_ambiguous_embed_lists_the_ways(anon: httpx.Client) -> None:
    answer = anon.get("/albums?select=id,artists(name)")
    assert answer.status_code == 300
    assert answer.json() == {
        "code": "PGRST201",
        "message": "Could not embed because more than one relationship was found for 'albums' and 'artists'",
        "details": [
            {
                "cardinality": "many-to-one",
                "embedding": "albums with artists",
                "relationship": "albums_artist_id_fkey using albums(artist_id) and artists(id)",
            },
            {
                "cardinality": "many-to-one",
                "embedding": "albums with artists",
                "relationship": "albums_producer using albums(producer_id) and artists(id)",
            },
        ],
        "hint": "Try changing 'artists' to one of the following: 'artists!albums_artist_id_fkey', "
        "'artists!albums_producer'. Find the desired relationship in the 'details' key.",
    }


def test_no_relationship(anon: httpx.Client) -> None:
    answer = anon.get("/albums?select=id,genre(name)")
    assert answer.status_code == 400
    assert answer.json() == {
        "code": "PGRST200",
        "message": "Could not find a relationship between 'albums' and 'genre' in the schema cache",
        "details": "Searched for a foreign key relationship between 'albums' and 'genre' "
        "in the schema 'public', but no matches were found.",
        "hint": "Perhaps you meant 'genres' instead of 'genre'.",
    }


# Each: query, status, code.
WRONG = [
    ("/albums?select=id,labels(name)", 400, "PGRST200"),
    ("/albums?select=id,genres!nope(id)", 400, "PGRST200"), ("/labels?artists.id=eq.1", 400, "PGRST108"),
    ("/labels?select=id,artists(id)&artists.x.id=eq.1", 400, "PGRST108"),
    ("/labels?select=id,artists(id)&artists=eq.1", 400, "PGRST120"),
    ("/labels?order=artists(id)", 400, "PGRST108"),
    ("/labels?select=id,artists(id)&order=artists(id)", 400, "PGRST118"),
    ("/labels?select=id,artists(nope)", 400, "42703"),
    ("/labels?select=id,artists(id)&artists.nope=eq.1", 400, "42703"),
    ("/labels?select=id,hidden(id)", 400, "PGRST200"), ("/labels?select=id,keyless(n)", 400, "PGRST200"),
    ("/labels?select=id.count()", 400, "PGRST123"), ("/labels?select=count()", 400, "PGRST123"),
]  # fmt: skip


@pytest.mark.parametrize(("query", "status", "code"), WRONG)
def test_wrong_embeds(anon: httpx.Client, query: str, status: int, code: str) -> None:
    answer = anon.get(query)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


@pytest.mark.row("rest.no-computed-embeds", by="http")
@pytest.mark.parametrize(
    "query",
    ["/sleeves?select=album_id,cheap_albums(id)", "/cheap_albums?select=id,sleeves(colour)",
     "/artists?select=id,home(name)"],
)  # fmt: skip
def test_views_and_functions_are_not_embedded(user: httpx.Client, query: str) -> None:
    answer = user.get(query)
    assert (answer.status_code, answer.json()["code"]) == (400, "PGRST200"), answer.text


def test_embeds_obey_row_level_security(anon: httpx.Client, user: httpx.Client) -> None:
    """An embed of a table without a grant is refused like the table itself."""
    assert user.get("/albums?select=id,sleeves(colour)").status_code == 200
    assert anon.get("/albums?select=id,genres(secrets(id))").json()["code"] == "PGRST200"
