DROP TABLE service;
DROP TABLE inbox;
DROP TABLE budgets;
DROP TABLE hosts;
DROP TABLE work;
