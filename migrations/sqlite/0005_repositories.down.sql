DROP INDEX history_of_repository;
DROP INDEX history_at;
ALTER TABLE history RENAME TO decided;
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
-- Decisions about a repository have no place there.
INSERT INTO history (repository, number, step, at, action, reason)
    SELECT repository, number, step, at, action, reason FROM decided
    WHERE EXISTS (SELECT 1 FROM pulls WHERE pulls.repository = decided.repository AND pulls.number = decided.number);
DROP TABLE decided;
DROP INDEX pulls_forge_number;
ALTER TABLE pulls DROP COLUMN url;
ALTER TABLE pulls DROP COLUMN forge_number;
DROP TABLE uses;
DROP TABLE images;
ALTER TABLE repositories DROP COLUMN gone_at;
ALTER TABLE repositories DROP COLUMN last_error;
ALTER TABLE repositories DROP COLUMN last_scan_at;
ALTER TABLE repositories DROP COLUMN config_error;
ALTER TABLE repositories DROP COLUMN config_state;
ALTER TABLE repositories DROP COLUMN head;
ALTER TABLE repositories DROP COLUMN base;
ALTER TABLE repositories DROP COLUMN clone_url;
ALTER TABLE repositories DROP COLUMN url;
ALTER TABLE repositories DROP COLUMN name;
ALTER TABLE repositories DROP COLUMN forge_id;
ALTER TABLE repositories DROP COLUMN host;
