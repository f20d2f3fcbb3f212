"""The document at the root."""

from __future__ import annotations

import httpx


def test_tables_columns_and_comments(service: httpx.Client) -> None:
    answer = service.get("/")
    assert answer.headers["content-type"] == "application/openapi+json; charset=utf-8"
    document = answer.json()
    assert document["swagger"] == "2.0"
    labels = document["definitions"]["labels"]
    assert labels["description"] == "Who publishes."
    assert labels["properties"]["founded"] == {
        "format": "date",
        "type": "string",
        "description": "The first year in business.",
    }
    assert labels["required"] == ["id", "name"]
    albums = document["definitions"]["albums"]["properties"]
    assert albums["id"]["description"] == "Note:\nThis is a Primary Key.<pk/>"
    assert albums["artist_id"]["description"].endswith("`artists.id`.<fk table='artists' column='id'/>")
    assert albums["mood"]["enum"] == ["calm", "bright", "dark"]
    assert albums["tags"] == {
        "format": "text[]",
        "type": "array",
        "items": {"type": "string"},
        "default": "'{}'::text[]",
    }
    assert set(document["paths"]["/labels"]) == {"get", "post", "patch", "delete"}
    assert document["paths"]["/labels"]["get"]["summary"] == "Who publishes."


def test_functions(service: httpx.Client) -> None:
    (body,) = service.get("/").json()["paths"]["/rpc/add"]["post"]["parameters"]
    assert body["schema"]["required"] == ["a"]
    assert body["schema"]["properties"]["b"] == {"type": "integer", "format": "integer"}


def test_only_what_the_caller_may_reach(anon: httpx.Client) -> None:
    paths = anon.get("/").json()["paths"]
    assert "/labels" in paths
    assert not {"/secrets", "/diaries", "/things"} & set(paths)


def test_every_reference_leads_somewhere(service: httpx.Client) -> None:
    document = service.get("/").json()
    references: list[str] = []

    def walk(value: object) -> None:
        if isinstance(value, dict):
            references.extend(v for k, v in value.items() if k == "$ref")
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    assert len(references) > 50
    for reference in references:
        _, section, name = reference.split("/", 2)
        assert name in document[section]


def test_only_reading(service: httpx.Client) -> None:
    assert service.head("/").status_code == 200
    assert service.post("/", json={}).json()["code"] == "PGRST117"
