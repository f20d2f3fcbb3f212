"""The Data API of the embedded Supabase: PostgREST's protocol over the same Postgres.

request → grammar (a typed tree, no database needed) → plan (names looked up in the schema cache) →
sql (composed, with parameters) → response. Each part can be tried without the ones after it.

request           the headers understood, the parameters as a tree, the body as JSON
grammar           `grammar.peg` → the tree of `syntax`
schema_cache      `schema_cache.sql` → tables, relationships, functions, types
plan              which table, column and foreign key each name means
writes, calls     what a write or a call needs besides
sql, statements   the plan as one statement whose row is the answer
work, app         from HTTP to the statement and back
errors            PostgREST's codes
"""
