-- Months: where a file begins. The journal's first file begins after 0, with an empty chain.
-- prev_seq, prev_crc, prev_chain: the last batch of the file before. A batch row with `short` or `long` was erased.
INSERT INTO meta VALUES ('prev_seq', 0);
INSERT INTO meta VALUES ('prev_crc', 0);
INSERT INTO meta VALUES ('prev_chain', zeroblob(32));
