-- What people decided, by comments or on pages. What does not apply is '' or 0, so that the key can hold it.
CREATE TABLE decisions (
    repository TEXT NOT NULL,
    -- Our number of the pull request; 0: the whole repository.
    number BIGINT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('hold', 'ignore', 'pause')),
    -- Of an ignore: which updates, of which image, and of which tag.
    level TEXT NOT NULL,
    image TEXT NOT NULL,
    tag TEXT NOT NULL,
    until BIGINT,
    reason TEXT NOT NULL,
    by_id BIGINT NOT NULL,
    by_login TEXT NOT NULL,
    made_at BIGINT NOT NULL,
    PRIMARY KEY (repository, number, kind, level, image, tag)
);

-- Merges that people asked for and that are not settled yet, at most one for each pull request.
CREATE TABLE merge_requests (
    repository TEXT NOT NULL,
    -- Our number of the pull request.
    number BIGINT NOT NULL,
    -- The head that may be merged, and no other.
    head TEXT NOT NULL,
    -- NULL: as configured.
    method TEXT,
    -- 1: wait for required checks only.
    required_only BIGINT NOT NULL,
    by_id BIGINT NOT NULL,
    by_login TEXT NOT NULL,
    -- The comment that asked for it; NULL: a page or a rule did.
    comment_id BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_verdict TEXT,
    PRIMARY KEY (repository, number)
);

CREATE INDEX merge_requests_expiring ON merge_requests (expires_at);

-- How far the comments of a pull request or an issue were read; numbers are the forge's.
CREATE TABLE comment_cursors (
    repository TEXT NOT NULL,
    thread BIGINT NOT NULL,
    comment_id BIGINT NOT NULL,
    PRIMARY KEY (repository, thread)
);

-- Lines of comments that are commands, once each.
CREATE TABLE comments_seen (
    repository TEXT NOT NULL,
    thread BIGINT NOT NULL,
    comment_id BIGINT NOT NULL,
    -- The line within the comment, from 1.
    line BIGINT NOT NULL,
    text TEXT NOT NULL,
    by_id BIGINT NOT NULL,
    by_login TEXT NOT NULL,
    written_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'refused', 'failed')),
    -- Our comment that answers it.
    reply_id BIGINT,
    PRIMARY KEY (repository, thread, comment_id, line)
);

CREATE INDEX comments_seen_at ON comments_seen (seen_at);
