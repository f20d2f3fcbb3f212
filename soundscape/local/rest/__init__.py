"""The Data API of the embedded project: PostgREST's protocol over the same Postgres.

request → grammar (a typed tree, no database needed) → plan (names resolved in the schema cache) →
sql (composed, with parameters) → response. Each part can be tried without the ones after it.
"""
