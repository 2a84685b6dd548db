DROP TABLE comments_seen;
DROP TABLE comment_cursors;
DROP TABLE merge_requests;
DROP TABLE decisions;
