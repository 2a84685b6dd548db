DROP TABLE local_statuses;
DROP TABLE local_comments;
