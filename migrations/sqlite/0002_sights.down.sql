DROP TABLE sights;
