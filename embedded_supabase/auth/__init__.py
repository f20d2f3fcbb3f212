"""Auth: GoTrue's protocol over the tables of schema `auth`.

app                    routes and error responses
call                   one request in its transaction
body                   the JSON that clients send
account, sessions      sign-up, verification, the account; tokens
oauth, providers       signing in through a provider
admin                  the API for the secret key
users, codes, mail     users and identities; one-time codes; mail and its outbox
redirects, limits      allowed redirects; rate limits
settings, errors       `[auth]` of config.toml; GoTrue's codes
"""
