-- What the last scan of a repository found to be wrong, in the order in which it matters.
CREATE TABLE problems (
    repository TEXT NOT NULL,
    position BIGINT NOT NULL,
    -- A file and line, an image; '' where it is about the whole.
    place TEXT NOT NULL,
    message TEXT NOT NULL,
    -- When it was first found without being gone in between.
    since BIGINT NOT NULL,
    PRIMARY KEY (repository, position)
);

-- How many workloads the last scan found.
ALTER TABLE repositories ADD COLUMN workloads BIGINT NOT NULL DEFAULT 0;
