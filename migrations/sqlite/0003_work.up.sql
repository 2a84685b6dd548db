-- Work that is to be done, one row for each thing to look at again. Asking for it twice is one row.
CREATE TABLE work (
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    -- No two claims of one lane are live at once.
    lane TEXT NOT NULL,
    -- Whose put-offs count; NULL: nobody's.
    host TEXT,
    -- The lowest goes first.
    priority BIGINT NOT NULL,
    -- When it is wanted. NULL while it is claimed, unless it was asked for again meanwhile; NULL, too, once it is done.
    due_at BIGINT,
    -- Its own back-off: asking never touches it.
    not_before BIGINT NOT NULL DEFAULT 0,
    -- How often it was asked for.
    asked BIGINT NOT NULL,
    -- Grows with each claim.
    fence BIGINT NOT NULL,
    claimed_by TEXT,
    claimed_until BIGINT,
    -- Failures of our own making since it last went well.
    attempts BIGINT NOT NULL DEFAULT 0,
    parked_at BIGINT,
    last_error TEXT,
    -- When it last went well.
    done_at BIGINT,
    PRIMARY KEY (kind, key),
    CHECK ((claimed_by IS NULL) = (claimed_until IS NULL))
);

CREATE INDEX work_next ON work (priority, due_at, not_before) WHERE due_at IS NOT NULL AND claimed_until IS NULL;
CREATE INDEX work_claimed ON work (lane, claimed_until) WHERE claimed_until IS NOT NULL;

-- Who is put off for everyone: a forge, an installation, a registry.
CREATE TABLE hosts (
    host TEXT NOT NULL PRIMARY KEY,
    not_before BIGINT NOT NULL,
    -- Put-offs in a row without a time named by the host.
    faults BIGINT NOT NULL,
    last_error TEXT NOT NULL
);

-- How many calls of one kind were made within a window of time.
CREATE TABLE budgets (
    scope TEXT NOT NULL,
    window_start BIGINT NOT NULL,
    window_end BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (scope, window_start)
);

-- What came in by webhook, once each.
CREATE TABLE inbox (
    source TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    -- NULL once it is handled: the row stays so that it is known when it comes again.
    payload BLOB,
    handled_at BIGINT,
    PRIMARY KEY (source, delivery_id)
);

CREATE INDEX inbox_received ON inbox (received_at);

-- What the service remembers of itself, such as the version that ran last.
CREATE TABLE service (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);
