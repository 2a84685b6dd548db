-- Times are milliseconds since 1970 in UTC. JSON and commit ids are text.

CREATE TABLE repositories (
    repository TEXT NOT NULL PRIMARY KEY,
    forge TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL
);

CREATE TABLE pulls (
    repository TEXT NOT NULL REFERENCES repositories (repository),
    number BIGINT NOT NULL,
    base TEXT NOT NULL,
    path TEXT NOT NULL,
    workload TEXT NOT NULL,
    branch TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'merged', 'declined', 'closed')),
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    proposed TEXT NOT NULL,
    text_print TEXT NOT NULL,
    -- The head that the branch was last seen at; NULL until it was first seen.
    head TEXT,
    left_alone TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (repository, number)
);

CREATE UNIQUE INDEX pulls_open ON pulls (repository, branch) WHERE state = 'open';
CREATE INDEX pulls_of_base ON pulls (repository, base, state);

-- Every commit that we made for a pull request, written before any ref has it.
CREATE TABLE heads (
    repository TEXT NOT NULL,
    number BIGINT NOT NULL,
    sha TEXT NOT NULL,
    base_sha TEXT NOT NULL,
    content_print TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    PRIMARY KEY (repository, number, sha),
    FOREIGN KEY (repository, number) REFERENCES pulls (repository, number) ON DELETE CASCADE
);

-- What was done to a pull request and why; only where a decision changed something.
CREATE TABLE history (
    repository TEXT NOT NULL,
    number BIGINT NOT NULL,
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (repository, number, step),
    FOREIGN KEY (repository, number) REFERENCES pulls (repository, number) ON DELETE CASCADE
);
