"""REST: PostgREST's protocol. A request is parsed into a plan, the plan becomes SQL, its row the response.

request           the headers, the parameters as a tree, the body as JSON
grammar           `grammar.peg` → the tree of `syntax`; needs no database
schema_cache      `schema_cache.sql` → tables, relationships, functions, types
read_plan         ReadPlan: the table, column and foreign key that each name means
mutate_plan       MutatePlan: an insert, upsert, update or delete
call_plan         CallPlan: a function and its arguments
plan              the plan of a whole request
sql, statements   a plan as one statement, whose single row holds the response
response          that row → status, headers and body
app               routes, the schema cache, errors
errors            PostgREST's codes
"""
