ALTER TABLE repositories DROP COLUMN workloads;
DROP TABLE problems;
