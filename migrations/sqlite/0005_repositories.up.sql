-- The host of the forge; '' for a local repository.
ALTER TABLE repositories ADD COLUMN host TEXT NOT NULL DEFAULT '';
-- Its id on the forge, which stays when it is renamed.
ALTER TABLE repositories ADD COLUMN forge_id BIGINT;
-- Its name on the forge, and its page.
ALTER TABLE repositories ADD COLUMN name TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN url TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN clone_url TEXT NOT NULL DEFAULT '';
-- The branch that pull requests are for, and the commit of it that was scanned last.
ALTER TABLE repositories ADD COLUMN base TEXT NOT NULL DEFAULT '';
ALTER TABLE repositories ADD COLUMN head TEXT;
ALTER TABLE repositories ADD COLUMN config_state TEXT NOT NULL DEFAULT 'unread'
    CHECK (config_state IN ('unread', 'none', 'valid', 'invalid'));
ALTER TABLE repositories ADD COLUMN config_error TEXT;
ALTER TABLE repositories ADD COLUMN last_scan_at BIGINT;
ALTER TABLE repositories ADD COLUMN last_error TEXT;
-- When it was found to be watched no longer: deleted, archived, or taken out of the configuration.
ALTER TABLE repositories ADD COLUMN gone_at BIGINT;

-- What is known of an image, for each realm of credentials that may see it.
CREATE TABLE images (
    realm TEXT NOT NULL,
    image TEXT NOT NULL,
    -- JSON; NULL until it was listed.
    tags TEXT,
    etag TEXT,
    listed_at BIGINT,
    next_due_at BIGINT,
    last_error TEXT,
    PRIMARY KEY (realm, image)
);

-- Which repositories use which image, as of their last scan.
CREATE TABLE uses (
    repository TEXT NOT NULL,
    realm TEXT NOT NULL,
    image TEXT NOT NULL,
    PRIMARY KEY (repository, realm, image)
);

CREATE INDEX uses_of_image ON uses (image, realm, repository);

-- The forge's number, which on the local forge is ours; NULL until the forge has the pull request. And its page.
ALTER TABLE pulls ADD COLUMN forge_number BIGINT;
ALTER TABLE pulls ADD COLUMN url TEXT;
UPDATE pulls SET forge_number = number
    WHERE repository IN (SELECT repository FROM repositories WHERE forge = 'local');
CREATE UNIQUE INDEX pulls_forge_number ON pulls (repository, forge_number) WHERE forge_number IS NOT NULL;

-- What was decided and why, about a pull request or about the whole repository (number 0).
CREATE TABLE decided (
    repository TEXT NOT NULL,
    number BIGINT NOT NULL,
    step BIGINT NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    -- Who it was; NULL: nobody but the bot.
    by_id BIGINT,
    by_login TEXT,
    PRIMARY KEY (repository, number, step)
);
INSERT INTO decided (repository, number, step, at, action, reason)
    SELECT repository, number, step, at, action, reason FROM history;
DROP TABLE history;
ALTER TABLE decided RENAME TO history;
CREATE INDEX history_at ON history (at);
CREATE INDEX history_of_repository ON history (repository, at);
