-- When the tags of an image were first seen: one row per image, its canonical name and a JSON object.
CREATE TABLE sights (
    image TEXT NOT NULL PRIMARY KEY,
    seen TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);
