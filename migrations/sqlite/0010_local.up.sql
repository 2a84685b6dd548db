-- What a forge would keep of repositories on this machine: talk and commit statuses.

CREATE TABLE local_comments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    number BIGINT NOT NULL,
    by_id BIGINT NOT NULL,
    by_login TEXT NOT NULL,
    body TEXT NOT NULL,
    -- Reactions of the bot, joined by blanks.
    reactions TEXT NOT NULL DEFAULT '',
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX local_comments_of ON local_comments (repository, number, id);

CREATE TABLE local_statuses (
    repository TEXT NOT NULL,
    sha TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    url TEXT,
    at BIGINT NOT NULL,
    PRIMARY KEY (repository, sha, name)
);
