-- The first schema of a month file. No secondary index: duplicates are known in memory, readers go by seq.
-- Statements end with a semicolon at the end of a line; they run in one transaction that also sets user_version.
CREATE TABLE journal(seq INTEGER PRIMARY KEY, hall INTEGER NOT NULL, hall_seq INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  kind INTEGER NOT NULL CHECK(kind BETWEEN 1 AND 254), v INTEGER NOT NULL,
  device INTEGER NOT NULL, boot INTEGER NOT NULL, dseq INTEGER NOT NULL, payload BLOB NOT NULL) STRICT;
CREATE TABLE batch(last INTEGER PRIMARY KEY, first INTEGER NOT NULL, epoch INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  crc INTEGER NOT NULL, chain BLOB NOT NULL, short BLOB, long BLOB) STRICT;
CREATE TABLE snapshot(hall INTEGER NOT NULL, hall_seq INTEGER NOT NULL, seq INTEGER NOT NULL, fmt INTEGER NOT NULL,
  at_ms INTEGER NOT NULL, crc INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(hall, hall_seq)) STRICT;
CREATE TABLE word(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE meta(k TEXT PRIMARY KEY, v ANY NOT NULL) STRICT;
-- Dead letters: at most 10,000, the oldest go.
CREATE TABLE letter(id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, topic TEXT NOT NULL, reason TEXT NOT NULL,
  digest BLOB NOT NULL, payload BLOB NOT NULL, seq INTEGER NOT NULL) STRICT;
-- Projections: can be rebuilt from the journal. Ids are hall << 40 | id, so live rows of one hall are neighbours.
CREATE TABLE ticket(id INTEGER PRIMARY KEY, state INTEGER NOT NULL, service INTEGER NOT NULL, class INTEGER NOT NULL,
  day INTEGER NOT NULL, number TEXT NOT NULL, counter INTEGER, staff INTEGER, taken_ms INTEGER NOT NULL,
  called_ms INTEGER, start_ms INTEGER, end_ms INTEGER, seq INTEGER NOT NULL) STRICT;
CREATE TABLE evaluation(id INTEGER PRIMARY KEY, state INTEGER NOT NULL, level INTEGER, staff INTEGER NOT NULL,
  counter INTEGER NOT NULL, service INTEGER NOT NULL, channel INTEGER, opened_ms INTEGER NOT NULL,
  rated_ms INTEGER, end_ms INTEGER, seq INTEGER NOT NULL) STRICT;
CREATE TABLE "case"(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, state INTEGER NOT NULL, call INTEGER,
  opened_ms INTEGER NOT NULL, verify_due_ms INTEGER, rectify_due_ms INTEGER, reply_due_ms INTEGER, closed_ms INTEGER,
  seq INTEGER NOT NULL) STRICT;
CREATE TABLE conduct(id INTEGER PRIMARY KEY, staff INTEGER NOT NULL, kind INTEGER NOT NULL, on_day INTEGER NOT NULL,
  half_days INTEGER, voided INTEGER NOT NULL, seq INTEGER NOT NULL) STRICT;
CREATE TABLE device(id INTEGER PRIMARY KEY, hall INTEGER NOT NULL, kind TEXT NOT NULL, profile TEXT NOT NULL,
  state INTEGER NOT NULL, counter INTEGER, seen_ms INTEGER, seq INTEGER NOT NULL) STRICT;
-- Free text behind the *_ref fields of facts: outside the chain, so that it can be erased alone.
CREATE TABLE note(ref TEXT PRIMARY KEY, hall INTEGER NOT NULL, at_ms INTEGER NOT NULL, text TEXT NOT NULL) STRICT;
INSERT INTO meta VALUES ('hash', 'sha256');
INSERT INTO meta VALUES ('proj_seq', 0);
INSERT INTO meta VALUES ('epoch', 0);
