DROP TABLE history;
DROP TABLE heads;
DROP TABLE pulls;
DROP TABLE repositories;
